"""Whose body a chunk is asked from during post-training: a union of named choices.

`MeasuredBody` asks from the proprioception of the pictures' tick. `RolledBody` asks, with some
probability, from the body that the first d rows of the chunk lead to, and for the rows behind them:
what `xr0_sim.runtime.strategies.roll_forward.RollForward` asks for behind a delay of d ticks
(VLASH, arXiv 2512.01031), rolled as the chunk model rolls it. Where the first rows are a policy's
commitment, d is their number: the body is where the policy takes itself, the rows behind it are
labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr0_sim.conventions import ARM_ACTION_DIM, CONTROL_HZ, JOINTS_PER_ARM
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.model.spec.action_layout import ArmTargets, encode_chunk
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.types import RobotState


@dataclass(frozen=True)
class MeasuredBody:
    """The body as it was when the pictures were taken."""


@dataclass(frozen=True)
class RolledBody:
    """The body some rows later, the pictures as they are.

    Attributes:
        probability: Share of samples that are rolled.
        longest: Most rows; 12 are 0.4 s at 30 Hz.
    """

    probability: float = 0.75
    longest: int = 12


BodySource = MeasuredBody | RolledBody


def draw_rolls(
    source: RolledBody,
    committed: Tensor,
    valid_steps: Tensor,
    generator: torch.Generator,
    *,
    prefixed: bool = False,
) -> Tensor:
    """How many rows each sample is rolled forward.

    Args:
        source: The choice.
        committed: (F,) leading rows that are the policy's own. Where there are any, and ``source``
            goes so far, a sample is rolled behind all of them, since they are no labels.
        valid_steps: (F,) recorded rows; at least one is left.
        generator: Source of the draws.
        prefixed: The head takes a prefix: a sample is rolled within its committed rows, and those
            that are left are its prefix.

    Returns:
        (F,) rows, uniform in 1..longest where a sample is rolled, else 0.
    """
    frames = len(committed)
    drawn = torch.randint(1, source.longest + 1, (frames,), generator=generator)
    rolled = torch.rand(frames, generator=generator) < source.probability
    lengths = torch.where(rolled, drawn, 0)
    own = (committed > 0) & (committed <= source.longest)
    owned = torch.minimum(lengths, committed) if prefixed else committed
    return torch.minimum(torch.where(own, owned, lengths), (valid_steps - 1).clamp(min=0))


@dataclass(frozen=True)
class RolledChunks:
    """Samples of a store as they look from bodies further along their chunks.

    Attributes:
        store: The samples.
        normalizer: Statistics of the weights.
        layout: State layout of the weights.
    """

    store: ChunkStore
    normalizer: Normalizer
    layout: str

    def batch(
        self, rows: NDArray[np.integer], rolls: NDArray[np.integer]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """States and chunks of samples, each rolled forward.

        Args:
            rows: (F,) rows of the store.
            rolls: (F,) chunk rows that are taken as executed, below the chunk's length.

        Returns:
            Normalised states (F, 32); normalised chunks (F, T, 32) that begin behind the executed
            rows, relative to the rolled body, zero where nothing is recorded; recorded rows left
            (F,).
        """
        rows, rolls = np.asarray(rows), np.asarray(rolls)
        length = self.store.meta.horizon
        targets = self.store.targets(rows)
        robot = self._rolled(rows, rolls, targets)
        later = np.minimum(np.arange(length) + rolls[:, None], length - 1)
        sample = np.arange(len(rows))[:, None]
        names = ArmTargets.__dataclass_fields__
        shifted = ArmTargets(**{name: getattr(targets, name)[sample, later] for name in names})
        chunks = self.normalizer.normalize_actions(encode_chunk(shifted, robot))
        left = self.store.column("valid_steps")[rows].astype(np.int64) - rolls
        chunks[np.arange(length) >= left[:, None]] = 0.0
        state = self.normalizer.network_state(robot, self.layout)
        return torch.from_numpy(state), torch.from_numpy(chunks), torch.from_numpy(left)

    def _rolled(
        self, rows: NDArray[np.integer], rolls: NDArray[np.integer], targets: ArmTargets
    ) -> RobotState:
        """Joints arrive where they are told, jaws move as far as they are told to.

        So a jaw that is held open by what it holds goes on to be.
        """
        seen = self.store.robot(rows)
        sample, last = np.arange(len(rows)), np.maximum(rolls - 1, 0)
        command = np.asarray(seen.command).reshape(-1, 2, ARM_ACTION_DIM)
        before = np.where(
            (rolls > 1)[:, None, None],
            targets.joint_pos[sample, np.maximum(rolls - 2, 0)],
            command[..., :JOINTS_PER_ARM],
        )
        joints, told = targets.joint_pos[sample, last], targets.jaw[sample, last]
        jaw = np.clip(seen.jaw + told - command[..., JOINTS_PER_ARM], 0.0, 1.0)
        commanded = np.concatenate([joints, told[..., None]], -1).reshape(len(rows), -1)
        reached = RobotState(
            joint_pos=joints,
            joint_vel=(joints - before) * CONTROL_HZ,
            jaw=jaw,
            tool_pos=targets.tool_pos[sample, last],
            tool_quat=targets.tool_quat[sample, last],
            command=commanded,
        )

        def chosen(name: str) -> NDArray[np.float64]:
            measured, rolled = np.asarray(getattr(seen, name)), np.asarray(getattr(reached, name))
            return np.where((rolls > 0).reshape(-1, *[1] * (measured.ndim - 1)), rolled, measured)

        return RobotState(**{name: chosen(name) for name in RobotState.__dataclass_fields__})
