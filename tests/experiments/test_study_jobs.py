"""How a study is cut into jobs."""

from studies import small_study

from experiments.study.jobs import jobs_of, run_job, ticks_name

SEEDS = (0, 1)


def names(job):
    return [name for name, _ in job.members]


def test_conditions_that_differ_in_their_events_share_a_job():
    conditions = small_study().resolved()
    jobs = jobs_of(conditions, SEEDS, ())
    assert len(jobs) == 4 * 2 and all(len(job.members) == 3 for job in jobs)
    assert all(not job.undisturbed.events for job in jobs)
    assert {(name, job.seed) for job in jobs for name in names(job)} == {
        (name, seed) for name in conditions for seed in SEEDS
    }


def test_only_what_is_missing_is_asked_for():
    conditions = small_study().resolved()
    first, second, *rest = conditions
    done = {(name, seed) for name in (second, *rest) for seed in SEEDS} | {(first, 1)}
    (job,) = jobs_of(conditions, SEEDS, done)
    assert names(job) == [first] and job.seed == 0
    assert jobs_of(conditions, SEEDS, {*done, (first, 0)}) == []


def test_the_longest_come_first():
    conditions = small_study(factors={"max_seconds": [0.4, 0.6], "event": ["none"]}).resolved()
    jobs = jobs_of(conditions, (0,), ())
    assert [job.undisturbed.max_ticks for job in jobs] == [18, 12]
    costs = dict(zip(conditions, (9.0, 1.0), strict=True))
    assert [job.undisturbed.max_ticks for job in jobs_of(conditions, (0,), (), None, costs)] == [
        12,
        18,
    ]


def test_conditions_that_are_the_same_are_run_once(tmp_path):
    levels = {"a": {"delay_error": 0}, "b": {"estimator": "oracle"}}
    conditions = small_study(factors={"arm": levels, "event": ["nudge@tick:4"]}).resolved()
    (job,) = jobs_of(conditions, (0,), (), tmp_path)
    first, second = run_job(job)
    assert first["digest"] == second["digest"] and first["condition"] != second["condition"]
    assert first["cpu_s"] > 0 and second["cpu_s"] == 0
    for row in (first, second):
        assert len(list((tmp_path / ticks_name(row["condition"])).rglob("*.parquet"))) == 2
