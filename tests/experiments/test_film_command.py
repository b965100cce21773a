"""Films: which, by which camera, and those made later from a finished run."""

from __future__ import annotations

import json
from dataclasses import make_dataclass

import imageio.v3 as iio
import numpy as np
import pytest

from experiments.cli import main
from experiments.runner.film_options import film_options, filmed_seeds
from experiments.runner.stored_condition import _decoded, stored_condition
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import to_json

SHORT = ["rollout", "--policy", "oracle", "--max-seconds", "0.7", "--event", "shove@0.2s"]
SMALL = ["--size", "160x120"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("film") / "run"
    words = [*SHORT, "--no-video", "--episodes", "2", "--out", str(folder)]
    assert main(words) == 0
    return folder


def test_a_film_made_later_shows_what_happened(finished, capsys):
    for camera in ("left_wrist", "scene"):
        words = ["film", str(finished), "--seed", "1", "--camera", camera, *SMALL]
        assert main(words) == 0
    paths = [line for line in capsys.readouterr().out.splitlines() if line.endswith(".mp4")]
    assert paths[0].endswith("block_dismantling_left_wrist_seed1_failure.mp4")
    assert paths[1].endswith("block_dismantling_seed1_failure.mp4")
    wrist, scene = (iio.imread(path) for path in paths)
    assert wrist.shape[1:] == scene.shape[1:] == (120, 160, 3)
    assert np.abs(wrist[0].astype(int) - scene[0]).mean() > 5
    assert not list(finished.glob(".film-*"))


def test_a_film_of_something_else_is_not_kept(finished, tmp_path, capsys):
    rows = (finished / "episodes.jsonl").read_bytes()
    (tmp_path / "run.json").write_bytes((finished / "run.json").read_bytes())
    row = json.loads(rows.splitlines()[0])
    digest = row["digest"]
    (tmp_path / "episodes.jsonl").write_bytes(rows.replace(digest.encode(), b"0" * 64))
    assert main(["film", str(tmp_path), "--seed", str(row["seed"]), *SMALL]) == 2
    assert "expected the tick log of the run again" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.mp4"))


def test_the_condition_of_a_card_is_the_condition_of_the_run(finished):
    config = json.loads((finished / "run.json").read_text())["config"]
    assert to_json(stored_condition(config, "card")) == config


@pytest.mark.parametrize(
    ("film", "count"), [("first:1", 1), ("failures", 2), ("none", 0), ("all", 2)]
)
def test_which_films_are_kept(tmp_path, film, count):
    words = [*SHORT, "--episodes", "2", "--film", film, "--camera", "base", *SMALL]
    assert main([*words, "--max-seconds", "0.2", "--event", "none", "--out", str(tmp_path)]) == 0
    films = sorted(path.name for path in tmp_path.rglob("*.mp4"))
    assert len(films) == count
    assert all("_base_seed" in name for name in films)


def test_successes_are_not_kept_among_failures():
    options = film_options(15, "scene", None, "failures")
    assert not options.kept("success") and options.kept("failure") and options.kept("invalid")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: film_options(7, "scene", None), "expected a divisor of 30"),
        (lambda: film_options(15, "wrist", None), "unknown film camera 'wrist'"),
        (lambda: film_options(15, "scene", "big"), "expected WIDTHxHEIGHT"),
        (lambda: film_options(15, "scene", "5x5"), "expected"),
        (lambda: filmed_seeds("some", range(3)), "expected all, failures, first:N or none"),
        (lambda: stored_condition({"type": "Other"}, "card"), "run the rollout again"),
    ],
)
def test_bad_film_options_are_one_line(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_film_of_no_run_is_one_line(tmp_path, capsys, finished):
    assert main(["film", str(tmp_path)]) == 2
    assert main(["film", str(finished), "--seed", "77"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "expected the folder of a run" in first
    assert "expected one of the run's, got 77; it has 0, 1" in second


def test_plugs_of_equal_names_are_told_apart_by_their_fields():
    near = make_dataclass("Nudge", [("distance_m", float)])
    hard = make_dataclass("Nudge", [("force_n", float)])
    for classes in ([near, hard], [hard, near]):
        found = _decoded({"type": "Nudge", "force_n": 2.0}, {"Nudge": classes}, "card")
        assert type(found) is hard and found.force_n == 2.0
    with pytest.raises(ConfigError, match="--plugin"):
        _decoded({"type": "Nudge", "turn_rad": 2.0}, {"Nudge": [near, hard]}, "card")
