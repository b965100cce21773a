"""Effects of a study: known answers, words, several trainings, sequential stopping."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_study import FACTORS, LIMIT_S, synthetic_frame

from experiments.study.effects import study_effects
from experiments.study.effects_events import twin_drop
from experiments.study.effects_outcomes import study_outcomes
from experiments.study.effects_pairing import Pairing
from experiments.study.effects_sequential import Until
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.paired_tests import mcnemar_exact
from xr0_sim.metrics.statistics import paired_rate_difference


@pytest.fixture(scope="module")
def frame():
    return synthetic_frame(40, seed=1)


@pytest.fixture(scope="module")
def effects(frame):
    return study_effects(frame, FACTORS)


def pairs_of(frame, column, first, second):
    """Values of two conditions over the seeds that both have valid."""

    def of(levels):
        rows = frame[frame["valid"]]
        for name, level in levels.items():
            rows = rows[rows[name] == level]
        return rows.set_index("seed")[column]

    joined = pd.concat([of(first), of(second)], axis=1, keys=list("ab")).dropna()
    return joined["a"].to_numpy(), joined["b"].to_numpy()


def find(effects, kind, outcome, **wanted):
    (found,) = [
        effect
        for effect in effects.select(kind=kind, outcome=outcome)
        if ("factor" not in wanted or effect.comparison.factors == (wanted["factor"],))
        and dict(zip(effect.comparison.factors, effect.comparison.levels, strict=True))
        | dict(effect.comparison.within)
        == {name: level for name, level in wanted.items() if name != "factor"}
    ]
    return found


def test_simple_effect_on_success_is_agresti_min_and_mcnemar(frame, effects):
    rest = {"latency": "80ms", "event": "shove"}
    prefix, sync = ({"strategy": s} | rest for s in ("prefix_async", "sync"))
    found = find(effects, "simple", "success", factor="strategy", **prefix)
    a, b = pairs_of(frame, "success", prefix, sync)
    known = paired_rate_difference(a.astype(bool), b.astype(bool))
    ends = found.interval
    assert (ends.value, ends.low, ends.high) == pytest.approx((known.value, known.low, known.high))
    assert found.p == mcnemar_exact(a.astype(bool), b.astype(bool))
    assert found.method == "Agresti-Min, McNemar" and found.pairs == len(a) == ends.n < 40


def test_times_count_failures_as_the_whole_limit(frame, effects):
    rest = {"latency": "200ms", "event": "none"}
    prefix, sync = ({"strategy": s} | rest for s in ("prefix_async", "sync"))
    found = find(effects, "simple", "time_to_success_s", factor="strategy", **prefix)
    restricted = frame.assign(t=frame["time_to_success_s"].fillna(LIMIT_S))
    a, b = pairs_of(restricted, "t", prefix, sync)
    known = stats.ttest_rel(a, b)
    assert found.interval.value == pytest.approx((a - b).mean())
    assert found.p == pytest.approx(known.pvalue)
    assert found.outcome.limit == LIMIT_S


def test_main_effect_is_the_mean_of_its_simple_ones(effects):
    simple = [
        e.interval.value
        for e in effects.select(kind="simple", outcome="tool_jerk_m_s3")
        if e.comparison.levels == ("naive_async",)
    ]
    main = find(effects, "main", "tool_jerk_m_s3", strategy="naive_async")
    assert len(simple) == 6 and main.interval.value == pytest.approx(np.mean(simple))
    assert main.improvement is False and main.state == "resolved"


def test_interaction_is_a_difference_of_differences(effects):
    found = find(effects, "interaction", "tool_jerk_m_s3", strategy="naive_async", latency="200ms")
    # By construction naive_async adds 3 m/s³ for each of 6 ticks.
    assert found.interval.low < 18 < found.interval.high and found.state == "resolved"
    assert found.improvement is None
    with_event = find(
        effects, "interaction", "tool_jerk_m_s3", strategy="naive_async", event="shove"
    )
    assert with_event.state == "unresolved" and with_event.seeds_needed > 40


def test_families_are_corrected_by_outcome_and_kind(effects):
    family = effects.select(kind="main", outcome="success")
    assert [e.family for e in family] == [5] * 5
    ordered = sorted(family, key=lambda e: e.p)
    assert ordered[0].p_holm == pytest.approx(min(1.0, 5 * ordered[0].p))
    assert all(e.p_holm >= e.p for e in effects if not math.isnan(e.p))
    # Without a wait at any latency, starvation of naive async is the same in all pairs.
    condition = {"latency": "80ms", "strategy": "naive_async", "event": "none"}
    equal = find(effects, "simple", "hold_share", factor="latency", **condition)
    assert equal.state == "equal"


def test_intervals_stay_inside_their_bounds(effects):
    for effect in effects:
        bound = len(effect.comparison.factors) * effect.outcome.span
        if not math.isnan(effect.interval.low):
            assert -bound <= effect.interval.low <= effect.interval.high <= bound


def test_reference_can_be_chosen(frame, effects):
    other = study_effects(
        frame, FACTORS, {"latency": "200ms"}, outcomes=["success"], kinds=["main"]
    )
    forth = find(effects, "main", "success", latency="200ms").interval
    back = find(other, "main", "success", latency="0ms").interval
    assert (back.value, back.low) == pytest.approx((-forth.value, -forth.high))
    with pytest.raises(ConfigError, match="did you mean"):
        study_effects(frame, FACTORS, {"latancy": "0ms"})
    with pytest.raises(ConfigError, match="level of latency"):
        study_effects(frame, FACTORS, {"latency": "81ms"})


def test_words_tell_what_is_resolved_and_what_it_would_take(effects):
    told = effects.sentences()
    assert told[0].endswith("comparisons).") and ("better" in told[0] or "worse" in told[0])
    assert any("not resolved; about" in line and "seeds would resolve" in line for line in told)
    states = [e.state for e in effects.select(kind="main")]
    assert sum("not resolved" in line for line in told) == states.count("unresolved") > 0
    assert all("nan" not in line for line in told)


def test_null_study_resolves_nothing_too_often():
    factors = {"strategy": ["a", "b", "c", "d"]}
    rng, wrong = np.random.default_rng(3), 0
    for _ in range(60):
        rows = [
            {"strategy": level, "seed": seed, "valid": True, "success": bool(rng.random() < 0.6)}
            for level in factors["strategy"]
            for seed in range(25)
        ]
        found = study_effects(pd.DataFrame(rows), factors, kinds=["main"])
        wrong += any(effect.state == "resolved" for effect in found)
    assert wrong / 60 <= 0.1


def test_levels_never_varied_alone_are_named():
    rows = [
        {"strategy": s, "head": h, "seed": k, "valid": True, "success": k % 2 == 0}
        for s, h in (("sync", "plain"), ("prefix", "lambda"))
        for k in range(8)
    ]
    found = study_effects(
        pd.DataFrame(rows), {"strategy": ["sync", "prefix"], "head": ["plain", "lambda"]}
    )
    assert len(found) == 0
    assert found.unpaired == ("strategy=prefix", "head=lambda")


def test_trainings_are_clusters():
    frame = synthetic_frame(25, trainings=3)
    rng = np.random.default_rng(0)
    options = {"outcomes": ["success"], "kinds": ["main"], "cluster": "training"}
    found = study_effects(frame, FACTORS, rng=rng, **options)
    assert {e.trainings for e in found} == {3}
    assert all("cluster bootstrap" in e.method for e in found)
    again = study_effects(frame, FACTORS, rng=np.random.default_rng(0), **options)
    assert [e.interval for e in again] == [e.interval for e in found]
    with pytest.raises(ConfigError, match="generator"):
        study_effects(frame, FACTORS, **options)
    with pytest.raises(ConfigError, match="one row per seed and condition"):
        study_effects(frame, FACTORS)
    # The column of the trainings may be one of the factors.
    factors = FACTORS | {"training": ["t0", "t1", "t2"]}
    assert Pairing(frame, factors, cluster="training").varied == list(FACTORS)


def test_invalid_rows_say_nothing(frame):
    broken = frame.copy()
    broken.loc[~broken["valid"], "tool_jerk_m_s3"] = 1e9
    options = {"outcomes": ["tool_jerk_m_s3"], "kinds": ["main"]}
    first, second = (study_effects(f, FACTORS, **options) for f in (frame, broken))
    assert [e.interval for e in first] == [e.interval for e in second]


def test_censored_reactions_are_kept(frame):
    reaction, ratio = study_outcomes(frame, ["reaction_s", "reaction_ratio"])
    rows = frame[frame["reaction_censored"].fillna(False) & frame["valid"]]
    assert len(rows) > 10
    assert np.isinf(reaction.values(rows)).all() and np.isinf(ratio.values(rows)).all()


def test_reactions_are_compared_by_medians_of_pairs(frame, effects):
    rest = {"strategy": "sync", "event": "shove"}
    late, early = ({"latency": x} | rest for x in ("200ms", "0ms"))
    found = find(effects, "simple", "reaction_s", factor="latency", **late)
    never = frame.assign(r=frame["reaction_s"].mask(frame["reaction_censored"].fillna(False), 1e6))
    a, b = pairs_of(never, "r", late, early)
    d = (a - b)[(a < 1e6) | (b < 1e6)]
    assert (np.abs(d) > 1e5).any() and found.interval.n == len(d)
    assert found.interval.value == pytest.approx(np.median(d))
    assert found.p == stats.binomtest(int((d > 0).sum()), len(d)).pvalue
    # 6 ticks at 30 Hz later, and not moved by a tenth of censored ones.
    main = find(effects, "main", "reaction_s", latency="200ms")
    assert main.interval.low < 0.2 < main.interval.high < 0.25 and main.state == "resolved"
    same = find(effects, "main", "reaction_s", strategy="prefix_async")
    assert same.state == "unresolved" and (same.seeds_needed is None or same.seeds_needed > 40)


def test_unknown_outcomes_and_levels_are_named(frame):
    with pytest.raises(ConfigError, match="did you mean"):
        study_outcomes(frame, ["sucess"])
    with pytest.raises(ConfigError, match="numbers"):
        study_outcomes(frame, ["digest"])
    with pytest.raises(ConfigError, match="level of strategy"):
        Pairing(frame, FACTORS | {"strategy": ["sync"]})
    with pytest.raises(ConfigError, match="outcomes"):
        study_outcomes(frame[["seed", "valid"]])


def test_twin_drop(frame):
    rows = frame[(frame["event"] == "shove") & (frame["strategy"] == "sync")]
    found = twin_drop(rows)
    known = rows[rows["valid"]]
    drop = known["success"].astype(float).mean() - known["twin_success"].astype(float).mean()
    assert found.interval.value == pytest.approx(drop) and found.interval.n == len(known)
    assert twin_drop(frame[frame["event"] == "none"]) is None


@pytest.mark.parametrize(
    ("text", "outcome", "half", "paired"),
    [
        ("±3 points", "success", 0.03, False),
        ("+-0.5 s", "time_to_success_s", 0.5, False),
        ("±10 points paired", "success", 0.1, True),
    ],
)
def test_targets_are_read(text, outcome, half, paired):
    until = Until.parse(text, 100)
    assert (until.outcome, until.paired) == (outcome, paired)
    assert until.half_width == pytest.approx(half)


@pytest.mark.parametrize("text", ["3 points", "±0 points", "±3 apples", ""])
def test_no_target(text):
    with pytest.raises(ConfigError, match="until: expected"):
        Until.parse(text, 100)


def test_a_study_ends_when_narrow_or_at_its_bound():
    factors = {"strategy": ["a", "b"]}

    def rows(n):
        rng = np.random.default_rng(1)
        return pd.DataFrame(
            {"strategy": level, "seed": k, "valid": True, "success": bool(rng.random() < 0.9)}
            for k in range(n)
            for level in "ab"
        )

    until = Until.parse("±10 points", 400)
    sizes = [n for n in range(20, 401, 20) if until.done(rows(n), factors)]
    assert 60 <= sizes[0] <= 200
    assert set(until.too_wide(rows(20), factors)) == {"strategy=a", "strategy=b"}
    assert Until.parse("±1 points", 40).done(rows(40), factors)
    assert not until.done(rows(0).reindex(columns=["strategy", "seed", "valid"]), factors)


def test_stopping_when_narrow_keeps_coverage():
    """Differences of a study that stops by looking hold the truth in 95 % of such studies."""
    factors, rng, missed = {"strategy": ["a", "b"]}, np.random.default_rng(2), 0
    for _ in range(25):
        draws = rng.random((2, 120)) < 0.9
        for n in range(40, 121, 20):
            frame = pd.DataFrame(
                {"strategy": level, "seed": k, "valid": True, "success": bool(draws[i, k])}
                for i, level in enumerate("ab")
                for k in range(n)
            )
            until = Until.parse("±15 points paired", 120)
            (found,) = until.intervals(frame, factors).values()
            if until.done(frame, factors):
                break
        missed += not found.low <= 0.0 <= found.high
    assert missed <= 3
