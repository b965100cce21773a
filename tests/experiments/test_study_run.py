"""Running a study, its files, and its frame."""

import json
import shutil
import subprocess
import sys

import imageio.v3 as iio
import numpy as np
import pandas as pd
import pytest
from studies import PLUGIN, small_study

from experiments.cli import main
from experiments.runner.folder_lock import FolderLock
from experiments.runner.pool import TaskPool
from experiments.study import Study
from experiments.study.folder import CARD, MANIFEST, ROWS, TABLE, VALIDITY
from experiments.study.verify import check_manifest, verify
from xr0_sim.errors import ConfigError, DatasetError


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    return small_study().run(tmp_path_factory.mktemp("study") / "small", ticks=True)


@pytest.fixture
def folder(ran, tmp_path):
    return shutil.copytree(ran.folder, tmp_path / "copy")


def digests(study):
    return {(row["condition"], row["seed"]): row["digest"] for row in study.rows}


def test_one_typed_line_an_episode(ran):
    frame = ran.frame()
    assert len(frame) == 2 * 2 * 3 * 3 and ran.complete
    assert list(frame.columns[:4]) == ["strategy", "latency", "event", "condition"]
    for name, levels in ran.factors.items():
        assert list(frame[name].cat.categories) == levels and frame[name].cat.ordered
    assert frame["condition"].iloc[0] == "strategy=sync, latency=0ms, event=none"
    assert frame["seed"].dtype == "int64" and frame["valid"].dtype == "bool"
    assert frame["success"].dtype == "boolean" and frame["model_calls"].dtype == "Int64"
    assert frame["duration_s"].dtype == "float64" and (frame["duration_s"] == 0.5).all()
    still = frame[frame["event"] == "none"]
    assert still["event_fired"].isna().all() and still["reaction_s"].isna().all()
    assert still["twin_digest"].isna().all() and (still["shared_ticks"] == 0).all()
    nudged = frame[frame["event"] == "nudge@tick:4"]
    assert nudged["event_fired"].all() and (nudged["event_tick"] == 4).all()
    assert nudged["reaction_censored"].all()
    assert np.allclose(nudged["reaction_observed_s"], 11 / 30)
    assert (nudged["shared_ticks"] == 4).all()
    assert nudged["twin_digest"].tolist() == still["digest"].tolist()
    assert frame["time_to_success_s"].isna().all()


def test_every_condition_sees_the_same_seeds(ran):
    seeds = ran.frame().groupby("condition", observed=True)["seed"].apply(tuple)
    assert set(seeds) == {(0, 1, 2)}


def test_the_files_of_a_finished_study(ran):
    names = {path.name for path in ran.folder.iterdir()}
    assert names == {CARD, ROWS, TABLE, VALIDITY, MANIFEST, "ticks"}
    card = json.loads((ran.folder / CARD).read_text())
    assert card["status"] == "complete" and card["seeds"] == [0, 1, 2]
    assert card["commit"] and card["versions"]["mujoco"] and any(card["plugins"].values())
    assert set(card["config"]["conditions"]) == set(ran.conditions)
    table = pd.read_parquet(ran.folder / TABLE)
    assert len(table) == 36 and set(ran.frame().columns) < set(table.columns)
    assert len(list((ran.folder / "ticks").rglob("*.parquet"))) == 36 + 24
    assert (ran.folder / VALIDITY).read_text() == "condition,seed,reason\n"


def test_load_knows_what_was_run_with_or_without_the_lines(ran, folder):
    again = Study.load(folder)
    assert again.design == ran.design and again.frame().equals(ran.frame())
    (folder / ROWS).unlink()
    assert Study.load(folder).frame().equals(ran.frame())
    assert check_manifest(Study.load(folder)) is None


def test_a_study_goes_on_where_it_was_torn(ran, folder):
    lines = (folder / ROWS).read_bytes().splitlines(keepends=True)
    (folder / ROWS).write_bytes(b"".join(lines[:5]) + lines[5][:40])
    partial = Study.load(folder)
    assert len(partial.rows) == 5 and not partial.complete
    assert len(partial.frame()) == 5
    assert digests(partial.run()) == digests(ran)
    assert len((folder / ROWS).read_bytes().splitlines()) == 36
    before = (folder / ROWS).read_bytes()
    assert digests(small_study().run(folder)) == digests(ran)
    assert (folder / ROWS).read_bytes() == before


def test_more_seeds_are_added_and_another_study_is_refused(ran, folder):
    more = small_study(seeds=4).run(folder)
    assert len(more.rows) == 48 and digests(ran).items() <= digests(more).items()
    with pytest.raises(ConfigError, match=r"max_seconds = 0\.5, now it is 0\.6"):
        small_study(max_seconds=0.6).run(folder)
    with FolderLock(folder), pytest.raises(ConfigError, match="is writing to"):
        small_study().run(folder)
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="got other files"):
        small_study().run(folder.parent / "other")
    with pytest.raises(ConfigError, match=f"a folder with a {CARD}"):
        Study.load(folder.parent / "other")


def test_studies_of_one_protocol_are_joined(ran, folder):
    half = small_study(factors={"strategy": ["sync"], "latency": [0], "event": ["none"]})
    half.run(folder.parent / "half")
    joined = half | ran
    assert joined.frame().shape[0] == 36 and joined.factors == ran.factors
    assert digests(joined) == digests(ran)
    assert (ran | half).frame().equals(ran.frame())
    other = small_study(factors={"latency": [0]}).run(folder.parent / "other")
    with pytest.raises(ConfigError, match="expected one protocol, got factors"):
        ran | other
    with pytest.raises(ConfigError, match="run them first"):
        ran | small_study()
    liar = Study.load(folder)
    liar._rows[next(iter(liar._rows))]["digest"] = "0"
    with pytest.raises(ConfigError, match="two different ones"):
        ran | liar


def test_verify_notices_what_was_changed(ran, folder):
    study = Study.load(folder)
    found = list(verify(study, 3, np.random.default_rng(0), TaskPool(1)))
    assert len(found) == 3 and not any(verdict.differs for verdict in found)
    rows = [json.loads(line) for line in (folder / ROWS).read_text().splitlines()]
    for row in rows:
        row["figures"]["model_calls"] += 1
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (verdict,) = verify(Study.load(folder), 1, np.random.default_rng(1), TaskPool(1))
    assert verdict.differs == ("model_calls",)
    for place, row in enumerate(rows):
        row["figures"]["model_calls"] -= 1
        if place == 0:
            row["figures"]["model_calls"] = None
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdicts = list(verify(Study.load(folder), len(rows), np.random.default_rng(1), TaskPool(1)))
    told = [(v.condition, v.seed) for v in verdicts if v.differs]
    assert told == [(rows[0]["condition"], rows[0]["seed"])], "other rows were written with it"
    for row in rows:
        row["figures"]["model_calls"] = None
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    (verdict,) = verify(Study.load(folder), 1, np.random.default_rng(1), TaskPool(1))
    assert verdict.differs == (), "no row of the condition knew of it"
    rows[0]["digest"] = "0" * 64
    (folder / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "rows of" in check_manifest(Study.load(folder))
    (folder / TABLE).write_bytes((folder / TABLE).read_bytes() + b"x")
    assert TABLE in check_manifest(Study.load(folder))
    (folder / MANIFEST).unlink()
    with pytest.raises(DatasetError, match="complete run"):
        check_manifest(Study.load(folder))


def test_invalid_episodes_are_listed_and_marked(tmp_path):
    late = small_study(
        factors={"event": ["nudge@phase:carry"]}, seeds=2, reference={"event": "nudge@phase:carry"}
    ).run(tmp_path / "late")
    frame = late.frame()
    assert not frame["valid"].any() and not frame["event_fired"].any()
    assert set(frame["invalid_reason"]) == {"event did not fire: nudge"}
    lines = (late.folder / VALIDITY).read_text().splitlines()
    assert lines[1:] == [f"event=nudge@phase:carry,{s},event did not fire: nudge" for s in (0, 1)]


def test_a_script_that_starts_workers_at_its_top_is_told_where_to(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from experiments.study import Study, engines\n"
        "engines.DEATHS = 0  # once tells as much as three times\n"
        "factors = {'strategy': ['sync', 'prefix_async']}\n"
        "options = {'policy': 'oracle', 'event': 'none', 'max_seconds': 1}\n"
        f"Study(factors=factors, seeds=1, **options).run({str(tmp_path / 'out')!r}, workers=2)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "below if __name__ == '__main__'" in done.stderr.splitlines()[-1]


def test_a_condition_is_found_by_what_tells_it_apart(ran):
    few = {"strategy": "eager", "latency": 66, "event": "none"}
    name = "strategy=eager, latency=66ms, event=none"
    assert ran.find(few) == ran.find(name) == name
    with pytest.raises(ConfigError, match="expected levels of exactly one, got 6"):
        ran.find({"strategy": "eager"})
    with pytest.raises(ConfigError, match="unknown condition 'strategy=eager'"):
        ran.find("strategy=eager")


def test_logs_of_an_episode_and_its_twin_part_at_the_event(ran):
    at = {"strategy": "eager", "latency": 66, "event": "nudge@tick:4"}
    row = next(r for r in ran.rows if (r["condition"], r["seed"]) == (ran.find(at), 1))
    log, twin = ran.log(at, 1), ran.log(at, 1, twin=True)
    assert (log.digest(), twin.digest()) == (row["digest"], row["twin_digest"])
    for name in ("action", "joint_pos", "latency_s"):
        assert np.array_equal(log[name][:4], twin[name][:4], equal_nan=True)
    still = {**at, "event": "none"}
    assert ran.log(still, 1, twin=True).digest() == ran.log(still, 1).digest() == twin.digest()
    with pytest.raises(ConfigError, match="run the study with ticks=True"):
        ran.log(at, 99)


def test_divergence_is_told_from_the_logs_of_all_seeds(ran):
    at = {"strategy": "eager", "latency": 66, "event": "nudge@tick:4"}
    frame = ran.divergence(at)
    assert len(frame) == 11 and (frame["n"] == 3).all()
    assert frame["time_s"].tolist() == pytest.approx([k / 30 for k in range(11)])
    assert (frame["median_rad"] <= 0.01).all()  # nobody reacts here
    assert ran.divergence({**at, "event": "none"}).empty


def test_logs_can_be_asked_for_later(folder):
    rows = (folder / ROWS).read_bytes()
    shutil.rmtree(folder / "ticks")
    small_study().run(folder, ticks=True)
    assert (folder / ROWS).read_bytes() == rows
    assert len(list((folder / "ticks").rglob("*.parquet"))) == 36 + 24


def test_a_row_that_comes_out_otherwise_is_refused(folder):
    lines = (folder / ROWS).read_text().splitlines()
    digest = json.loads(lines[5])["digest"]
    (folder / ROWS).write_text("\n".join(lines).replace(digest, "0" * 64) + "\n")
    shutil.rmtree(folder / "ticks")
    with pytest.raises(DatasetError, match=r"expected the row of .* again, got digest"):
        small_study().run(folder, ticks=True)


def test_an_episode_is_filmed_again(folder, capsys):
    study = Study.load(folder)
    name = "strategy=sync, latency=0ms, event=nudge@tick:4"
    path = study.film(name, 2, size="160x120", fps=10, insets=False)
    assert iio.imread(path).shape[1:] == (120, 160, 3) and path.parent == folder / "videos"
    words = ["--condition", name, "--seed", "2", "--size", "160x120", "--camera", "base"]
    assert main(["film", str(folder), *words, "--plugin", str(PLUGIN)]) == 0
    assert capsys.readouterr().out.strip().endswith("_base_seed2.mp4")
    assert main(["film", str(folder), "--plugin", str(PLUGIN)]) == 2
    assert "expected levels of exactly one, got 12" in capsys.readouterr().err
