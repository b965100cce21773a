"""``xr0-sim train-rl``: trains, goes on where it was, and refuses what does not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest

from experiments.cli import main
from experiments.rl.dagger import labelled
from policies.rl.agent import load_agent

SMALL = [
    *("train-rl", "--stage", "reach", "--demonstrations", "1", "--clone-steps", "5"),
    *("--rounds", "1", "--round-episodes", "1"),
    *("--evaluate-every", "10", "--evaluation-episodes", "1", "--save-seconds", "1"),
    *("--test-episodes", "1", "--test-seed", "60000"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("rl") / "run"
    assert main([*SMALL, "--out", str(out), "--steps", "8", "--tensorboard"]) == 0
    return out


def curve(folder):
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def test_a_training_leaves_agent_curve_checkpoint_and_events(folder, capsys):
    assert load_agent(folder / "agent.safetensors").record["stage"] == "reach"
    assert [(point.get("round"), point["decisions"]) for point in curve(folder)] == [
        (0, 0),
        (None, 1),
        (None, 8),
    ]
    shown = labelled(folder)
    assert len(shown) == 2 and not np.array_equal(shown[0].features[0], shown[1].features[0])
    assert list((folder / "tensorboard").rglob("events.out.tfevents.*"))
    assert not [path for path in folder.rglob("*") if path.suffix in (".pkl", ".zip")]


def test_it_goes_on_where_it_was(folder, capsys):
    before = curve(folder)
    assert main([*SMALL, "--out", str(folder), "--steps", "12"]) == 0
    told = capsys.readouterr()
    assert "goes on after 8 of 12 decisions" in told.err
    assert "seeds 60000 to 60000, n = 1" in told.out
    assert curve(folder)[: len(before)] == before and curve(folder)[-1]["decisions"] == 12


def test_rounds_that_were_played_are_not_played_again(tmp_path, capsys, monkeypatch):
    from experiments.rl import dagger

    words = [*SMALL, "--out", str(tmp_path / "a"), "--steps", "1", "--test-episodes", "0"]
    with monkeypatch.context() as patch:
        patch.setattr(dagger, "FINAL", None)  # breaks off behind the last round
        with pytest.raises(TypeError):
            main(words)
    before = [path.read_bytes() for path in sorted((tmp_path / "a").glob("*_*.safetensors"))]
    assert len(before) == 1 and len(curve(tmp_path / "a")) == 1
    monkeypatch.setattr(dagger, "demonstrate", None)
    assert main(words) == 0
    after = [path.read_bytes() for path in sorted((tmp_path / "a").glob("*_*.safetensors"))]
    assert after == before
    assert [point.get("round") for point in curve(tmp_path / "a")] == [0, None, None]


def test_other_options_and_other_folders_are_refused(folder, tmp_path, capsys):
    assert main([*SMALL, "--out", str(folder), "--steps", "20", "--seed", "1"]) == 2
    assert "with the same options, got other seed" in capsys.readouterr().err
    (tmp_path / "notes.txt").write_text("mine")
    assert main([*SMALL, "--out", str(tmp_path)]) == 2
    assert "expected an empty folder" in capsys.readouterr().err
    assert main([*SMALL, "--env", "towel_folding", "--out", str(tmp_path / "a")]) == 2
    assert "which has stages" in capsys.readouterr().err
    assert (
        main([*SMALL, "--round-episodes", "1000", "--rounds", "99", "--demonstrations", "1001"])
        == 2
    )
    assert "those of the evaluations" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_a_damaged_checkpoint_is_one_line(folder, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    assert main([*SMALL, "--out", str(copy), "--steps", "40"]) == 2
    assert "train into another folder" in capsys.readouterr().err


def test_the_agent_decides_what_the_network_would():
    from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

    from experiments.rl.learner import DemonstratedSAC, HalfDemonstrated, NormedPolicy, exported
    from policies.rl.staged_env import StagedBlocks

    statistics = VecNormalize(DummyVecEnv([lambda: StagedBlocks("reach")]), norm_reward=False)
    rng = np.random.default_rng(0)
    seen = rng.normal(1.0, 3.0, (50, *statistics.observation_space.shape))
    statistics.obs_rms.update(seen)
    model = DemonstratedSAC(
        NormedPolicy, statistics, replay_buffer_class=HalfDemonstrated, buffer_size=10, seed=0
    )
    expected, _ = model.predict(statistics.normalize_obs(seen), deterministic=True)
    got = exported(model, statistics, {}).decide(seen)
    assert np.allclose(got, expected, atol=1e-5)
    norms = [m for m in model.critic.modules() if type(m).__name__ == "LayerNorm"]
    assert len(norms) == 4
    statistics.close()
