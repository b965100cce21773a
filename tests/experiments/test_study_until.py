"""A study that adds seeds until its intervals are narrow enough."""

import pytest

from experiments.study import Study
from xr0_sim.errors import ConfigError


def short_study(seeds=2):
    return Study(
        "block_dismantling:n_bricks=2",
        policy="oracle",
        factors={"latency": [0, 80]},
        seeds=seeds,
        event="none",
        max_seconds=0.2,
    )


def test_seeds_are_added_until_the_target_or_the_bound(tmp_path):
    # Nothing succeeds in a fifth of a second: 0 of n, whose sequence is ±40 points from 3 on.
    study = short_study().run(tmp_path / "a", until="±40 points", most_seeds=20)
    assert study.seeds == (0, 1, 2, 3) and len(study.frame()) == 8
    again = Study.load(tmp_path / "a")
    assert again.sequential and again.seeds == study.seeds
    told = again.table(["success"]).lines[0].estimates["success"]
    assert "sequence" in told.method and told.interval.high - told.interval.low <= 0.8
    effects = again.effects(["success"], kinds=["main"])
    assert all("confidence sequence" in effect.method for effect in effects)
    # Its bound ends it; the rows that are there stay.
    before = (tmp_path / "a" / "rows.jsonl").read_bytes()
    more = short_study().run(tmp_path / "a", until="±1 points", most_seeds=5)
    assert more.seeds == (0, 1, 2, 3, 4)
    assert (tmp_path / "a" / "rows.jsonl").read_bytes().startswith(before)


def test_bad_targets_run_nothing(tmp_path):
    for how in ({"until": "3 percent"}, {"until": "±3 points", "most_seeds": 1}):
        with pytest.raises(ConfigError, match="until: expected"):
            short_study().run(tmp_path / "a", **how)
    assert not (tmp_path / "a").exists()
