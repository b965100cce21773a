"""Which rows, features, weights and statistics training works with, at nano size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from squares import build_store, sample

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.checkpoints.shipped import load_config, load_head, load_normalizer
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.action_layout import encode_chunk
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.training import expert_training, vlm_training
from xr0_sim.training.chunk_tensors import ChunkTensors, fit_normalizer
from xr0_sim.training.expert_training import ExpertStageConfig, train_head
from xr0_sim.training.features import FeatureStore
from xr0_sim.training.schedule import SampleOrder
from xr0_sim.training.trainer import STATE_FILE, TrainerConfig
from xr0_sim.training.vlm_training import VlmStageConfig, train_vlm

HORIZON, SIZE, HELD_OUT = 4, 32, 0.3
COLORS = ("red", "green")


def quiet(line):
    pass


class Noted(SampleOrder):
    """Remembers every row it hands out."""

    seen: list[int] = []  # noqa: RUF012

    def batch(self, step, micro):
        rows = super().batch(step, micro)
        Noted.seen += rows.tolist()
        return rows


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Prompts of two lengths, two shards, a cut-off chunk here and there."""
    root = build_store(tmp_path_factory.mktemp("x") / "store", 20, SIZE, HORIZON, COLORS)
    meta = ChunkStore(root).meta
    with ChunkWriter(root, meta, "more", shard_samples=1024) as writer:
        for seed in range(20, 30):
            row = sample(seed, SIZE, HORIZON, COLORS)
            text = f"Please {row['instruction'].lower()}" if seed % 2 else "Reach."
            writer.add(**row | {"instruction": text, "valid_steps": 1 + seed % HORIZON})
            writer.end_episode()
    return ChunkStore(root)


@pytest.fixture(scope="module")
def trained(store, tmp_path_factory):
    """Both stages; the rows that each drew."""
    root = tmp_path_factory.mktemp("trained")
    trainer = TrainerConfig(
        steps=6,
        learning_rate=3e-2,
        warmup_steps=1,
        batch_size=12,
        precision="float32",
        ema_decay=0.9,
    )
    config = preset_config("nano", action_length=HORIZON, proposals=0)
    patch = pytest.MonkeyPatch()
    drawn = {}
    try:
        for module in (vlm_training, expert_training):
            patch.setattr(module, "SampleOrder", Noted)
        Noted.seen = []
        stage = VlmStageConfig(trainer, validation_fraction=HELD_OUT)
        assert train_vlm(store, config, stage, root / "vlm", quiet)
        drawn["vlm"], Noted.seen = Noted.seen, []
        head = ExpertStageConfig(trainer, draws=1, validation_fraction=HELD_OUT)
        checkpoint = root / "vlm" / "checkpoint"
        assert train_head(
            store, checkpoint, "base", head, root / "base", root / "features", show=quiet
        )
        drawn["base"] = Noted.seen
    finally:
        patch.undo()
    return root, drawn


@pytest.mark.parametrize("full_length", [False, True])
def test_features_of_a_row_are_those_of_its_own_pictures_and_prompt(store, tmp_path, full_length):
    policy = random_policy_model(preset_config("nano", action_length=HORIZON), 5)
    features = FeatureStore(tmp_path, store, policy.model, policy.processor, quiet)
    rows = np.array([25, 3, 21, 3, 28, 0])
    found = features.gather(rows, full_length)
    lengths = set()
    for place, row in enumerate(rows):
        text = store.instructions[store.column("instruction")[row]]
        inputs = policy.processor(store.images(np.array([row])), [text])
        with torch.no_grad():
            alone = policy.model.encode(inputs)
        length = int(alone.key_mask.sum())
        lengths.add(length)
        assert int(found.next_position[place]) == int(alone.next_position[0])
        assert found.key_mask[place].tolist() == [
            index < length for index in range(found.key_mask.shape[1])
        ]
        for mine, theirs in zip(found.layers, alone.layers, strict=True):
            for part, whole in zip(mine, theirs, strict=True):
                torch.testing.assert_close(
                    part[place, :, :length], whole[0, :, :length], atol=2e-3, rtol=2e-3
                )
    assert len(lengths) >= 3


@pytest.mark.parametrize("stage", ["vlm", "base"])
def test_held_out_episodes_are_never_drawn(store, trained, stage):
    training, held_out = store.split(HELD_OUT)
    assert len(held_out) >= 4
    drawn = set(trained[1][stage])
    assert len(drawn) > len(training) / 2
    assert drawn <= set(training.tolist()) and not drawn & set(held_out.tolist())


def test_the_averaged_weights_are_the_ones_that_are_saved(trained):
    root, _ = trained
    state = torch.load(root / "base" / STATE_FILE, weights_only=True)
    checkpoint = root / "vlm" / "checkpoint"
    expert = ActionExpert(load_config(checkpoint, "base"))
    load_head(checkpoint, "base", expert)
    apart = 0.0
    for saved, average, raw in zip(
        expert.parameters(), state["average"], state["parameters"], strict=True
    ):
        torch.testing.assert_close(saved.data, average.half().float(), rtol=0, atol=0)
        apart = max(apart, float((average - raw).abs().max()))
    assert apart > 2e-3


def test_statistics_are_those_of_recorded_rows_of_training_episodes(store, trained):
    training, _ = store.split(HELD_OUT)
    normalizer = load_normalizer(trained[0] / "vlm" / "checkpoint")
    rows: list[list[np.ndarray]] = [[] for _ in range(HORIZON)]
    for row in training:
        index = np.array([row])
        relative = encode_chunk(store.targets(index), store.robot(index))[0]
        for step in range(int(store.column("valid_steps")[row])):
            rows[step].append(relative[step])
    counts = [len(found) for found in rows]
    assert counts[0] > counts[-1] > 0
    for step, found in enumerate(rows):
        np.testing.assert_allclose(normalizer.action_mean[step], np.mean(found, 0), atol=1e-6)
        spread = np.maximum(np.std(found, 0), 1e-3)
        np.testing.assert_allclose(normalizer.action_std[step], spread, rtol=1e-4)


def test_what_stands_behind_the_recorded_rows_does_not_matter(store):
    class Scribbled:
        """The store with noise in every row that was not recorded."""

        def __getattr__(self, name):
            return getattr(store, name)

        def __len__(self):
            return len(store)

        def targets(self, rows):
            found = store.targets(rows)
            unrecorded = np.arange(HORIZON) >= store.column("valid_steps")[rows][:, None]
            for part in (found.joint_pos, found.jaw, found.tool_pos):
                part[unrecorded] = 1e6
            return found

    rows = np.arange(len(store))
    clean, scribbled = (fit_normalizer(s, rows, "extended") for s in (store, Scribbled()))
    for name in clean.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(clean, name), getattr(scribbled, name))
    tensors = [ChunkTensors.from_store(s, clean, "extended") for s in (store, Scribbled())]
    assert torch.equal(tensors[0].actions, tensors[1].actions)
