"""The small part of a sample store as ready tensors: states, relative chunks, validity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.model.spec.action_layout import LAYOUT_DIM, action_valid, encode_chunk, encode_state
from xr0_sim.model.spec.normalizer import MomentAccumulator, Normalizer

BLOCK = 2048


@dataclass(frozen=True)
class ChunkTensors:
    """Normalised states and chunks of N samples.

    Attributes:
        state: (N, 32).
        actions: (N, T, 32); rows beyond the recorded ones are zero.
        valid_steps: (N,) recorded rows.
        committed: (N,) leading rows that are the policy's own commitment.
    """

    state: Tensor
    actions: Tensor
    valid_steps: Tensor
    committed: Tensor

    @classmethod
    def from_store(cls, store: ChunkStore, normalizer: Normalizer, layout: str) -> ChunkTensors:
        """Encodes every sample of a store relative to its own measured state."""
        count, length = len(store), store.meta.horizon
        state = np.empty((count, LAYOUT_DIM), np.float32)
        actions = np.empty((count, length, LAYOUT_DIM), np.float32)
        for rows in _blocks(np.arange(count)):
            robot = store.robot(rows)
            state[rows] = normalizer.network_state(robot, layout)
            relative = encode_chunk(store.targets(rows), robot)
            actions[rows] = normalizer.normalize_actions(relative)
        valid_steps = store.column("valid_steps").astype(np.int64)
        actions[np.arange(length) >= valid_steps[:, None]] = 0.0
        return cls(
            torch.from_numpy(state),
            torch.from_numpy(actions),
            torch.from_numpy(valid_steps),
            torch.from_numpy(store.column("committed").astype(np.int64)),
        )

    def valid(self, rows: Tensor) -> Tensor:
        """(B, T, 32) float, 1 where a label exists: recorded, not committed, meaningful."""
        index = torch.arange(self.actions.shape[1])
        recorded = index < self.valid_steps[rows][:, None]
        labelled = recorded & (index >= self.committed[rows][:, None])
        return labelled[..., None] * torch.from_numpy(action_valid().astype(np.float32))


def fit_normalizer(store: ChunkStore, rows: NDArray[np.integer], layout: str) -> Normalizer:
    """Statistics over the recorded rows of the given samples."""
    actions = MomentAccumulator((store.meta.horizon, LAYOUT_DIM))
    states = MomentAccumulator((LAYOUT_DIM,))
    for block in _blocks(np.asarray(rows)):
        robot = store.robot(block)
        steps = store.column("valid_steps")[block]
        mask = np.arange(store.meta.horizon) < steps[:, None]
        actions.add(encode_chunk(store.targets(block), robot), mask[..., None])
        states.add(encode_state(robot, layout))
    return Normalizer.fit(actions, states)


def _blocks(rows: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    return [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
