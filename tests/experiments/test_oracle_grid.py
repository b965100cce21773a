import json

import pytest

from experiments.cli import main
from experiments.commands.oracle_grid import OracleGridConfig, grid_cells, run_grid
from experiments.report.columns import condition_summary

DELAY = 5


@pytest.fixture(scope="module")
def grid():
    """The perfect planner at no delay and at a long one."""
    rows = run_grid(
        OracleGridConfig(delays=(0, DELAY), events=("none",), episodes=1, max_seconds=16)
    )
    return {name: condition_summary(found).figures for name, found in rows.items()}


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
    conditions = grid_cells(OracleGridConfig())
    assert len(conditions) == 3 * 11 * 2
    assert conditions["prefix d=10 shove"].events and not conditions["prefix d=10 none"].events
    assert conditions["sync d=3 none"].latency.latency_s == pytest.approx(0.1)


def test_it_prints_json_and_can_be_continued(capsys, tmp_path):
    words = ["oracle-grid", "--delays", "0", "2", "--events", "shove", "--episodes", "1"]
    words += ["--max-seconds", "1", "--out", str(tmp_path / "grid"), "--json"]
    assert main(words) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["n"] == 1 and len(first["conditions"]) == 6
    assert set(first["conditions"]["sync d=2 shove"]["success"]) == {"value", "low", "high", "n"}
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == first
