"""Tables at equal compute: which setting of every strategy is kept."""

import numpy as np
import pytest
from synthetic_study import synthetic_frame

from experiments.report.study_table import study_table
from experiments.study.matched_compute import match_compute
from xr0_sim.errors import ConfigError

HORIZON = "strategy.execution_horizon"
FACTORS = {
    "strategy": ["sync", "naive_async"],
    HORIZON: ["4", "8", "16"],
    "latency": ["0ms", "200ms"],
    "event": ["none"],
}
SPENT = {"sync": 1.0, "naive_async": 2.0}


@pytest.fixture(scope="module")
def frame():
    found = synthetic_frame(6, invalid=0, factors=FACTORS)
    told = zip(found["strategy"], found[HORIZON], strict=True)
    found["tflop_per_s"] = [8.0 * SPENT[name] / int(horizon) for name, horizon in told]
    return found


def kept_of(matched):
    rows = matched.frame
    return set(zip(rows["strategy"].astype(str), rows[HORIZON].astype(str), strict=True))


def test_every_strategy_spends_what_the_thriftiest_can_be_asked_for(frame):
    matched = match_compute(frame, FACTORS)
    # Sync at its most spends 2 (T_e 4), which naive asynchrony spends with T_e 8.
    assert matched.budget == pytest.approx(2.0)
    assert kept_of(matched) == {
        ("sync (execution_horizon 4)", "4"),
        ("naive_async (execution_horizon 8)", "8"),
    }
    assert len(matched.frame) == 2 * 2 * 6 and not matched.missing


def test_a_budget_is_not_exceeded_and_who_has_nothing_within_is_named(frame):
    slow = frame["latency"] == "200ms"
    spent = frame["tflop_per_s"].where(~slow, 4 * frame["tflop_per_s"])
    matched = match_compute(frame.assign(tflop_per_s=spent), FACTORS, budget=1.0)
    assert kept_of(matched) == {
        ("sync (execution_horizon 8)", "8"),
        ("naive_async (execution_horizon 16)", "16"),
    }
    # At 200 ms nothing of either is within: 2 and 4 at the least.
    assert len(matched.missing) == 2 and all("200ms" in text for text in matched.missing)


def test_one_level_alone_is_no_comparison(frame):
    with pytest.raises(ConfigError, match="got sync alone"):
        match_compute(frame, FACTORS, budget=0.5)
    with pytest.raises(ConfigError, match=r"at least 0\.5"):
        match_compute(frame, FACTORS, budget=0.1)


def test_the_table_has_a_line_per_strategy_and_context(frame):
    matched = match_compute(frame, FACTORS)
    table = study_table(matched.frame, matched.factors, outcomes=["success"])
    assert len(table.lines) == 4 and all(line.n == 6 for line in table.lines)
    assert table.lines[0].levels["strategy"] == "sync (execution_horizon 4)"
    assert HORIZON not in table.factors


def test_what_cannot_be_matched_is_refused_in_one_line(frame):
    with pytest.raises(ConfigError, match="unknown factor"):
        match_compute(frame, FACTORS, free="window")
    with pytest.raises(ConfigError, match="two factors"):
        match_compute(frame, FACTORS, free="strategy")
    with pytest.raises(ConfigError, match="unknown column"):
        match_compute(frame, FACTORS, cost="watts")
    with pytest.raises(ConfigError, match="policies without weights"):
        match_compute(frame.assign(tflop_per_s=np.nan), FACTORS)
