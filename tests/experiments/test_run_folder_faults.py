"""Run folders under two writers, damaged files and rows without evidence."""

import json
import os
import subprocess
import sys

import pytest

from experiments.runner.episode_rows import log_path, log_problem, parse_rows
from experiments.runner.folder_lock import LOCK, FolderLock
from experiments.runner.result_folder import fresh_folder
from experiments.runner.run_folder import CARD, EPISODES, RunFolder
from xr0_sim.errors import ConfigError, DatasetError, Xr0SimError
from xr0_sim.record import TickLog, read_run_card, write_ticklog


def logged_row(folder, seed, **changes):
    """A row with its tick log."""
    table = TickLog().table()
    write_ticklog(table, log_path(folder, seed))
    return {
        "seed": seed,
        "outcome": "success",
        "digest": table.digest(),
        "twin_digest": None,
        "figures": {"success": True},
        "events": [],
        "video": None,
    } | changes


def folder_with(path, rows, seeds=(0, 1, 2)):
    with RunFolder(path, {}, list(seeds), "none") as folder:
        for seed in rows:
            folder.append(logged_row(path, seed))
    return path


HOLD = """
import sys, time
from pathlib import Path
from experiments.runner.folder_lock import FolderLock
Path(sys.argv[1]).mkdir(exist_ok=True)
with FolderLock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_with_the_owners_pid_until_it_is_killed(tmp_path):
    owner = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "a")], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout.readline() == "held\n"
    before = sorted((tmp_path / "a").iterdir())
    with pytest.raises(ConfigError, match=f"process {owner.pid} is writing to") as caught:
        RunFolder(tmp_path / "a", {}, [0], "none")
    assert "\n" not in str(caught.value) and sorted((tmp_path / "a").iterdir()) == before
    owner.kill()
    owner.wait()
    assert (tmp_path / "a" / LOCK).exists()  # left behind, and no lock
    folder_with(tmp_path / "a", [0], [0])
    assert not (tmp_path / "a" / LOCK).exists()


def test_a_folder_is_free_again_after_its_context_and_after_an_error(tmp_path):
    with RunFolder(tmp_path, {}, [0], "none"), pytest.raises(ConfigError, match=str(os.getpid())):
        FolderLock(tmp_path).__enter__()
    with pytest.raises(ValueError), RunFolder(tmp_path, {}, [0], "none"):
        raise ValueError
    with FolderLock(tmp_path):
        pass


@pytest.mark.parametrize("damage", ["missing", "torn", "flipped", "another", "twin"])
def test_a_row_without_its_tick_log_runs_again_and_is_replaced(tmp_path, damage):
    path = folder_with(tmp_path / "a", [0, 1, 2])
    log = log_path(path, 1)
    if damage == "missing":
        log.unlink()
    elif damage == "torn":
        log.write_bytes(log.read_bytes()[:-40])
    elif damage == "flipped":
        log.write_bytes(b"PAR1" + b"\0" * 200 + b"PAR1")
    else:
        lines = [json.loads(line) for line in (path / EPISODES).read_text().split("\n")[:-1]]
        lines[1]["digest" if damage == "another" else "twin_digest"] = "0" * 64
        (path / EPISODES).write_text("".join(json.dumps(line) + "\n" for line in lines))
    folder = RunFolder(path, {}, [0, 1, 2], "none")
    assert folder.missing([0, 1, 2]) == [1] and list(folder.distrusted) == [1]
    assert "seed1" in folder.distrusted[1]
    with folder:
        assert "seed1" not in read_run_card(path / CARD)["digests"]
        folder.append(logged_row(path, 1, outcome="failure"))
    rows = [json.loads(line) for line in (path / EPISODES).read_text().split("\n")[:-1]]
    assert sorted(row["seed"] for row in rows) == [0, 1, 2]
    again = RunFolder(path, {}, [0, 1, 2], "none")
    assert again.missing([0, 1, 2]) == [] and again.rows[1]["outcome"] == "failure"
    assert all(log_problem(path, row) is None for row in again.rows.values())
    assert read_run_card(path / CARD)["status"] == "complete"


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\r"])
def test_line_separators_of_unicode_do_not_end_a_row(tmp_path, sign):
    with RunFolder(tmp_path, {}, [0], "none") as folder:
        folder.append(logged_row(tmp_path, 0, events=[{"text": f"sort{sign}now"}]))
    again = RunFolder(tmp_path, {}, [0], "none")
    assert again.rows[0]["events"] == [{"text": f"sort{sign}now"}]


GOOD = {"seed": 0, "digest": "d", "twin_digest": None, "figures": {}}


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        "null",
        "3",
        '"text"',
        "",
        "{",
        '{"seed": NaN',
        json.dumps({**GOOD, "seed": "0"}),
        json.dumps({**GOOD, "seed": True}),
        json.dumps({**GOOD, "seed": 0.5}),
        json.dumps({**GOOD, "digest": None}),
        json.dumps({**GOOD, "figures": []}),
        json.dumps({name: value for name, value in GOOD.items() if name != "digest"}),
        "[" * 100_000,
    ],
)
def test_what_is_no_row_is_one_line_and_stays(tmp_path, line):
    path = folder_with(tmp_path, [0])
    with open(path / EPISODES, "a") as file:
        file.write(line + "\n")
    before = (path / EPISODES).read_bytes()
    with pytest.raises(DatasetError, match="line 2: expected") as caught:
        RunFolder(path, {}, [0, 1], "none")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert (path / EPISODES).read_bytes() == before


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    with pytest.raises(DatasetError, match="line 1"):
        parse_rows(b'{"seed": \xff}\n', tmp_path)


def test_rows_that_contradict_each_other_are_named_and_equal_ones_count_once(tmp_path):
    path = folder_with(tmp_path, [0])
    line = (path / EPISODES).read_bytes()
    (path / EPISODES).write_bytes(line + line)
    assert list(RunFolder(path, {}, [0, 1, 2], "none").rows) == [0]
    (path / EPISODES).write_bytes(line + line.replace(b'"success"', b'"failure"', 1))
    with pytest.raises(DatasetError, match="two different ones of seed 0 in lines 1 and 2"):
        RunFolder(path, {}, [0], "none")


@pytest.mark.parametrize(
    "card",
    ["[]", "null", "{}", "{", '{"format": 1}', '{"format": 1, "config": {}, "versions": null}'],
)
def test_a_damaged_run_card_is_one_line(tmp_path, card):
    path = folder_with(tmp_path, [0])
    (path / CARD).write_text(card)
    with pytest.raises(DatasetError, match="expected") as caught:
        RunFolder(path, {}, [0], "none")
    assert "\n" not in str(caught.value) and (path / CARD).read_text() == card


@pytest.mark.parametrize("name", ["a:b", "-x", "~", "ünïcode 袋", "with space", "50%20", "a'b\"c"])
def test_every_name_the_shell_takes_is_a_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder_with(tmp_path / name, [0], [0])
    assert RunFolder(name, {}, [0], "none").missing([0]) == []
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_names_that_cannot_be_are_one_short_line(tmp_path):
    for attempt in (
        lambda: RunFolder(tmp_path / ("x" * 300), {}, [0], "none"),
        lambda: fresh_folder(tmp_path / ("x" * 300), "a"),
        lambda: RunFolder(tmp_path / "file" / "below", {}, [0], "none"),
    ):
        (tmp_path / "file").write_text("")
        with pytest.raises(Xr0SimError, match="choose another name") as caught:
            attempt()
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_a_name_that_is_no_utf8_is_kept_readable(tmp_path):
    with RunFolder(tmp_path, {"out": "a\udcff"}, [0], "none"):
        pass
    assert read_run_card(tmp_path / CARD)["config"] == {"out": "a\\udcff"}


def test_leftovers_of_killed_writers_are_removed_and_other_files_stay(tmp_path):
    path = folder_with(tmp_path / "a", [0])
    (path / "videos").mkdir()
    left = [path / ".run.part77.json", path / "videos" / ".blocks_seed0.part9.mp4"]
    kept = [path / ".party.json", path / "videos" / "blocks_seed0_success.mp4"]
    for file in left + kept:
        file.write_text("x")
    with RunFolder(path, {}, [0], "none"):
        assert not any(file.exists() for file in left) and all(file.exists() for file in kept)
