"""The environment's configuration as LeRobot parses it."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import gymnasium
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from lerobot.utils.constants import ACTION, OBS_IMAGES, OBS_STATE

from lerobot_env_xr0_sim.env import LeRobotTask, make_task
from xr0_sim.conventions import CAMERAS, CONTROL_HZ, ENV_ACTION_DIM

STATE = "agent_pos"
VIEWS = {f"pixels/{camera}": f"{OBS_IMAGES}.{camera}" for camera in CAMERAS}


@EnvConfig.register_subclass("xr0_sim")
@dataclass
class XR0SimEnv(EnvConfig):
    """A task of xr0-sim.

    Attributes:
        task: TASK[:field=value,...], as in ``xr0-sim rollout --env``.
        fps: Control rate [Hz]; fixed.
        image_size: Side of the square pictures [px].
        episode_length: Ticks after which an episode ends; None for the task's own limit.
        features: Set here.
        features_map: Set here.
    """

    task: str | None = "block_dismantling"
    fps: int = CONTROL_HZ
    image_size: int = 128
    episode_length: int | None = None
    features: dict[str, PolicyFeature] = field(default_factory=dict)
    features_map: dict[str, str] = field(
        default_factory=lambda: {ACTION: ACTION, STATE: OBS_STATE, **VIEWS}
    )

    def __post_init__(self) -> None:
        """Fills the features in, whose pictures have the size that was asked for."""
        if self.fps != CONTROL_HZ:
            raise ValueError(f"fps: expected {CONTROL_HZ}, got {self.fps}")
        shape = (self.image_size, self.image_size, 3)
        self.features = {
            ACTION: PolicyFeature(FeatureType.ACTION, (ENV_ACTION_DIM,)),
            STATE: PolicyFeature(FeatureType.STATE, (ENV_ACTION_DIM,)),
            **{view: PolicyFeature(FeatureType.VISUAL, shape) for view in VIEWS},
        }

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `make_task`."""
        return {
            "task": str(self.task),
            "image_size": self.image_size,
            "episode_length": self.episode_length,
        }

    def create_envs(
        self, n_envs: int, use_async_envs: bool = False
    ) -> dict[str, dict[int, gymnasium.vector.VectorEnv]]:
        """``{"xr0_sim": {0: environments}}``."""
        from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

        make: list[functools.partial[LeRobotTask]] = [
            functools.partial(make_task, **self.gym_kwargs) for _ in range(n_envs)
        ]
        mode = AutoresetMode.SAME_STEP
        if use_async_envs and n_envs > 1:
            vector: gymnasium.vector.VectorEnv = AsyncVectorEnv(
                make, autoreset_mode=mode, context="forkserver"
            )
        else:
            vector = SyncVectorEnv(make, autoreset_mode=mode)
        return {self.type: {0: vector}}
