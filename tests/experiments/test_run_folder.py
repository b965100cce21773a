import json
import os

import pytest

from experiments.runner.pool import TaskPool
from experiments.runner.progress import Progress
from experiments.runner.result_folder import first_difference, fresh_folder
from experiments.runner.run_folder import EPISODES, RunFolder, joint_digest
from xr0_sim.errors import ConfigError
from xr0_sim.record import read_run_card


def row(seed):
    return {"seed": seed, "digest": f"d{seed}", "twin_digest": None, "figures": {"x": 1.0}}


@pytest.fixture
def trusting(monkeypatch):
    """Rows of these tests have no tick logs."""
    monkeypatch.setattr("experiments.runner.run_folder.log_problem", lambda folder, row: None)


def test_a_line_cut_off_by_a_crash_is_dropped(tmp_path, trusting):
    with RunFolder(tmp_path / "a", {"x": 1}, [0, 1], "none") as folder:
        folder.append(row(0))
    with open(tmp_path / "a" / EPISODES, "a") as file:
        file.write('{"seed": 1, "dig')
    folder = RunFolder(tmp_path / "a", {"x": 1}, [0, 1], "none")
    assert (tmp_path / "a" / EPISODES).read_text().endswith("dig")  # only its owner cuts it off
    assert folder.missing([0, 1]) == [1]
    with folder:
        folder.append(row(1))
    lines = (tmp_path / "a" / EPISODES).read_text().splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1]


def test_the_card_says_how_the_run_ended(tmp_path):
    with RunFolder(tmp_path / "a", {}, [0, 1], "none") as folder:
        assert read_run_card(tmp_path / "a" / "run.json")["status"] == "running"
        folder.append(row(0))
    assert read_run_card(tmp_path / "a" / "run.json")["status"] == "incomplete"
    with pytest.raises(ValueError), RunFolder(tmp_path / "b", {}, [0], "none"):
        raise ValueError
    assert read_run_card(tmp_path / "b" / "run.json")["status"] == "failed"


@pytest.mark.parametrize("made", [False, True])
def test_a_run_refused_before_its_first_row_leaves_its_folder_free(made, tmp_path):
    path = tmp_path / "a"
    if made:
        path.mkdir()
    with pytest.raises(ConfigError), RunFolder(path, {"x": 1}, [0], "none"):
        raise ConfigError("no such policy")
    assert not path.exists()
    with RunFolder(path, {"x": 2}, [0], "none"):
        pass
    assert read_run_card(path / "run.json")["config"] == {"x": 2}


def test_a_refusal_takes_nothing_away_that_the_run_did_not_write(tmp_path, trusting):
    with pytest.raises(ConfigError), RunFolder(tmp_path / "a", {}, [0, 1], "none") as folder:
        folder.append(row(0))
        raise ConfigError("later")
    with pytest.raises(ConfigError), RunFolder(tmp_path / "a", {}, [0, 1], "none"):
        raise ConfigError("at the second start")
    assert list(RunFolder(tmp_path / "a", {}, [0, 1], "none").rows) == [0]
    with pytest.raises(ConfigError), RunFolder(tmp_path / "b", {}, [0], "none"):
        (tmp_path / "b" / "notes.txt").write_text("mine")
        raise ConfigError("no such policy")
    assert (tmp_path / "b" / "notes.txt").read_text() == "mine"


def test_an_interrupt_while_a_row_is_written_leaves_file_and_card_in_step(tmp_path, monkeypatch):
    monkeypatch.setattr("experiments.runner.run_folder.log_problem", lambda folder, row: None)
    sync = os.fsync

    def interrupted(descriptor):
        monkeypatch.setattr(os, "fsync", sync)
        sync(descriptor)
        raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        RunFolder(tmp_path / "a", {}, [0, 1], "none") as folder,
    ):
        folder.append(row(0))
        monkeypatch.setattr(os, "fsync", interrupted)
        folder.append(row(1))
    card = read_run_card(tmp_path / "a" / "run.json")
    assert (card["status"], list(card["digests"])) == ("interrupted", ["seed0", "seed1"])
    assert list(folder.rows) == [0, 1]


def test_other_package_versions_are_refused(tmp_path, monkeypatch):
    with RunFolder(tmp_path / "a", {}, [0], "none"):
        pass
    monkeypatch.setattr("experiments.runner.result_folder.FIXED_VERSIONS", ("mujoco",))
    card = json.loads((tmp_path / "a" / "run.json").read_text())
    card["versions"]["mujoco"] = "3.17.0"
    (tmp_path / "a" / "run.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match=r'version of mujoco = "3.17.0", now it is'):
        RunFolder(tmp_path / "a", {}, [0], "none")


def test_the_first_difference_has_a_dotted_name():
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == ("a.b", "1", "2")
    assert first_difference({"a": 1}, {"a": 1, "c": [1]}) == ("c", "null", "[1]")
    assert first_difference({"a": [1]}, {"a": [1]}) is None


def test_fresh_folders_count_up(tmp_path):
    names = [fresh_folder(tmp_path, "run 80 ms@x").name for _ in range(3)]
    assert names == ["run_80_ms_x-1", "run_80_ms_x-2", "run_80_ms_x-3"]


def test_the_joint_digest_ignores_the_order_of_rows():
    assert joint_digest([row(0), row(1)]) == joint_digest([row(1), row(0)])
    assert joint_digest([row(0)]) != joint_digest([row(1)])


def double(number):
    if number < 0:
        raise ConfigError("negative")
    return 2 * number


@pytest.mark.parametrize("workers", [1, 2])
def test_a_pool_yields_every_result_and_passes_errors_on(workers):
    with TaskPool(workers) as pool:
        assert dict(pool.run(double, [1, 2, 3])) == {1: 2, 2: 4, 3: 6}
        assert list(pool.run(double, [])) == []
        with pytest.raises(ConfigError, match="negative"):
            list(pool.run(double, [1, -1, 2]))


def test_progress_is_a_line_per_episode_off_a_terminal(capsys):
    with Progress(2, "title") as progress:
        progress.advance("seed 0", "success", "1.0 s")
        progress.advance("seed 1", "failure")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines[0] == "title" and lines[1].startswith("[1/2] seed 0  success  1.0 s  ")
    assert lines[2] == "[2/2] seed 1  failure"


def test_progress_is_a_bar_on_a_terminal():
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    with Progress(2, "title", stream) as progress:
        progress.advance("seed 0", "success")
        progress.note("between")
        progress.advance("seed 1", "success")
    text = stream.getvalue()
    assert "2/2" in text and "2 success" in text and "between" in text
