"""The XR-0 policy network behind the runtime's chunk port.

Everything between the network's normalised, relative, 32-wide world and the environment's absolute
joint targets happens here: prompts and pictures, the state layout, re-anchoring of the committed
prefix to the new observation, and the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from assets import CHECKPOINT_DIR, checkpoint_names
from envs.actions import join_arms, split_arms
from envs.kinematics import DualArmKinematics
from xr0_sim.conventions import CAMERAS, ENV_ACTION_DIM
from xr0_sim.errors import CheckpointError, ConfigError, unknown_name
from xr0_sim.model.action_layout import (
    LAYOUT_DIM,
    ArmTargets,
    decode_joints,
    decode_tools,
    encode_chunk,
    encode_state,
)
from xr0_sim.types import ActionChunk, Observation, RobotState

if TYPE_CHECKING:
    import torch

    from xr0_sim.model.normalizer import Normalizer
    from xr0_sim.model.processor import XR0Processor
    from xr0_sim.model.vla import XR0ForActionGeneration

DECODINGS = ("joint", "tool")
"""Which half of the 32-wide action moves the robot: joint deltas, or tool deltas through IK."""


@dataclass(frozen=True)
class Request:
    """One frame to infer: observation, committed prefix (d, 14), seed of the flow noise."""

    observation: Observation
    prefix: NDArray[np.float64]
    noise_seed: tuple[int, int]


class XR0ChunkModel:
    """Implements `xr0_sim.types.ChunkModel` with a trained checkpoint.

    Args:
        model: Network in evaluation mode.
        processor: Prompts and pictures.
        normalizer: Statistics of states and actions.
        decoding: One of `DECODINGS`.
    """

    needs_images = True

    def __init__(
        self,
        model: XR0ForActionGeneration,
        processor: XR0Processor,
        normalizer: Normalizer,
        decoding: str = "joint",
    ):
        if decoding not in DECODINGS:
            raise unknown_name("decoding", decoding, DECODINGS)
        self._model = model
        self._processor = processor
        self._normalizer = normalizer
        self._decoding = decoding
        self._kinematics = DualArmKinematics()

    @property
    def horizon(self) -> int:
        """Number of actions in every chunk."""
        return self._model.config.action_length

    @property
    def image_size(self) -> int:
        """Side of the square pictures the weights were trained on [px]."""
        return self._model.config.image_size

    @property
    def prefix_max(self) -> int:
        """Longest prefix the head was trained for."""
        return self._model.config.prefix_max

    def reset(self, episode_seed: int) -> None:
        """Nothing to forget: every inference is a function of its arguments."""

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_batch([Request(observation, prefix, noise_seed)])[0]

    def infer_batch(self, requests: Sequence[Request]) -> list[ActionChunk]:
        """`infer` for several frames in one pass of the network."""
        import torch

        images = np.stack([_pictures(r.observation) for r in requests])
        texts = [r.observation.instruction for r in requests]
        layout = self._model.config.state_layout
        states = [encode_state(r.observation.robot, layout) for r in requests]
        prefix, lengths = self._anchor(requests)
        generators = [_generator(r.noise_seed) for r in requests]
        with torch.no_grad():
            cache = self._model.encode(self._processor(images, texts))
            rows = self._model.sample_actions(
                cache,
                torch.from_numpy(self._normalizer.normalize_state(np.stack(states))),
                torch.from_numpy(prefix),
                torch.from_numpy(lengths),
                generators,
            )
        relative = self._normalizer.denormalize_actions(rows.numpy())
        return [
            ActionChunk(self._decode(chunk, r), r.observation.tick)
            for chunk, r in zip(relative, requests, strict=True)
        ]

    def _anchor(self, requests: Sequence[Request]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Committed rows relative to the new observation: (B, d, 32) normalised, lengths (B,)."""
        lengths = np.array([len(r.prefix) for r in requests], dtype=np.int64)
        out = np.zeros((len(requests), int(lengths.max(initial=0)), LAYOUT_DIM), dtype=np.float32)
        for row, request, length in zip(out, requests, lengths, strict=True):
            if length:
                targets = self._targets(np.asarray(request.prefix, dtype=np.float64))
                relative = encode_chunk(targets, request.observation.robot)
                row[:length] = self._normalizer.normalize_actions(relative)
        return out, lengths

    def _targets(self, actions: NDArray[np.float64]) -> ArmTargets:
        joints, _ = split_arms(actions)
        return ArmTargets.from_actions(actions, *self._kinematics.forward(joints))

    def _decode(self, relative: NDArray[np.float64], request: Request) -> NDArray[np.float64]:
        """Relative rows (T, 32) -> absolute actions (T, 14), the prefix repeated exactly."""
        robot = request.observation.robot
        if self._decoding == "joint":
            actions = decode_joints(relative, robot)
        else:
            actions = self._solve(relative, robot)
        joints, jaws = split_arms(actions)
        actions = join_arms(joints, jaws.clip(0.0, 1.0))
        actions[: len(request.prefix)] = request.prefix
        return actions

    def _solve(self, relative: NDArray[np.float64], robot: RobotState) -> NDArray[np.float64]:
        """Joint targets whose tools follow the predicted tool deltas."""
        position, quaternion, jaws = decode_tools(relative, robot)
        actions = np.empty((len(relative), ENV_ACTION_DIM))
        joints = robot.joint_pos
        for i in range(len(relative)):
            joints = self._kinematics.inverse(joints, position[i], quaternion[i], iterations=2)
            actions[i] = join_arms(joints, jaws[i])
        return actions


def _pictures(observation: Observation) -> NDArray[np.uint8]:
    missing = [name for name in CAMERAS if name not in observation.images]
    if missing:
        raise ConfigError(
            f"XR-0 observation: expected pictures of {', '.join(CAMERAS)}, missing "
            f"{', '.join(missing)}; capture with images=True"
        )
    return np.stack([observation.images[name] for name in CAMERAS])


def _generator(noise_seed: tuple[int, int]) -> torch.Generator:
    import torch

    word = np.random.SeedSequence(noise_seed).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(word >> np.uint64(1)))


def find_checkpoint(name: str | Path | None) -> Path:
    """Directory of a checkpoint: a shipped name, a path, or the only shipped one for None."""
    names = checkpoint_names()
    if name is None:
        if not names:
            raise CheckpointError(
                f"checkpoint: expected one in {CHECKPOINT_DIR}, found none; train one with "
                "xr0-sim train or name a directory"
            )
        return CHECKPOINT_DIR / names[0]
    for path in (CHECKPOINT_DIR / name, Path(name)):
        if (path / "config.json").is_file():
            return path
    raise unknown_name("checkpoint", str(name), names)


def load_chunk_model(
    checkpoint: str | Path | None = None, head: str = "sync", decoding: str = "joint"
) -> XR0ChunkModel:
    """Loads one head of a checkpoint.

    Args:
        checkpoint: Shipped name or directory; None takes the shipped one.
        head: Action expert, e.g. ``sync``, ``prefix``, ``prefix_lambda``.
        decoding: One of `DECODINGS`.
    """
    from xr0_sim.model.checkpoint import load_brain, load_config, load_head, load_normalizer
    from xr0_sim.model.processor import XR0Processor
    from xr0_sim.model.vla import XR0ForActionGeneration

    directory = find_checkpoint(checkpoint)
    config = load_config(directory, head)
    model = XR0ForActionGeneration(config).eval()
    load_brain(directory, model.vlm)
    load_head(directory, head, model.expert)
    return XR0ChunkModel(model, XR0Processor(config), load_normalizer(directory), decoding)
