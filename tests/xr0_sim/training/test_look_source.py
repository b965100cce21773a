"""Pictures of earlier ticks: what a head for `TwoRate`'s refreshes is trained with."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_store import META, sample

import xr0_sim.training.expert_training as expert_training
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.training.chunk_tensors import ChunkTensors
from xr0_sim.training.expert_training import ExpertStage, ExpertStageConfig, HeadConfig
from xr0_sim.training.look_source import EarlierLook, EarlierLooks
from xr0_sim.training.trainer import TrainerConfig

LONGEST = 10
MANY = 400
ROWS = [
    # episode, source, tick, instruction, recorded and committed rows; where it may be asked from.
    ((1, "demo", 0, "go", 4, 0), {0}),
    ((1, "demo", 6, "go", 4, 0), {0}),
    ((1, "demo", 10, "go", 4, 0), {0, 1}),
    ((1, "demo", 11, "go", 4, 0), {1, 2}),
    ((1, "demo", 25, "go", 4, 0), {4}),  # too far behind the one before
    ((1, "demo", 20, "go", 4, 0), {5}),  # the scene was set back
    ((1, "demo", 24, "go", 4, 0), {5}),
    ((1, "demo", 28, "come", 4, 0), {7}),  # told something else
    ((1, "late", 30, "come", 4, 0), {8}),  # of another source
    ((2, "late", 32, "come", 4, 0), {9}),  # of another episode
    ((2, "late", 32, "come", 4, 2), {10}),  # the same frame with what was committed
    ((2, "late", 35, "come", 0, 0), {11}),  # a sight, without a chunk
    ((2, "late", 37, "come", 4, 0), {12}),
    ((2, "late", 40, "come", 4, 0), {12}),
    ((2, "late", 40, "come", 4, 3), {12}),  # the same frame with what was committed
    ((2, "late", 44, "come", 4, 0), {12, 13, 14}),
    ((2, "late", 46, "come", 4, 1), {16}),  # a commitment: the scene was set back
    ((2, "late", 49, "come", 4, 0), {16}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("looks")
    with ChunkWriter(root, META, "looks", shard_samples=64) as writer:
        for seed, ((episode, source, tick, text, steps, own), _) in enumerate(ROWS):
            told = {"episode_seed": episode, "source": source, "tick": tick}
            told |= {"instruction": text, "valid_steps": steps, "committed": own}
            writer.add(**sample(seed) | told)
    return ChunkStore(root)


def drawn(store, source, rows, seed=0):
    looks = EarlierLooks(store, source)
    return looks.draw(rows, torch.Generator().manual_seed(seed))


def test_every_earlier_sample_of_the_run_that_is_near_enough_is_drawn_alike(store):
    for row, (_, expected) in enumerate(ROWS):
        found = drawn(store, EarlierLook(1.0, LONGEST), np.full(MANY, row))
        values, counts = np.unique(found, return_counts=True)
        assert set(values.tolist()) == expected, row
        assert counts.min() > 0.8 * MANY / len(expected)


def test_a_share_is_asked_from_its_own_pictures(store):
    rows = np.full(10 * MANY, 6)
    found = drawn(store, EarlierLook(0.25, LONGEST), rows)
    assert np.mean(found == 5) == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(found, drawn(store, EarlierLook(0.25, LONGEST), rows))
    assert (found != drawn(store, EarlierLook(0.25, LONGEST), rows, seed=1)).any()


def test_runs_end_with_their_shard(tmp_path):
    for name in ("a", "b"):
        with ChunkWriter(tmp_path, META, name) as writer:
            tick = {"a": 3, "b": 5}[name]
            writer.add(**sample(0) | {"episode_seed": 1, "source": "demo", "tick": tick})
    found = drawn(ChunkStore(tmp_path), EarlierLook(1.0, LONGEST), np.array([0, 1]))
    assert found.tolist() == [0, 1]


def test_pictures_are_earlier_and_all_else_is_of_now(store, monkeypatch):
    normalizer = Normalizer.identity(META.horizon)
    tensors = ChunkTensors.from_store(store, normalizer, "extended")
    seen = {}

    class Features:
        def gather(self, rows, full_length=False):
            seen["rows"] = rows
            return torch.zeros(1)

    def loss(expert, cache, state, targets, *rest):
        seen.update(state=state, actions=targets.actions)
        return torch.zeros(len(state))

    monkeypatch.setattr(expert_training, "flow_loss", loss)
    look = EarlierLook(1.0, LONGEST)
    stage = ExpertStageConfig(TrainerConfig(steps=1), HeadConfig(look=look))
    expert = SimpleNamespace(device="cpu")
    run = ExpertStage(
        expert, stage, Features(), tensors, normalizer, None, EarlierLooks(store, look)
    )
    rows = np.array([1, 6, 13, 9])
    run.loss(rows, torch.Generator().manual_seed(0))
    assert seen["rows"].tolist() == [0, 5, 12, 9]
    torch.testing.assert_close(seen["state"], tensors.state[rows], rtol=0, atol=0)
    torch.testing.assert_close(seen["actions"], tensors.actions[rows], rtol=0, atol=0)
