"""One line per level of a factor, on frames whose answer is known."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic_study import FACTORS, TICKS, synthetic_frame

from experiments.cli import main
from experiments.report.overview import overview
from experiments.study.latency_limit import latency_limits
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import mean_interval

SECONDS = {level: ticks / 30 for level, ticks in TICKS.items()}
AT = {"latency": SECONDS}


def columns(table):
    return {line[0]: dict(zip(table.header, line, strict=True)) for line in table.lines}


def number(text):
    return float(text.split(" ")[0].replace("−", "-"))


def test_success_is_counted_context_by_context_with_its_limit():
    frame = synthetic_frame(n=60, invalid=0.1)
    limits = latency_limits(frame, FACTORS, SECONDS, factor="latency", reference={})
    found = overview(frame, FACTORS, "strategy", latencies=AT, limits=limits)
    assert found.success.header == ("strategy", "event", *TICKS, "L_max(10)")
    assert len(found.success.lines) == 6
    known = frame[frame["valid"]]
    for strategy, event, *cells, told in found.success.lines:
        for latency, cell in zip(TICKS, cells, strict=True):
            levels = {"strategy": strategy, "event": event, "latency": latency}
            rows = known[(known[list(levels)].astype(str) == list(levels.values())).all(axis=1)]
            assert cell == f"{int(rows['success'].sum())}/{len(rows)}"
        within = {"strategy": strategy, "event": event}
        (limit,) = [one for one in limits if one.within == within]
        assert told == ("not resolved" if limit.found is None else limit.found.level)
    assert len({line[-1] for line in found.success.lines}) > 1


def test_averages_are_over_the_contexts_that_all_levels_share():
    """Levels that skip an easy condition are not compared with those that have it."""
    frame = synthetic_frame(n=30, invalid=0.0)
    gone = (frame["strategy"] == "naive_async") & (frame["latency"] == "0ms")
    found = overview(frame[~gone], FACTORS, "strategy", latencies=AT)
    assert (found.shared, found.seeds) == (4, 30)
    told = columns(found.figures)
    shared = frame[frame["latency"] != "0ms"]
    for strategy in FACTORS["strategy"]:
        rows = shared[shared["strategy"] == strategy]
        by_seed = rows["tool_jerk_m_s3"].groupby(rows["seed"]).mean()
        expected = mean_interval(by_seed)
        ends = f"[{expected.low:#.3g}, {expected.high:#.3g}]".replace(".,", ",").replace(".]", "]")
        assert told[strategy]["jerk (m/s³)"].endswith(ends)
        success = rows["success"].astype(float)
        drop = 100 * (
            success[rows["event"] == "none"].mean() - success[rows["event"] == "shove"].mean()
        )
        assert number(told[strategy]["drop (points)"]) == pytest.approx(drop, abs=0.051)
        assert number(told[strategy]["success (%)"]) == pytest.approx(
            100 * success.mean(), abs=0.051
        )
    assert found.success.lines[2][2] == "–"


def test_a_reaction_that_did_not_come_is_the_slowest():
    frame = pd.DataFrame(
        {
            "strategy": ["a"] * 5 + ["b"] * 5,
            "event": "shove",
            "seed": [*range(5), *range(5)],
            "valid": True,
            "success": [True, False] * 5,
            "time_to_success_s": [3.0, math.nan] * 5,
            "duration_s": 20.0,
            "reaction_s": [0.1, 0.2, 0.3, 0.4, math.nan] + [0.3] * 5,
            "reaction_bound_s": 0.1,
            "reaction_censored": [False] * 4 + [True] + [False] * 5,
            "expected_reaction_s": 0.2,
        }
    )
    told = columns(
        overview(
            frame, {"strategy": ["a", "b"], "event": ["shove"]}, "strategy", latencies={}
        ).figures
    )
    keys = ("reaction (ms, median)", "95 %", "/ bound (median)", "/ expected (median)")
    assert [told["a"][key] for key in keys] == ["300", "∞", "3.00", "1.50"]
    assert [told["b"][key] for key in keys] == ["300", "300", "3.00", "1.50"]
    assert "drop (points)" not in told["a"]


def test_it_is_saved_and_what_is_no_factor_is_refused(tmp_path):
    frame = synthetic_frame(n=8)
    found = overview(frame, FACTORS, "event", latencies=AT)
    assert "drop (points)" not in found.figures.header
    path = found.save(tmp_path / "t.csv")
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[0] == list(found.success.header) and list(found.figures.header) in rows
    assert found.save(tmp_path / "t.md").read_text() == f"{found}\n"
    for by, expected in (
        ("strategi", "did you mean 'strategy'"),
        ("latency", "they are the columns"),
    ):
        with pytest.raises(ConfigError, match=expected):
            overview(frame, FACTORS, by, latencies=AT)
    with pytest.raises(ConfigError, match="expected valid rows"):
        overview(frame.assign(valid=False), FACTORS, "event", latencies=AT)
    with pytest.raises(ConfigError, match="whose levels are trainings"):
        overview(frame, FACTORS, "event", latencies=AT, cluster="event")
    assert "these 1 trainings" in str(
        overview(frame, FACTORS, "event", latencies=AT, cluster="training")
    )
    with pytest.raises(ConfigError, match="expected rows"):
        overview(frame.iloc[:0], FACTORS, "event", latencies=AT)
    with pytest.raises(ConfigError, match=r"\.md or \.csv"):
        found.save(tmp_path / "t.tex")
    assert not (tmp_path / "t.tex").exists()
    assert np.isfinite(number(found.figures.lines[0][1]))


def test_the_command_prints_and_saves_it(tmp_path, capsys):
    folder = str(Path(__file__).parents[2] / "experiments" / "results" / "switches_towel")
    assert main(["report", folder, "--overview", "switches", "--table", f"{tmp_path}/t.md"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("| switches | event | 80ms |") and "2 contexts" in told
    assert (tmp_path / "t.md").read_text() == told
    assert main(["report", folder, "--halfway", "switches"]) == 2
    told = capsys.readouterr()
    assert "expected two quantities or more of one unit" in told.err and not told.out
    latencies = str(Path(folder).with_name("control_rate"))
    assert main(["report", latencies, "--halfway", "latency"]) == 0
    assert "- Success by latency, control_hz=10" in capsys.readouterr().out
    for words, expected in (
        (["--overview", "switches", "--html"], "expected it alone or with --table"),
        (["--equal-compute", "latency", "--json"], "--equal-compute: expected it alone"),
        (["--equal-compute", "latency", "--html"], "--equal-compute: expected it alone"),
        (["--equal-compute", "latency", "--halfway", "latency"], "expected it alone"),
        (["--equal-compute", "latency", "--table", "t.md"], "--equal-compute: expected it alone"),
        (["--overview", "switches", "--table", f"{tmp_path}/t.tex"], "ending in .md or .csv"),
    ):
        assert main(["report", folder, *words]) == 2
        told = capsys.readouterr()
        assert expected in told.err and not told.out
    assert main(["report", folder, "--overview", "switch"]) == 2
    assert "did you mean 'switches'" in capsys.readouterr().err
