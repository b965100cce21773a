"""Released XR-0 weights on a benchmark's single arm, see `policies.xr0.arm_kinds`.

The state is padded to 32 and not normalised, the first seven entries of a row are an action. A row
is a displacement by itself, so on LIBERO, whose actions are the rows as they are, committed rows
need no translation: they are the network's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from policies.xr0.arm_kinds import ARM_KINDS, ArmKind, within_range
from policies.xr0.checkpoints import find_checkpoint
from policies.xr0.released_model import load_released_policy
from xr0_sim.conventions import ARM_ACTION_DIM, ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.model.network_options import NetworkOptions
from xr0_sim.model.spec.action_layout import LAYOUT_DIM
from xr0_sim.types import ActionChunk, ChunkRequest, Observation

if TYPE_CHECKING:
    from xr0_sim.model.policy_model import PolicyModel
    from xr0_sim.model.vlm.cache import VlmCache

TEMPERATURE = 1.0
"""The public evaluation starts every chunk from full noise."""
USUAL = "libero"
ALWAYS = frozenset({"samples", "refresh", "tick_noise"})


class SingleArmModel:
    """Implements `xr0_sim.types.RequestChunkModel` with released weights.

    Args:
        policy: Network, processor and statistics.
        temperature: Factor on the flow noise, 0 .. 1.
        cameras: Camera that shows each view of the prompt.
        kind: The arm.
    """

    needs_images = True

    def __init__(
        self, policy: PolicyModel, temperature: float, cameras: Sequence[str], kind: ArmKind
    ) -> None:
        self._policy, self._temperature, self.kind = policy, temperature, kind
        self.views = tuple(cameras)

    @property
    def capabilities(self) -> frozenset[str]:
        """What it can do: committed rows only where an action is a row as it is."""
        plain = self.kind.actions is within_range
        return ALWAYS | {"prefix", "guide"} if plain else ALWAYS

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
            np.tile(self.kind.state(request.observation.robot), (request.samples, 1)),
            [network_rows(request.prefix) if len(request.prefix) else None] * request.samples,
            noise,
            self._temperature,
            **guided,
        )
        tick = request.observation.tick
        return [ActionChunk(self._actions(own, request.prefix), tick, cache) for own in rows]

    def _actions(
        self, rows: NDArray[np.float64], prefix: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Actions (T, 14) of network rows (T, 32); the prefix (d, 14) comes first as it was."""
        actions = np.zeros((len(rows), ENV_ACTION_DIM))
        actions[:, :ARM_ACTION_DIM] = self.kind.actions(rows[:, :ARM_ACTION_DIM])
        actions[: len(prefix)] = prefix
        return actions

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
        pictures = [np.asarray(seen.images[name])[None] for name in self.views]
        return self._policy.encode(pictures, [seen.instruction])


def network_rows(actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (n, 32) of actions (n, 14) of a single arm."""
    rows = np.zeros((len(actions), LAYOUT_DIM))
    rows[:, :ARM_ACTION_DIM] = np.asarray(actions)[:, :ARM_ACTION_DIM]
    return rows


def load_single_arm(weights: NetworkOptions) -> SingleArmModel:
    """Loads a released checkpoint for the arm that its robot type is of; a Panda if of none.

    Args:
        weights: Which, and how it computes.

    Raises:
        ConfigError: An option that does not fit the checkpoint.
        CheckpointError: Its files are damaged or do not belong together.
    """
    known = NetworkOptions.__dataclass_fields__
    given = {name: value for name, value in asdict(weights).items() if name in known}
    options = NetworkOptions(**given)
    named = [task for task, kind in ARM_KINDS.items() if kind.robot_type == options.robot_type]
    task = named[0] if named else USUAL
    kind = ARM_KINDS[task]
    if options.views is None:
        options = replace(options, views=kind.views)
    policy, _, cameras = load_released_policy(find_checkpoint(options.checkpoint), options, task)
    temperature = TEMPERATURE if options.temperature is None else options.temperature
    return SingleArmModel(policy, temperature, cameras, kind)
