"""Released XR-0 weights on a benchmark's single arm: LIBERO's conventions around the network.

From the public evaluation on LIBERO: two views, base and left wrist; state of tool position, tool
rotation vector and both finger positions, padded to 32 and not normalised; chunks of ten rows
whose first seven entries are the benchmark's action as it is. A row is a displacement by itself, so
committed rows need no translation: they are the network's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from policies.xr0.checkpoints import find_checkpoint
from policies.xr0.released_model import load_released_policy
from xr0_sim.conventions import ARM_ACTION_DIM, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.model.network_options import NetworkOptions
from xr0_sim.model.spec.action_layout import LAYOUT_DIM
from xr0_sim.types import CAPABILITIES, ActionChunk, ChunkRequest, Observation, RobotState

if TYPE_CHECKING:
    from xr0_sim.model.policy_model import PolicyModel
    from xr0_sim.model.vlm.cache import VlmCache

TASK = "libero"
VIEWS = ("base", "left_wrist")
"""Views of the prompt, in its order."""
FINGERS = slice(7, 9)
"""Where a Panda's finger positions stand in its joints, see `envs.outside.reading`."""
TEMPERATURE = 1.0
"""The public evaluation starts every chunk from full noise."""


def panda_state(robot: RobotState) -> NDArray[np.float32]:
    """(32,) state of a Panda as the network reads it.

    Args:
        robot: A single arm, laid out as `envs.outside.reading` says.
    """
    state = np.zeros(LAYOUT_DIM, np.float32)
    state[0:3] = robot.tool_pos[0]
    state[3:6] = whole_rotvec(robot.tool_quat[0])
    state[6:8] = robot.joint_pos.ravel()[FINGERS]
    return state


def whole_rotvec(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation vector of 0 .. 2 pi [rad] of a quaternion wxyz, as LIBERO's own evaluation forms it.

    A hand that points down is turned by about pi, where the shortest rotation vector changes its
    sign from one tick to the next; this one does not.
    """
    w = float(np.clip(quat[0], -1.0, 1.0))
    sine = np.sqrt(1.0 - w * w)
    return np.zeros(3) if np.isclose(sine, 0.0) else np.asarray(quat[1:]) * 2 * np.arccos(w) / sine


class SingleArmModel:
    """Implements `xr0_sim.types.RequestChunkModel` with released weights.

    Args:
        policy: Network, processor and statistics.
        temperature: Factor on the flow noise, 0 .. 1.
        cameras: Camera that shows each view of the prompt.
    """

    needs_images = True
    capabilities = frozenset(CAPABILITIES) - {"gradient", "roll_forward"}

    def __init__(
        self, policy: PolicyModel, temperature: float = TEMPERATURE, cameras: Sequence[str] = VIEWS
    ) -> None:
        self._policy, self._temperature = policy, temperature
        self.views = tuple(cameras)

    @property
    def horizon(self) -> int:
        """Number of actions in every chunk."""
        return self._policy.config.action_length

    def reset(self, episode_seed: int) -> None:
        """Nothing to forget: every inference is a function of its arguments."""

    def infer(
        self, observation: Observation, prefix: NDArray[np.float64], noise_seed: tuple[int, int]
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]

    def infer_request(self, request: ChunkRequest) -> list[ActionChunk]:
        """See `xr0_sim.types.RequestChunkModel.infer_request`.

        Raises:
            ConfigError: A picture is missing, or several samples are asked for without noise.
        """
        if request.samples > 1 and not self._temperature:
            raise ConfigError(
                f"expected a temperature above 0 for {request.samples} different samples of an "
                "inference; give --temperature 1"
            )
        cache = self._encode(request)
        seed, number = request.noise_seed
        if request.noise == "tick":
            seeds = [(seed,), *((seed, k) for k in range(1, request.samples))]
            noise = self._policy.noise(seeds, request.observation.tick)
        else:
            seeds = [(seed, number), *((seed, number, k) for k in range(1, request.samples))]
            noise = self._policy.noise(seeds)
        guided: dict[str, Any] = {}
        if request.guide is not None:
            soft = network_rows(request.guide.actions), np.asarray(request.guide.weights)
            guided = {"guides": [soft] * request.samples, "strength": request.guide.strength}
        rows = self._policy.denoise_rows(
            cache.repeated(0, request.samples),
            np.tile(panda_state(request.observation.robot), (request.samples, 1)),
            [network_rows(request.prefix) if len(request.prefix) else None] * request.samples,
            noise,
            self._temperature,
            **guided,
        )
        tick = request.observation.tick
        return [ActionChunk(chunk_actions(own, request.prefix), tick, cache) for own in rows]

    def flops(self, request: ChunkRequest) -> float | None:
        """See `xr0_sim.types.CountingChunkModel.flops`."""
        from policies.xr0.compute import request_flops

        return request_flops(self._policy, self.views, request)

    def _encode(self, request: ChunkRequest) -> VlmCache:
        from xr0_sim.model.vlm.cache import VlmCache

        if request.refresh is not None:
            if not isinstance(request.memory, VlmCache):
                raise ConfigError(
                    "refresh: expected the memory of an inference of this model, got "
                    f"{type(request.memory).__name__}"
                )
            return request.memory
        seen = request.observation
        missing = [name for name in self.views if name not in seen.images]
        if missing:
            raise ConfigError(
                f"XR-0 observation: expected pictures of {', '.join(self.views)}, missing "
                f"{', '.join(missing)}; capture with images=True"
            )
        pictures = np.stack([seen.images[name] for name in self.views])[None]
        return self._policy.encode(pictures, [seen.instruction])


def network_rows(actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (n, 32) of actions (n, 14) of a single arm."""
    rows = np.zeros((len(actions), LAYOUT_DIM))
    rows[:, :ARM_ACTION_DIM] = np.asarray(actions)[:, :ARM_ACTION_DIM]
    return rows


def chunk_actions(rows: NDArray[np.float64], prefix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Actions (T, 14) of network rows (T, 32), within what the controller takes.

    Args:
        rows: Of a chunk.
        prefix: (d, 14) committed actions, which come first as they were.
    """
    actions = np.zeros((len(rows), ENV_ACTION_DIM))
    actions[:, :ARM_ACTION_DIM] = np.clip(rows[:, :ARM_ACTION_DIM], -1.0, 1.0)
    actions[: len(prefix)] = prefix
    return actions


def load_single_arm(weights: NetworkOptions) -> SingleArmModel:
    """Loads a released checkpoint for LIBERO.

    Args:
        weights: Which, and how it computes.

    Raises:
        ConfigError: An option that does not fit the checkpoint.
        CheckpointError: Its files are damaged or do not belong together.
    """
    known = NetworkOptions.__dataclass_fields__
    given = {name: value for name, value in asdict(weights).items() if name in known}
    options = NetworkOptions(**given)
    if options.views is None:
        options = replace(options, views=VIEWS)
    policy, _, cameras = load_released_policy(find_checkpoint(options.checkpoint), options, TASK)
    temperature = TEMPERATURE if options.temperature is None else options.temperature
    return SingleArmModel(policy, temperature, cameras)
