"""The three stages end to end on synthetic squares, at nano size."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields

import numpy as np
import pytest
import torch
from squares import build_store, sample

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.errors import ConfigError, DatasetError
from xr0_sim.model.checkpoints.shipped import head_names, load_normalizer
from xr0_sim.model.policy_loading import load_policy_model
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.training.body_source import RolledBody
from xr0_sim.training.chunk_tensors import ChunkTensors, fit_normalizer
from xr0_sim.training.expert_training import BASE_HEAD, ExpertStageConfig, HeadConfig, train_head
from xr0_sim.training.look_source import EarlierLook
from xr0_sim.training.posttrain import HEADS, head_config, posttrain
from xr0_sim.training.prefix_source import CleanPrefix, draw_prefix
from xr0_sim.training.run_log import read_metrics
from xr0_sim.training.trainer import TrainerConfig
from xr0_sim.training.vlm_training import VlmStage, VlmStageConfig, train_vlm

HORIZON = 8


def quiet(line):
    pass


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("squares")
    store = ChunkStore(build_store(root / "store", 48, 64, HORIZON, ("red", "green")))
    config = preset_config("nano", action_length=HORIZON, proposals=2)
    trainer = TrainerConfig(steps=40, warmup_steps=10, log_every=10, batch_size=16)
    stage = VlmStageConfig(trainer, validation_fraction=0.1)
    assert train_vlm(store, config, stage, root / "vlm", quiet)
    expert = ExpertStageConfig(
        TrainerConfig(
            steps=120, learning_rate=3e-3, warmup_steps=20, batch_size=16, precision="float32"
        ),
        draws=2,
        validation_fraction=0.1,
    )
    checkpoint = root / "vlm" / "checkpoint"
    assert train_head(
        store, checkpoint, BASE_HEAD, expert, root / "base", root / "features", show=quiet
    )
    return root, store, checkpoint, expert


def test_brain_losses_fall(run):
    rows = [row for row in read_metrics(run[0] / "vlm") if "loss" in row]
    assert rows[-1]["loss"] < 0.95 * rows[0]["loss"]
    for term in ("pointing", "offset", "regression", "classes", "proposal", "score", "flow"):
        assert np.isfinite([row[term] for row in rows]).all()
    assert "val_pointing" in read_metrics(run[0] / "vlm")[-1]


def test_expert_loss_falls_and_the_head_predicts(run):
    root, store, checkpoint, _ = run
    rows = [row for row in read_metrics(root / "base") if "loss" in row]
    assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
    assert np.isfinite(read_metrics(root / "base")[-1]["tool_mm"])
    policy = load_policy_model(checkpoint, BASE_HEAD)
    relative = policy.predict(
        store.images(np.arange(2)),
        [store.instructions[i] for i in store.column("instruction")[:2]],
        store.robot(np.arange(2)),
        [None] * 2,
        [(0, 0), (0, 1)],
    )
    assert relative.shape == (2, HORIZON, 32) and np.isfinite(relative).all()


def test_heads_share_base_and_step_count(run):
    root, store, checkpoint, _ = run
    stage = ExpertStageConfig(
        TrainerConfig(steps=3, warmup_steps=1, log_every=1, batch_size=8), draws=2
    )
    names = tuple(name for name in HEADS if name != "base")
    assert posttrain(store, checkpoint, names, stage, root / "post", root / "features", show=quiet)
    assert set(names) <= set(head_names(checkpoint))
    config = load_policy_model(checkpoint, "prefix_lambda").config
    assert (config.action_window, config.noisy_position_offset, config.prefix_max) == (4, 10, 6)
    assert load_policy_model(checkpoint, "sync").config.prefix_max == 0
    with pytest.raises(ConfigError, match="did you mean 'prefix'"):
        head_config("prefx")
    assert HEADS["sync"] == HeadConfig()
    recipe = json.loads((root / "post" / "prefix_lambda_published" / "recipe.json").read_text())
    assert recipe == {
        "action_window": 4,
        "noisy_position_offset": 10,
        "prefix": {"source": "CleanPrefix", "probability": 0.5, "longest": 6},
        "hide_prefix": True,
        "body": {"source": "MeasuredBody"},
        "look": {"source": "FreshLook"},
        "reweight": "published",
        "frequency": {"form": "published", "coefficient": 1.0, "unitary": False},
    }
    plain = json.loads((root / "base" / "recipe.json").read_text())
    assert (plain["reweight"], plain["frequency"]["coefficient"]) == ("none", 0.0)


def test_heads_take_the_switches_one_at_a_time():
    def switches(name, against):
        pairs = ((f.name, getattr(HEADS[name], f.name)) for f in fields(HeadConfig))
        return {key: value for key, value in pairs if value != getattr(HEADS[against], key)}

    assert switches("prefix_lambda", "prefix") == {
        "action_window": 4,
        "noisy_position_offset": 10,
        "hide_prefix": True,
    }
    assert switches("rolled", "sync") == {"body": RolledBody(0.75, 12)}
    assert switches("prefix_rolled", "prefix") == {"body": RolledBody(0.5, 12)}
    assert switches("prefix_refreshed", "prefix") == {"look": EarlierLook(0.75, 20)}
    assert switches("prefix_window", "prefix") == {"action_window": 4}
    assert switches("prefix_offset", "prefix") == {"noisy_position_offset": 10}
    assert switches("prefix_hidden", "prefix") == {"hide_prefix": True}
    assert switches("prefix_recorded", "prefix") == {"prefix": CleanPrefix(0.5, 6)}
    for switch, forms in (("reweight", "per_frame"), ("frequency", "unitary")):
        name = f"prefix_lambda_{switch}"
        assert switches(name, "prefix_lambda") == {switch: "published"}
        assert switches(f"{name}_{forms}", "prefix_lambda") == {switch: forms}
    assert switches("prefix_lambda_published", "prefix_lambda") == {
        "prefix": CleanPrefix(0.5, 6),
        "reweight": "published",
        "frequency": "published",
    }
    lengths = draw_prefix(
        HEADS["prefix_lambda_report"].prefix,
        torch.zeros(70_000, 7, 1),
        torch.zeros(70_000),
        torch.ones(7, 1),
        torch.Generator().manual_seed(0),
    )[1]
    np.testing.assert_allclose(torch.bincount(lengths, minlength=7) / 70_000, 1 / 7, atol=0.005)


def test_sights_without_a_chunk_teach_the_brain_alone(run, tmp_path):
    _, _, checkpoint, _ = run
    root = build_store(tmp_path / "store", 24, 64, HORIZON, ("red", "green"))
    writer = ChunkWriter(root, ChunkStore(root).meta, "sights")
    for seed in range(24):
        row = sample(900 + seed, 64, HORIZON, ("red", "green"))
        writer.add(**row | {"valid_steps": 0, "source": "sighting"})
    writer.flush()
    store = ChunkStore(root)
    assert (store.column("valid_steps") == 0).sum() == 24
    trainer = TrainerConfig(steps=2, warmup_steps=1, log_every=1, batch_size=16)
    config = preset_config("nano", action_length=HORIZON, proposals=2)
    folder, stage = tmp_path / "vlm", VlmStageConfig(trainer, validation_fraction=0.1)
    assert train_vlm(store, config, stage, folder, quiet, start=checkpoint)
    rows = [row for row in read_metrics(folder) if "loss" in row]
    assert np.isfinite([[row["flow"], row["proposal"]] for row in rows]).all()
    expert, features = ExpertStageConfig(trainer, draws=1), tmp_path / "features"
    checkpoint = folder / "checkpoint"
    assert train_head(store, checkpoint, "base", expert, tmp_path / "x", features, show=quiet)
    assert not list(features.glob("*/sights*"))


def test_a_brain_of_another_task_is_continued_with_statistics_of_this_one(run, tmp_path):
    _, old, checkpoint, _ = run
    store = ChunkStore(build_store(tmp_path / "store", 24, 64, HORIZON, ("red", "blue", "green")))
    trainer = TrainerConfig(steps=1, warmup_steps=1, log_every=1, batch_size=4, learning_rate=1e-9)
    config = preset_config("nano", action_length=HORIZON, proposals=2)
    stage, folder = VlmStageConfig(trainer, validation_fraction=0.1), tmp_path / "vlm"
    assert train_vlm(store, config, stage, folder, quiet, start=checkpoint)
    before, after = (load_normalizer(path) for path in (checkpoint, folder / "checkpoint"))
    expected = fit_normalizer(store, store.split(0.1)[0], config.state_layout)
    np.testing.assert_array_equal(after.action_mean, expected.action_mean)
    assert not np.array_equal(after.action_mean, before.action_mean)
    assert old.meta.grounding_dim != store.meta.grounding_dim
    vlms = [
        load_policy_model(path, "joint").model.vlm for path in (checkpoint, folder / "checkpoint")
    ]
    first, second = (torch.cat([p.flatten() for p in b.parameters()]) for b in vlms)
    torch.testing.assert_close(second, first, rtol=0, atol=1e-3)


def test_without_a_joint_head_the_expert_continues_from_one_that_ships(run, tmp_path):
    _, store, checkpoint, _ = run
    shipped = tmp_path / "shipped"
    shutil.copytree(checkpoint, shipped)
    for head in (shipped / "heads").iterdir():
        if head.name != "joint":
            shutil.rmtree(head)
    (shipped / "heads" / "joint").rename(shipped / "heads" / "sync")
    stage = VlmStageConfig(TrainerConfig(steps=1, warmup_steps=1), validation_fraction=0.1)
    config = preset_config(
        "nano", action_length=HORIZON, proposals=2, grounding=store.meta.grounding
    )
    tensors = ChunkTensors.from_store(store, load_normalizer(shipped), config.state_layout)
    stages = [VlmStage(config, stage, store, tensors) for _ in range(2)]
    stages[0].load(checkpoint)
    stages[1].load(shipped)
    fresh = VlmStage(config, stage, store, tensors)
    first, second, other = (
        torch.cat([p.flatten() for p in s.expert.parameters()]) for s in (*stages, fresh)
    )
    torch.testing.assert_close(second, first, rtol=0, atol=0)
    assert not torch.equal(first, other)


def test_features_are_made_once_and_damage_is_named(run):
    root, store, checkpoint, _ = run
    (made,) = (root / "features").iterdir()
    (file,) = made.glob("*.npy")
    before = file.stat().st_mtime_ns
    again = ExpertStageConfig(TrainerConfig(steps=1, warmup_steps=1, batch_size=4))
    train_head(store, checkpoint, "again", again, root / "again", root / "features", show=quiet)
    assert file.stat().st_mtime_ns == before
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(DatasetError, match="delete the file"):
        train_head(store, checkpoint, "x", again, root / "x", root / "features", show=quiet)
    file.unlink()


def test_killed_stage_resumes_to_the_same_weights(run):
    root, store, checkpoint, _ = run
    trainer = TrainerConfig(steps=6, warmup_steps=1, save_every=2, log_every=2, batch_size=8)

    class Stop(Exception):
        pass

    def stop_at_four(line):
        if line.startswith("step 4/"):
            raise Stop

    for name, show in (("whole", quiet), ("parts", stop_at_four), ("parts", quiet)):
        stage = ExpertStageConfig(trainer, HEADS["prefix_lambda"], draws=2)
        try:
            train_head(
                store, checkpoint, name, stage, root / name, root / "features", BASE_HEAD, show
            )
        except Stop:
            assert not (root / name / "done").exists()
    whole, parts = (load_policy_model(checkpoint, n).model.state_dict() for n in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_normalizer_and_validity_respect_truncation_and_commitment(run):
    store = run[1]
    rows = np.arange(len(store))
    store.column("valid_steps")[0] = 4
    store.column("committed")[0] = 2
    normalizer = fit_normalizer(store, rows, "extended")
    assert normalizer.action_length == HORIZON
    tensors = ChunkTensors.from_store(store, normalizer, "extended")
    valid = tensors.valid(torch.tensor([0, 1]))
    assert valid[0, :, 0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0] and valid[1, :, 0].sum() == HORIZON
    assert valid[0, 2, 27:].sum() == 0 and (tensors.actions[0, 4:] == 0).all()
    store.column("valid_steps")[0] = HORIZON
    store.column("committed")[0] = 0
