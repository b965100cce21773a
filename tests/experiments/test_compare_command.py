import json

import pytest
from PIL import Image

from experiments.cli import main
from experiments.commands.compare import CompareConfig, position_settings, short_names
from experiments.report.paired import paired_to_first
from experiments.report.style import position_colours, position_words
from experiments.study import Study
from xr0_sim.runtime import NaiveAsync, PrefixAsync, Sync

SHORT = ["compare", "--policy", "oracle", "--max-seconds", "1.5", "--episodes", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "a"
    assert main([*SHORT, "--out", str(out)]) == 0
    return out


def test_cells_are_the_executors_with_redrawn_modes():
    study = CompareConfig(policy="oracle", latency=("none", "0.2s")).study()
    conditions = study.resolved().values()
    kinds = [type(condition.strategy) for condition in conditions]
    assert kinds == [Sync, NaiveAsync, PrefixAsync] * 2
    assert {condition.policy for condition in conditions} == {"oracle_random_speed"}
    assert next(iter(short_names(study).values())) == "sync @ none"


def test_a_head_and_fields_of_a_strategy_stand_in_a_position():
    assert position_settings("naive_async:sync") == {"strategy": "naive_async", "head": "sync"}
    fields = "prefix_async:prefix_steps=4"
    assert position_settings(fields) == {"strategy": fields}
    assert position_settings(f"{fields}:prefix") == {"strategy": fields, "head": "prefix"}


def test_it_writes_table_picture_and_cells(folder):
    picture = Image.open(folder / "comparison.png")
    assert picture.width == 1600 and picture.height > 800
    assert len(picture.convert("RGB").resize((200, 200)).getcolors(100_000)) > 50
    text = (folder / "comparison.md").read_text()
    assert text.startswith("| condition | n | success |") and "Paired differences" in text
    assert "intervals overlap" in text
    study = Study.load(folder)
    assert study.complete and study.card["status"] == "complete"
    assert study.factors["position"] == ["sync", "naive_async", "prefix_async"]
    found = json.loads((folder / "summary.json").read_text())
    assert found["n"] == 2 and found["complete"] is True
    sync = found["conditions"]["sync @ xr0_4090"]
    assert set(sync["success"]) == {"value", "low", "high", "n"} and sync["digest"]
    assert found["paired"]["naive_async @ xr0_4090"]["success"]["n"] == 2


def test_it_is_continued_row_by_row(folder, capsys):
    before = json.loads((folder / "summary.json").read_text())
    lost = next((folder / "ticks").rglob("seed1_twin.parquet"))
    lost.unlink()  # a row whose log is gone is run again for it
    assert main([*SHORT, "--out", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "5 of 6 rows are there already" in err
    assert json.loads(out) == before and lost.is_file()
    assert len((folder / "rows.jsonl").read_bytes().splitlines()) == 6


def test_another_config_is_refused(folder, capsys):
    assert main([*SHORT, "--out", str(folder), "--n-bricks", "3"]) == 2
    err = capsys.readouterr().err
    assert "n_bricks = null, now it is 3" in err and len(err.splitlines()) == 1


def test_several_latencies_give_curves(tmp_path, capsys):
    words = ["--latency", "none", "0.1s", "--event", "none", "--positions", "sync", "naive_async"]
    assert main([*SHORT, *words, "--episodes", "1", "--out", str(tmp_path / "a")]) == 0
    out = capsys.readouterr().out
    assert "sync @ none" in out and "naive_async @ 0.1s" in out
    assert Image.open(tmp_path / "a" / "comparison.png").width == 1600


def test_paired_differences_are_to_the_first_of_the_same_latency():
    def rows(*times):
        return [
            {"seed": s, "figures": {"success": t < 5, "hold_share": t}} for s, t in enumerate(times)
        ]

    found = paired_to_first(
        {"sync @ a": rows(1, 2, 9), "naive @ a": rows(2, 3, 10), "sync @ b": rows(0, 0, 0)}
    )
    assert list(found) == ["naive @ a"]
    assert found["naive @ a"]["starvation"] == {"value": 1.0, "low": 1.0, "high": 1.0, "n": 3}
    assert found["naive @ a"]["success"]["value"] == 0.0


def test_colours_differ_and_stay():
    positions = ["sync:sync", "naive_async:sync", "prefix_async:prefix"]
    positions += ["prefix_async:prefix_lambda", "sync:prefix"]
    colours = position_colours(positions)
    assert len(set(colours.values())) == len(positions)
    assert colours["sync:sync"] == position_colours(["sync"])["sync"]
    assert position_words("prefix_async:prefix_lambda", ", ") == "prefix async, prefix + Λ head"
