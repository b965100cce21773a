"""A policy of ours for a harness in another Python environment.

Run by `xr0_sim.outside.process`. What the harness shows is laid out as one of our observations:
its LIBERO (``agentview``, ``wrist``, a state of tool position, rotation vector and fingers) as the
single arm that `policies.xr0.single_arm` knows, our own tasks as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from envs.libero.suites import instruction_words
from envs.tasks import make_env, task_spec
from experiments.options.network_options import WeightOptions
from experiments.options.task_options import TaskOptions
from policies.table import policy_spec
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.rotations import quat_from_rotvec
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import ROBOT_SHAPES, Observation, RobotState, no_prefix

LIBERO = "libero"
LIBERO_VIEWS = {"agentview": "base", "wrist": "left_wrist"}
"""Picture of vla-eval's LIBERO -> our name of the view."""


def libero_observation(seen: Mapping[str, Any], tick: int) -> Observation:
    """An observation of vla-eval's LIBERO as one of a single arm.

    Args:
        seen: ``images``, ``states`` (8,) and ``task_description``.
        tick: Step of the episode.

    Raises:
        ConfigError: Something is missing.
    """
    missing = [name for name in LIBERO_VIEWS if name not in seen.get("images", {})]
    missing += [name for name in ("states", "task_description") if name not in seen]
    if missing:
        raise ConfigError(
            f"LIBERO observation: expected {', '.join(missing)}; set send_wrist_image and "
            "send_state of the benchmark"
        )
    state = np.asarray(seen["states"], dtype=np.float64)
    if state.shape != (8,):
        raise ConfigError(f"LIBERO observation: expected states (8,), got {state.shape}")
    joints = np.zeros(12)
    joints[7:9] = state[6:8]
    robot = RobotState(
        joint_pos=joints.reshape(2, 6),
        joint_vel=np.zeros((2, 6)),
        jaw=np.zeros(2),
        tool_pos=np.stack([state[:3], np.zeros(3)]),
        tool_quat=np.stack([quat_from_rotvec(state[3:6]), [1.0, 0.0, 0.0, 0.0]]),
        command=np.zeros(14),
    )
    images = {ours: np.asarray(seen["images"][name]) for name, ours in LIBERO_VIEWS.items()}
    return Observation(tick, 0, robot, images, instruction_words(str(seen["task_description"])))


def own_observation(seen: Mapping[str, Any], tick: int) -> Observation:
    """An observation of one of our tasks, as `experiments.outside.task_process` told it.

    Raises:
        ConfigError: Something is missing, or of another shape.
    """
    told = seen.get("robot", {})
    for name, shape in ROBOT_SHAPES.items():
        if np.shape(told.get(name)) != shape:
            raise ConfigError(f"robot: expected {name} {shape}, got {np.shape(told.get(name))}")
    robot = RobotState(**{name: np.asarray(told[name], np.float64) for name in ROBOT_SHAPES})
    return Observation(tick, 0, robot, seen["images"], str(seen["task_description"]))


class PolicyProcess:
    """A loaded policy.

    Args:
        benchmark: ``libero``, or a task of ours.
        policy: ``name[:field=value,...]``.
        checkpoint: Its weights; "" for the shipped ones of the task.
        options: Further fields of `WeightOptions`, and ``head``.
    """

    CALLS: ClassVar[tuple[str, ...]] = ("describe", "predict")

    def __init__(
        self, benchmark: str, policy: str, checkpoint: str, options: Mapping[str, Any]
    ) -> None:
        given = dict(options)
        head, world = given.pop("head", None), given.pop("world", None)
        chosen = TaskOptions(env=benchmark, world=None if benchmark == LIBERO else world)
        task, env_kwargs = chosen.task, chosen.env_kwargs()
        weights = WeightOptions(checkpoint=checkpoint or None, **given).weights_of(
            task, policy, Sync(), head, env_kwargs.get("world")
        )
        loaded = policy_spec(policy).load(weights)
        self._single = task == LIBERO
        scene: Any = None
        if not self._single:
            scene = make_env(task, image_size=loaded.image_size, **env_kwargs)
            scene.reset_scene(0)
        self._model = loaded.bind(scene)
        rows = min(task_spec(task).execution_horizon, self._model.horizon)
        self._described = {
            "execution_horizon": rows,
            "horizon": self._model.horizon,
            "views": list(getattr(self._model, "views", ())) if loaded.looks else [],
            "image_size": loaded.image_size or 0,
        }

    def describe(self) -> dict[str, Any]:
        """Horizons, views and picture size."""
        return self._described

    def predict(
        self, observation: Mapping[str, Any], seed: int, number: int, tick: int
    ) -> dict[str, Any]:
        """A chunk of the harness's actions, (T, 7) on LIBERO, (T, 14) on our tasks.

        Args:
            observation: As the harness shows it.
            seed: Of the episode's sampling noise.
            number: Of the inference in its episode.
            tick: Step of the episode.
        """
        read = libero_observation if self._single else own_observation
        if number == 0:
            self._model.reset(seed)
        chunk = self._model.infer(read(observation, tick), no_prefix(), (seed, number))
        return {"actions": chunk.actions[:, : ARM_ACTION_DIM if self._single else None]}
