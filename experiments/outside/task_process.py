"""A task of ours for a harness in another Python environment.

Run by `xr0_sim.outside.process`; the harness holds the clock, decides actions and counts.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from envs.tasks import make_env, task_spec
from envs.world import DEFAULT_WORLD
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import choose_events, time_limit_ticks
from xr0_sim.types import RobotState


class TaskProcess:
    """Scene and physics of a task; absolute joint and jaw targets in, observations out.

    Args:
        env: ``TASK[:field=value,...]``.
        event: What happens, as the command line has it.
        image_size: Side of the pictures [px]; 0 for the world's.
        world: World; "" for the default.
    """

    CALLS: ClassVar[tuple[str, ...]] = ("describe", "reset", "step")

    def __init__(self, env: str, event: str, image_size: int, world: str) -> None:
        options = TaskOptions(env=env, world=world or None)
        env_kwargs = options.env_kwargs()
        self._limit = time_limit_ticks(options.task, env_kwargs, None)
        hz = task_spec(options.task).rate(env_kwargs)
        place = env_kwargs.get("world", DEFAULT_WORLD)
        self._events = choose_events(options.task, event, self._limit, place, hz)
        self._scene = make_env(options.task, image_size=image_size or None, **env_kwargs)

    def describe(self) -> dict[str, Any]:
        """Time limit [ticks] and control rate [Hz]."""
        return {"max_steps": self._limit, "control_hz": self._scene.control_hz}

    def reset(self, seed: int) -> dict[str, Any]:
        """The first observation of a seed."""
        self._scene.reset_scene(seed, {"events": list(self._events)})
        return self._seen()

    def step(self, action: NDArray[np.float64]) -> dict[str, Any]:
        """One tick; ``told`` says what came of it."""
        reward, terminated, truncated, info = self._scene.advance(action)
        told = {
            "reward": float(reward),
            "over": bool(terminated or truncated),
            "success": bool(info["success"]),
            "progress": float(info["progress"]),
        }
        return {**self._seen(), "told": told}

    def _seen(self) -> dict[str, Any]:
        seen = self._scene.observe()
        robot = seen.robot
        joints = np.concatenate([robot.joint_pos, robot.jaw[:, None]], axis=1).ravel()
        return {
            "images": dict(seen.images),
            "instruction": seen.instruction,
            "states": joints,
            "robot": {f.name: np.asarray(getattr(robot, f.name)) for f in fields(RobotState)},
            "tick": seen.tick,
        }
