"""The mean paired drop over kinds of events, on frames whose answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from synthetic_study import synthetic_frame

from experiments.study.mean_drop import mean_drops
from xr0_sim.metrics.statistics import mean_interval

KINDS = ["none", "shove", "drop"]


def frame_of(successes, **columns):
    """One row for each kind and seed; None is an episode that was not valid."""
    rows = [
        {"event": kind, "seed": seed, "valid": told is not None, "success": bool(told), **columns}
        for kind, outcomes in successes.items()
        for seed, told in enumerate(outcomes)
    ]
    return pd.DataFrame(rows)


def test_a_scene_is_the_mean_over_its_kinds_and_the_interval_is_over_scenes():
    frame = frame_of({"none": [1, 1, 1, 0], "shove": [0, 1, 1, 1], "drop": [0, 0, 1, 0]})
    (found,) = mean_drops(frame, {"event": KINDS})
    assert found.kinds == ("shove", "drop")
    assert found.drop == mean_interval(np.array([1.0, 0.5, 0.0, -0.5]))
    assert str(found).startswith("Over all 2 kinds of event: success falls by 25.0 points [")


def test_what_was_not_valid_is_left_out_of_its_scene():
    frame = frame_of({"none": [1, 1, None], "shove": [0, None, 0], "drop": [1, 0, 0]})
    (found,) = mean_drops(frame, {"event": KINDS})
    assert found.drop == mean_interval(np.array([0.5, 1.0]))  # the third has no twin


def test_every_context_has_its_own_and_trainings_are_averaged():
    parts = [
        frame_of({"none": [1, 1], "shove": [0, 0], "drop": [0, 0]}, strategy="sync", training="a"),
        frame_of({"none": [1, 1], "shove": [1, 1], "drop": [1, 0]}, strategy="sync", training="b"),
        frame_of({"none": [0, 1], "shove": [0, 1], "drop": [0, 1]}, strategy="two", training="a"),
        frame_of({"none": [0, 1], "shove": [0, 1], "drop": [0, 1]}, strategy="two", training="b"),
    ]
    factors = {"strategy": ["sync", "two"], "event": KINDS, "training": ["a", "b"]}
    sync, two = mean_drops(pd.concat(parts), factors, cluster="training")
    assert sync.within == {"strategy": "sync"} and sync.drop.n == 2
    assert sync.drop == mean_interval(np.array([0.5, 0.75]))
    assert two.drop.value == two.drop.low == two.drop.high == 0.0


@pytest.mark.parametrize("kinds", [["none", "shove"], ["shove", "drop"], ["none"]])
def test_one_kind_or_no_undisturbed_scene_says_nothing(kinds):
    frame = frame_of({kind: [1, 0] for kind in kinds})
    assert mean_drops(frame, {"event": kinds}) == []


def test_a_study_of_one_event_has_none():
    frame = synthetic_frame(5)
    factors = {name: list(frame[name].cat.categories) for name in ("strategy", "latency", "event")}
    assert mean_drops(frame, factors) == []
