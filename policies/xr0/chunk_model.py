"""The XR-0 policy network behind the runtime's chunk port.

`xr0_sim.model.policy_model` speaks relative 32-wide rows; the environment wants absolute joint
targets. This module is the way there and back: kinematics of the committed prefix, and the choice
which half of a row moves the robot.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.robot.actions import JOINT_HIGH, JOINT_LOW, join_arms, split_arms
from envs.robot.kinematics import DualArmKinematics
from policies.xr0.fit import check_instruction
from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.model.checkpoints.manifest import Manifest
from xr0_sim.model.network_options import check_temperature
from xr0_sim.model.spec.action_layout import ArmTargets, decode_joints, decode_tools
from xr0_sim.types import (
    CAPABILITIES,
    PREFIX_ONLY,
    ActionChunk,
    ChunkRequest,
    Observation,
    RobotState,
)

if TYPE_CHECKING:
    from torch import Tensor

    from policies.xr0.corrector import Corrector
    from xr0_sim.model.policy_model import PolicyModel
    from xr0_sim.model.vlm.cache import VlmCache
    from xr0_sim.runtime.correction import CorrectionRequest

DECODINGS = ("joint", "tool")
"""Which half of the 32-wide action moves the robot: joint deltas, or tool deltas through IK.

Tool deltas are what the wrist cameras see; with them a trained policy grasps better, see
``experiments/LOG.md``.
"""
DEFAULT_DECODING = "tool"
DEFAULT_HEAD = "sync"

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
        record: Of the checkpoint: instructions of other tasks are refused.
        picture_size: Side of the pictures [px] that the weights want; None takes that of the
            configuration. Released weights take any size: give 0 and they are not checked.
        head: Name of the action expert, for messages.
        cameras: Camera that shows each view of the prompt; None where they have the same names.
        corrector: Its correction head; None for a policy without.
    """

    needs_images = True

    def __init__(
        self,
        policy: PolicyModel,
        decoding: str = DEFAULT_DECODING,
        temperature: float = DEFAULT_TEMPERATURE,
        record: Manifest | None = None,
        picture_size: int | None = None,
        head: str = DEFAULT_HEAD,
        cameras: tuple[str, ...] | None = None,
        corrector: Corrector | None = None,
    ):
        if decoding not in DECODINGS:
            raise unknown_name("decoding", decoding, DECODINGS)
        check_temperature(temperature)
        self._temperature = temperature
        self._record = record or Manifest()
        self._familiar: set[str] = set()
        self.head = head
        self._cameras = policy.processor.cameras if cameras is None else cameras
        self._picture_size = policy.config.image_size if picture_size is None else picture_size
        self._warned = self._told_cold = False
        self._policy = policy
        self._decoding = decoding
        self._kinematics = DualArmKinematics()
        self._corrector = corrector

    @property
    def capabilities(self) -> frozenset[str]:
        """Names out of `xr0_sim.types.CAPABILITIES`; corrections where a head was trained."""
        lacks = {"gradient"} if self._corrector is not None else {"gradient", "correct"}
        return frozenset(CAPABILITIES) - lacks

    @property
    def horizon(self) -> int:
        """Number of actions in every chunk."""
        return self._policy.config.action_length

    @property
    def views(self) -> tuple[str, ...]:
        """Cameras it looks at, in the order of the prompt."""
        return tuple(self._cameras)

    @property
    def image_size(self) -> int:
        """Side of the square pictures the weights were trained on [px]."""
        from xr0_sim.model.spec.presets import PUBLIC_IMAGE_SIZE

        return self._picture_size or PUBLIC_IMAGE_SIZE

    @property
    def picture_size(self) -> int:
        """`image_size` where it is a must; 0 for weights that take pictures of any size."""
        return self._picture_size

    @property
    def prefix_max(self) -> int:
        """Longest prefix the head was trained for."""
        return self._policy.config.prefix_max

    @property
    def task(self) -> str | None:
        """Task the weights were trained for; None where nobody recorded it."""
        return self._record.task

    def reset(self, episode_seed: int) -> None:
        """Nothing to forget: every inference is a function of its arguments."""

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_batch([ChunkRequest(observation, prefix, noise_seed)])[0]

    def infer_batch(self, requests: Sequence[ChunkRequest]) -> list[ActionChunk]:
        """`infer` for several frames in one pass of the network.

        Raises:
            ConfigError: Pictures, prefix or instruction are none that the weights were trained on.
        """
        for request in requests:
            self._check(request)
            if request.needs - PREFIX_ONLY:
                raise ConfigError(
                    "infer_batch: expected requests without or with a prefix, got one that needs "
                    f"{', '.join(sorted(request.needs))}; leave batched out"
                )
        relative, cache = self._policy.chunk(
            *self._seen(requests),
            *self._known(requests),
            self._policy.noise([r.noise_seed for r in requests]),
            self._temperature,
        )
        chunks = self._decoded(relative, requests)
        return [replace(chunk, memory=cache.repeated(row)) for row, chunk in enumerate(chunks)]

    def infer_request(self, request: ChunkRequest) -> list[ActionChunk]:
        """See `xr0_sim.types.RequestChunkModel.infer_request`.

        Raises:
            ConfigError: See `infer_batch`; or several samples are asked for without noise.
        """
        from xr0_sim.model.vlm.cache import VlmCache

        self._check(request)
        if request.samples > 1 and self._temperature == 0:
            raise ConfigError(
                f"{request.samples} samples: expected a noise temperature above 0, at which they "
                "differ, got 0; give one, e.g. --temperature 1"
            )
        if request.guide is not None and self._temperature == 0 and not self._told_cold:
            self._told_cold = True
            warnings.warn(
                "guidance at noise temperature 0 overshoots, since the flow starts where its chunk "
                "depends steeply on the noise; give one, e.g. --temperature 1 (said once)",
                stacklevel=3,
            )
        cache = request.memory
        if request.refresh is None:
            cache = self._policy.encode(*self._seen([request]))
        if not isinstance(cache, VlmCache):
            raise ConfigError(
                f"refresh {request.refresh}: expected the memory of an inference of this model, "
                f"got {type(cache).__name__}"
            )
        request = self._rolled_forward(request)
        seed, number = request.noise_seed
        if request.noise == "tick":
            seeds = [(seed,), *((seed, k) for k in range(1, request.samples))]
            noise = self._policy.noise(seeds, request.observation.tick + len(request.assumed))
        else:
            noise = self._policy.noise(
                [(seed, number), *((seed, number, k) for k in range(1, request.samples))]
            )
        many = cache.repeated(0, request.samples)
        chunks = self._denoise(many, [request] * request.samples, noise)
        return [replace(chunk, memory=cache) for chunk in chunks]

    def flops(self, request: ChunkRequest) -> float | None:
        """See `xr0_sim.types.CountingChunkModel.flops`."""
        from policies.xr0.compute import request_flops

        return request_flops(self._policy, self._cameras, request)

    def correct(self, request: CorrectionRequest) -> NDArray[np.float64]:
        """See `xr0_sim.runtime.correction.CorrectingChunkModel.correct`."""
        return self._correction_head().correct(request)

    def correction_flops(self, request: CorrectionRequest) -> float | None:
        """See `xr0_sim.runtime.correction.CorrectingChunkModel.correction_flops`."""
        return self._correction_head().correction_flops(request)

    def _correction_head(self) -> Corrector:
        if self._corrector is None:
            raise ConfigError(
                f"head {self.head!r}: expected one with a correction head, found none; train one "
                "with xr0-sim train-correction"
            )
        return self._corrector

    def _seen(self, requests: Sequence[ChunkRequest]) -> tuple[NDArray[np.uint8], list[str]]:
        """Pictures and instructions."""
        pictures = np.stack([_pictures(r.observation, self._cameras) for r in requests])
        return pictures, [r.observation.instruction for r in requests]

    def _known(
        self, requests: Sequence[ChunkRequest]
    ) -> tuple[RobotState, list[ArmTargets | None]]:
        """Measured states and committed targets."""
        targets = [self._targets(np.asarray(r.prefix, dtype=np.float64)) for r in requests]
        return _stack([r.observation.robot for r in requests]), targets

    def _denoise(
        self, cache: VlmCache, requests: Sequence[ChunkRequest], noise: Tensor
    ) -> list[ActionChunk]:
        guided: dict[str, Any] = {}
        guide = requests[0].guide
        if guide is not None:
            target = self._arm_targets(guide.actions), np.asarray(guide.weights)
            guided = {"guides": [target] * len(requests), "strength": guide.strength}
        relative = self._policy.denoise(
            cache, *self._known(requests), noise, self._temperature, **guided
        )
        return self._decoded(relative, requests)

    def _decoded(
        self, relative: NDArray[np.float64], requests: Sequence[ChunkRequest]
    ) -> list[ActionChunk]:
        return [
            ActionChunk(self._decode(chunk, r), r.observation.tick)
            for chunk, r in zip(relative, requests, strict=True)
        ]

    def _rolled_forward(self, request: ChunkRequest) -> ChunkRequest:
        """The request with the body as it will be after the assumed actions.

        Joints arrive where they are told. Jaws move as far as they are told to, from where they
        are: one that is held open by what it holds goes on to be.
        """
        if not len(request.assumed):
            return request
        seen = request.observation
        before = np.concatenate([seen.robot.command[None], request.assumed])
        joints, jaws = split_arms(before[[0, -2, -1]])
        position, quaternion = self._kinematics.forward(joints[-1])
        robot = RobotState(
            joint_pos=joints[-1],
            joint_vel=(joints[-1] - joints[-2]) * CONTROL_HZ,
            jaw=np.clip(seen.robot.jaw + jaws[-1] - jaws[0], 0.0, 1.0),
            tool_pos=position,
            tool_quat=quaternion,
            command=before[-1],
        )
        return replace(request, observation=replace(seen, robot=robot))

    def _check(self, request: ChunkRequest) -> None:
        seen, rows = request.observation, len(request.prefix)
        size = self._picture_size
        for name in self._cameras:
            if name not in seen.images:
                continue  # said by `_pictures`, with what is missing
            shape = np.shape(seen.images[name])
            if size and shape != (size, size, 3):
                raise ConfigError(
                    f"XR-0 observation: expected pictures of {size} x {size} px, which the weights "
                    f"were trained on, got {' x '.join(map(str, shape))} of {name}; make the "
                    f"environment with image_size={size}"
                )
        if rows > self.prefix_max > 0:
            raise ConfigError(
                f"prefix: expected at most {self.prefix_max} rows, which the head was trained for, "
                f"got {rows}; lower prefix_steps of the strategy"
            )
        if rows and not self.prefix_max and not self._warned:
            self._warned = True
            warnings.warn(
                "the head was trained without a prefix and gets one; what follows is outside of "
                "its training (said once)",
                stacklevel=4,
            )
        if seen.instruction not in self._familiar:
            check_instruction(self._record, seen.instruction)
            self._familiar.add(seen.instruction)

    def said_so(self) -> None:
        """Keeps quiet about prefixes that the head was not trained for: the caller has told."""
        self._warned = True

    def _targets(self, actions: NDArray[np.float64]) -> ArmTargets | None:
        return self._arm_targets(actions) if len(actions) else None

    def _arm_targets(self, actions: NDArray[np.float64]) -> ArmTargets:
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


def _pictures(observation: Observation, views: Sequence[str]) -> NDArray[np.uint8]:
    """(views, H, W, 3), in the order of the prompt."""
    missing = [name for name in views if name not in observation.images]
    if missing:
        raise ConfigError(
            f"XR-0 observation: expected pictures of {', '.join(views)}, missing "
            f"{', '.join(missing)}; capture with images=True"
        )
    return np.stack([observation.images[name] for name in views])
