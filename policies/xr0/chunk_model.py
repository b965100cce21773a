"""The XR-0 policy network behind the runtime's chunk port.

`xr0_sim.model.policy_model` speaks relative 32-wide rows; the environment wants absolute joint
targets. This module is the way there and back: kinematics of the committed prefix, and the choice
which half of a row moves the robot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import JOINT_HIGH, JOINT_LOW, join_arms, split_arms
from envs.robot.kinematics import DualArmKinematics
from policies.xr0.checkpoints import find_checkpoint
from xr0_sim.conventions import CAMERAS, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.compute.devices import DEFAULT_DEVICE
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS, check_precision
from xr0_sim.model.spec.action_layout import ArmTargets, decode_joints, decode_tools
from xr0_sim.types import ActionChunk, ChunkRequest, Observation, RobotState

if TYPE_CHECKING:
    from xr0_sim.model.policy_model import PolicyModel

DECODINGS = ("joint", "tool")
"""Which half of the 32-wide action moves the robot: joint deltas, or tool deltas through IK.

Tool deltas are what the wrist cameras see; with them a trained policy grasps better, see
``experiments/LOG.md``.
"""
DEFAULT_DECODING = "tool"

DEFAULT_TEMPERATURE = 0.0
"""Factor on the noise a chunk starts from.

With full noise every inference draws a way of its own, and a small policy then wavers between two
bricks until time is up: see ``experiments/LOG.md``.
"""


class XR0ChunkModel:
    """Implements `xr0_sim.types.ChunkModel` with a trained checkpoint.

    Args:
        policy: Network, processor and statistics.
        decoding: One of `DECODINGS`.
        temperature: Factor on the flow noise, 0 .. 1.
    """

    needs_images = True

    def __init__(
        self,
        policy: PolicyModel,
        decoding: str = DEFAULT_DECODING,
        temperature: float = DEFAULT_TEMPERATURE,
    ):
        if decoding not in DECODINGS:
            raise unknown_name("decoding", decoding, DECODINGS)
        if not 0.0 <= temperature <= 1.0:
            raise ConfigError(f"temperature: expected 0 .. 1, got {temperature:g}")
        self._temperature = temperature
        self._policy = policy
        self._decoding = decoding
        self._kinematics = DualArmKinematics()

    @property
    def horizon(self) -> int:
        """Number of actions in every chunk."""
        return self._policy.config.action_length

    @property
    def image_size(self) -> int:
        """Side of the square pictures the weights were trained on [px]."""
        return self._policy.config.image_size

    @property
    def prefix_max(self) -> int:
        """Longest prefix the head was trained for."""
        return self._policy.config.prefix_max

    def reset(self, episode_seed: int) -> None:
        """Nothing to forget: every inference is a function of its arguments."""

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_batch([ChunkRequest(observation, prefix, noise_seed)])[0]

    def infer_batch(self, requests: Sequence[ChunkRequest]) -> list[ActionChunk]:
        """`infer` for several frames in one pass of the network."""
        relative = self._policy.predict(
            np.stack([_pictures(r.observation) for r in requests]),
            [r.observation.instruction for r in requests],
            _stack([r.observation.robot for r in requests]),
            [self._targets(np.asarray(r.prefix, dtype=np.float64)) for r in requests],
            [r.noise_seed for r in requests],
            self._temperature,
        )
        return [
            ActionChunk(self._decode(chunk, r), r.observation.tick)
            for chunk, r in zip(relative, requests, strict=True)
        ]

    def _targets(self, actions: NDArray[np.float64]) -> ArmTargets | None:
        if not len(actions):
            return None
        joints, _ = split_arms(actions)
        return ArmTargets.from_actions(actions, *self._kinematics.forward(joints))

    def _decode(self, relative: NDArray[np.float64], request: ChunkRequest) -> NDArray[np.float64]:
        """Relative rows (T, 32) -> absolute actions (T, 14) in range, the prefix as it was."""
        robot = request.observation.robot
        if self._decoding == "joint":
            actions = decode_joints(relative, robot)
        else:
            actions = self._solve(relative, robot)
        # A later inference gets these rows as its prefix, so they must be ones the robot can reach.
        actions = actions.clip(JOINT_LOW, JOINT_HIGH)
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


def _stack(robots: Sequence[RobotState]) -> RobotState:
    """States with a leading batch axis."""
    columns = {f.name: np.stack([getattr(r, f.name) for r in robots]) for f in fields(RobotState)}
    return RobotState(**columns)


def _pictures(observation: Observation) -> NDArray[np.uint8]:
    missing = [name for name in CAMERAS if name not in observation.images]
    if missing:
        raise ConfigError(
            f"XR-0 observation: expected pictures of {', '.join(CAMERAS)}, missing "
            f"{', '.join(missing)}; capture with images=True"
        )
    return np.stack([observation.images[name] for name in CAMERAS])


def resolve_precision(
    checkpoint: str | Path | None, head: str, precision: str, device: str = DEFAULT_DEVICE
) -> str:
    """Number format that a checkpoint runs in on a device: what ``auto`` stands for."""
    check_precision(precision)
    from xr0_sim.model.checkpoints.shipped import load_config
    from xr0_sim.model.compute.devices import choose_device
    from xr0_sim.model.policy_model import policy_precision

    config = load_config(find_checkpoint(checkpoint), head)
    return policy_precision(config, precision, choose_device(device))


def load_chunk_model(
    checkpoint: str | Path | None = None,
    head: str = "sync",
    decoding: str = DEFAULT_DECODING,
    temperature: float = DEFAULT_TEMPERATURE,
    precision: str = DEFAULT_PRECISION,
    device: str = DEFAULT_DEVICE,
    vlm_weights: str = STORED_WEIGHTS,
    compile: bool = False,
) -> XR0ChunkModel:
    """Loads one head of a checkpoint.

    Args:
        checkpoint: Shipped name or directory; None takes the first shipped one by name,
            ``block_dismantling``.
        head: Action expert, e.g. ``sync``, ``prefix``, ``prefix_lambda``.
        decoding: One of `DECODINGS`.
        temperature: Factor on the flow noise, 0 .. 1.
        precision: Number format of the network, one of
            `xr0_sim.model.compute.precision.PRECISIONS`.
        device: Where the network runs, see `xr0_sim.model.compute.devices`.
        vlm_weights: How the VLM's weights are kept, see `xr0_sim.model.compute.weight_only`.
        compile: Compile the Euler step, see `xr0_sim.model.action_expert.sampler.FlowSampler`.
    """
    from xr0_sim.model.policy_model import load_policy_model

    path = find_checkpoint(checkpoint)
    policy = load_policy_model(path, head, precision, device, vlm_weights, compile)
    return XR0ChunkModel(policy, decoding, temperature)
