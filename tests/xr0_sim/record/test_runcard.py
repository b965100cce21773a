import dataclasses
import json
import math
import subprocess

import numpy as np
import pytest

from xr0_sim.errors import DatasetError
from xr0_sim.record.runcard import (
    installed_versions,
    read_run_card,
    run_card,
    source_commit,
    to_json,
    write_run_card,
)
from xr0_sim.runtime import Constant, PrefixAsync


def test_configs_become_plain_json():
    config = {"strategy": PrefixAsync(10, 6), "latency": Constant(0.08), "n": np.int64(3)}
    data = json.loads(json.dumps(to_json(config)))
    assert data["strategy"] == {
        "type": "PrefixAsync",
        "execution_horizon": 10,
        "prefix_steps": 6,
        "alignment": "report",
        "overrun": "play",
    }
    assert data["latency"] == {"type": "Constant", "latency_s": 0.08}
    assert to_json([math.nan, np.array([1.0, 2.0])]) == [None, [1.0, 2.0]]


def test_a_card_says_how_to_repeat_the_run(tmp_path):
    card = run_card(
        PrefixAsync(),
        seeds=range(3),
        renderer="egl",
        command=["xr0-sim", "rollout"],
        digests={"0": "ab"},
    )
    write_run_card(card, tmp_path / "run" / "card.json")
    back = read_run_card(tmp_path / "run" / "card.json")
    assert back == card
    assert back["seeds"] == [0, 1, 2] and back["renderer"] == "egl"
    assert back["command"] == ["xr0-sim", "rollout"]
    assert back["versions"]["numpy"] == np.__version__
    assert {"commit", "created", "platform", "processor", "config", "digests"} <= set(back)


def test_versions_do_not_import_the_packages():
    assert set(installed_versions()) >= {"python", "mujoco", "torch"}


def test_the_commit_is_that_of_a_tree_that_tracks_the_file(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("1")
    assert source_commit(file) == "unknown"

    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True
        )

    git("init")
    assert source_commit(file) == "unknown"
    git("add", "a.txt")
    git("commit", "-m", "a")
    assert len(source_commit(file)) == 12
    file.write_text("2")
    assert source_commit(file).endswith("+changes")


def test_what_is_no_card_is_refused(tmp_path):
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "old.json").write_text('{"format": 0}')
    for name, message in (
        ("none", "expected readable JSON"),
        ("list", "got list"),
        ("old", "expected format 1, got 0"),
    ):
        with pytest.raises(DatasetError, match=message):
            read_run_card(tmp_path / f"{name}.json")


def test_unserialisable_values_become_text():
    @dataclasses.dataclass
    class Odd:
        path: object

    assert to_json(Odd(complex(1, 2))) == {"type": "Odd", "path": "(1+2j)"}
