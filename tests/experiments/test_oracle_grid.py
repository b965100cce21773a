import json

import pytest

from experiments.cli import main
from experiments.commands.oracle_grid import OracleGridConfig, grid_rows
from experiments.report.columns import condition_summary
from xr0_sim.runtime import Constant, PrefixAsync
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix

DELAY = 5


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """The perfect planner at no delay and at a long one."""
    # The first world takes half the time.
    few = {"episodes": 1, "max_seconds": 16, "world": "0.1"}
    config = OracleGridConfig(delays=(0, DELAY), events=("none",), **few)
    study = config.study().run(tmp_path_factory.mktemp("grid") / "a")
    return {n: condition_summary(found).figures for n, found in grid_rows(study).items()}


def figure(grid, condition, delay, name):
    return grid[f"{condition} d={delay} none"][name].value


def test_all_are_the_same_without_delay(grid):
    digests = {str(grid[f"{name} d=0 none"]) for name in ("sync", "naive", "prefix")}
    assert figure(grid, "sync", 0, "success") == 1.0 and len(digests) == 1


def test_sync_slows_with_delay(grid):
    assert figure(grid, "sync", DELAY, "hold_share") > 0.25
    slow, quick = (figure(grid, "sync", d, "duration_s") for d in (DELAY, 0))
    assert slow > 1.2 * quick
    assert figure(grid, "prefix", DELAY, "duration_s") < 0.9 * slow


def test_naive_jerks_and_prefix_stays_smooth_and_successful(grid):
    smooth = figure(grid, "prefix", 0, "tool_jerk_m_s3")
    assert figure(grid, "naive", DELAY, "tool_jerk_m_s3") > 1.8 * smooth
    assert figure(grid, "prefix", DELAY, "tool_jerk_m_s3") < 1.4 * smooth
    jumps = {
        name: figure(grid, name, DELAY, "seam_position_mean_rad") for name in ("naive", "prefix")
    }
    assert jumps["naive"] > 3 * jumps["prefix"]
    assert figure(grid, "prefix", DELAY, "success") == 1.0
    assert figure(grid, "prefix", DELAY, "overrun_share") == 0.0


def test_the_whole_grid_has_66_cells():
    study = OracleGridConfig().study()
    conditions = {
        tuple(study.conditions[name].values()): found for name, found in study.resolved().items()
    }
    assert len(conditions) == 3 * 11 * 2
    late = conditions["shove", "prefix", "10"]
    assert late.events and not conditions["none", "prefix", "10"].events
    assert late.strategy == PrefixAsync(prefix_steps=EstimatedPrefix(longest=20))
    assert conditions["none", "sync", "3"].latency == Constant(3 / 30)


def test_it_prints_json_and_can_be_continued(capsys, tmp_path):
    words = ["oracle-grid", "--delays", "2", "--events", "shove", "--episodes", "1"]
    words += ["--max-seconds", "1", "--out", str(tmp_path / "grid"), "--json"]
    assert main(words) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["n"] == 1 and len(first["conditions"]) == 3
    assert set(first["conditions"]["sync d=2 shove"]["success"]) == {"value", "low", "high", "n"}
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == first
