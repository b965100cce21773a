"""A task with the observation, action and attributes that LeRobot's rollout reads."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs import ENV_IDS
from envs.robot.actions import JOINT_HIGH, JOINT_LOW, to_unit
from envs.tasks import parse_task
from xr0_sim.conventions import CAMERAS, ENV_ACTION_DIM
from xr0_sim.types import RobotState


class LeRobotTask(gymnasium.Wrapper):
    """Pictures and joints in, absolute joint targets out; units of ``xr0-sim dataset export``.

    Observation: ``pixels`` (view -> (H, W, 3) uint8) and ``agent_pos`` (14,), per arm six joints
    [rad] and the jaw [0, 1]. Action: (14,) targets in the same order, clipped to the joints'
    ranges.

    Args:
        env: From `gymnasium.make`, with pictures and joint targets.

    Attributes:
        task: Name of the task.
    """

    def __init__(self, env: gymnasium.Env, task: str) -> None:
        super().__init__(env)
        self.task = task
        size = env.unwrapped.image_size  # type: ignore[attr-defined]
        low, high = JOINT_LOW.astype(np.float32), JOINT_HIGH.astype(np.float32)
        self.action_space = spaces.Box(low, high)
        picture = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.observation_space = spaces.Dict(
            {
                "pixels": spaces.Dict(dict.fromkeys(CAMERAS, picture)),
                "agent_pos": spaces.Box(-100.0, 100.0, (ENV_ACTION_DIM,), np.float32),
            }
        )

    @property
    def task_description(self) -> str:
        """The instruction in force."""
        return str(self.env.unwrapped.instruction)  # type: ignore[attr-defined]

    @property
    def _max_episode_steps(self) -> int:
        """Ticks of the longest episode, under the name that LeRobot asks for."""
        spec = self.env.spec
        assert spec is not None and spec.max_episode_steps is not None
        return spec.max_episode_steps

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Draws a scene; LeRobot's own options say nothing to a task and are dropped."""
        known = {k: v for k, v in (options or {}).items() if not k.startswith("lerobot_")}
        observation, info = self.env.reset(seed=seed, options=known or None)
        return self._shown(observation), info

    def step(
        self, action: NDArray[np.floating]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control tick of absolute targets (14,)."""
        observation, reward, terminated, truncated, info = self.env.step(to_unit(action))
        return self._shown(observation), float(reward), terminated, truncated, info

    def _shown(self, observation: dict[str, NDArray]) -> dict[str, Any]:
        robot: RobotState = self.env.unwrapped.measured_state()  # type: ignore[attr-defined]
        arms = np.concatenate([robot.joint_pos, robot.jaw[:, None]], axis=1)
        return {
            "pixels": {camera: observation[f"image_{camera}"] for camera in CAMERAS},
            "agent_pos": arms.ravel().astype(np.float32),
        }


def make_task(task: str, image_size: int, episode_length: int | None = None) -> LeRobotTask:
    """One environment.

    Args:
        task: TASK[:field=value,...].
        image_size: Side of the pictures [px].
        episode_length: Ticks after which an episode ends; None for the task's own limit.

    Raises:
        ConfigError: Unknown task, field or value.
    """
    name, arguments = parse_task(task)
    env = gymnasium.make(
        ENV_IDS[name],
        max_episode_steps=episode_length,
        observation="pixels",
        image_size=image_size,
        render_mode="rgb_array",
        **arguments,
    )
    return LeRobotTask(env, name)
