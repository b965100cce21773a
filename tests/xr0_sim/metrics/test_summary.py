import json
import math

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.summary import (
    figure_bounds,
    markdown_table,
    rich_table,
    separation_notes,
    summarise,
)


def rows(successes, n=20):
    return [
        {
            "seed": i,
            "success": i < successes,
            "progress": 0.5 + 0.5 * (i < successes),
            "time_to_success_s": 4.0 + 0.1 * i if i < successes else None,
            "bricks_per_min": np.float64(i),
            "seam_position_mean_rad": math.nan,
            "label": "text",
        }
        for i in range(n)
    ]


def test_rates_and_means_each_have_value_low_high_and_n():
    data = json.loads(json.dumps(summarise(rows(17)).to_dict()))
    assert data["n"] == 20
    assert data["success"]["value"] == 0.85
    assert (data["success"]["low"], data["success"]["high"]) == pytest.approx(
        (0.6396, 0.9476), abs=1e-4
    )
    assert data["time_to_success_s"]["n"] == 17
    assert data["bricks_per_min"]["value"] == 9.5
    assert data["seam_position_mean_rad"] == {"value": None, "low": None, "high": None, "n": 0}
    assert "seed" not in data and "label" not in data


def test_numpy_booleans_are_rates():
    summary = summarise([{"success": np.bool_(True)}, {"success": np.bool_(False)}])
    assert summary.rates == {"success"} and summary.figures["success"].value == 0.5


def test_tables_show_n_and_interval():
    conditions = {"sync": summarise(rows(17)), "prefix": summarise(rows(20))}
    text = markdown_table(conditions, ["success", "time_to_success_s", "seam_position_mean_rad"])
    lines = text.splitlines()
    assert lines[0].startswith("| condition | n | success |")
    assert "| sync | 20 | 85.0 % [64.0, 94.8] | 4.8 [4.54, 5.06] (n=17) | – (n=0) |" in lines
    assert "100.0 % [83.9, 100.0]" in lines[3]
    assert rich_table(conditions).row_count == 2
    with pytest.raises(ConfigError, match="did you mean 'bricks_per_min'"):
        markdown_table(conditions, ["brick_per_min"])


def test_overlapping_cells_are_not_ranked():
    close = {"a": summarise(rows(17)), "b": summarise(rows(18)), "c": summarise(rows(2))}
    notes = separation_notes(close)
    assert notes[0].startswith("a ~ b in success: intervals overlap, n = ")
    assert notes[1:] == [
        "a > c in success: intervals are apart",
        "b > c in success: intervals are apart",
    ]
    same = separation_notes({"a": summarise(rows(20)), "b": summarise(rows(20))})
    assert same == ["a ~ b in success: intervals overlap, no n would separate equal rates"]
    with pytest.raises(ConfigError, match="unknown rate 'progress'"):
        separation_notes(close, "progress")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("progress", 0, 1),
        ("hold_share", 0, 1),
        ("bricks_per_min", 0, math.inf),
        ("towels_per_min", 0, math.inf),
        ("duration_s", 0, math.inf),
        ("reaction_s", 0, math.inf),
        ("seam_position_mean_rad", 0, math.inf),
        ("tool_jerk_m_s3", 0, math.inf),
        ("drops", 0, math.inf),
        ("extra_time_s", -math.inf, math.inf),
        ("tool_sparc_left", -math.inf, math.inf),
        ("somebodys_own", -math.inf, math.inf),
    ],
)
def test_figures_have_the_bounds_of_what_they_measure(name, low, high):
    assert figure_bounds(name) == (low, high)


def test_bounded_figures_never_show_the_impossible():
    wide = [{"bricks_per_min": 0.0, "progress": 0.0}, {"bricks_per_min": 20.0, "progress": 0.5}]
    data = summarise(wide).to_dict()
    assert data["bricks_per_min"] == {"value": 10.0, "low": None, "high": None, "n": 2}
    assert "10 [n too small]" in markdown_table({"a": summarise(wide)}, ["bricks_per_min"])
    many = summarise(wide * 4).figures
    assert many["bricks_per_min"].low >= 0 and 0 <= many["progress"].low < many["progress"].high < 1
    own = summarise([{"debt_s": -5.0}, {"debt_s": 3.0}]).figures["debt_s"]
    assert own.low < -5  # a name like a duration, and yet signed


def test_invalid_episodes_are_counted_beside_n():
    found = summarise(rows(17), invalid=2)
    assert found.to_dict()["invalid"] == 2 and found.to_dict()["n"] == 20
    assert "| a | 20 + 2 invalid | 85.0 %" in markdown_table({"a": found}, ["success"])
    nothing = summarise([], invalid=3)
    assert separation_notes({"a": nothing, "b": found})[0].startswith("a ~ b in success")
