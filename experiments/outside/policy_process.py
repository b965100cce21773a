"""A policy of ours for a harness in another Python environment.

Run by `xr0_sim.outside.process`. What the harness shows is laid out as one of our observations:
its LIBERO, CALVIN and SimplerEnv as the single arms that `policies.xr0.arm_kinds` knows, our own
tasks as they are.
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
from policies.xr0.arm_kinds import ARM_KINDS, CALVIN_OPENING, FINGERS, cropped
from xr0_sim.conventions import ARM_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.rotations import quat_from_rotvec, quat_multiply
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import ROBOT_SHAPES, Observation, RobotState, no_prefix

LIBERO = "libero"
CALVIN = ("calvin_abc", "calvin_abcd")
VIEWS = {
    LIBERO: {"agentview": "base", "wrist": "left_wrist"},
    "simpler_widowx": {"primary": "base"},
    "simpler_google": {"primary": "base"},
    **{name: {"rgb_static": "base", "rgb_gripper": "left_wrist"} for name in CALVIN},
}
"""Benchmark of vla-eval -> its pictures, by our names of the views."""


def arm_observation(benchmark: str, seen: Mapping[str, Any], tick: int) -> Observation:
    """An observation of a benchmark of vla-eval as one of a single arm.

    Args:
        benchmark: Key of `VIEWS`.
        seen: ``images``, ``task_description`` and ``states`` (8,): on LIBERO tool position,
            rotation vector and fingers, on CALVIN tool position, roll-pitch-yaw, opening [m] and
            the last gripper action, else tool position, quaternion wxyz and opening.
        tick: Step of the episode.

    Raises:
        ConfigError: Something is missing, or of another shape.
    """
    missing = [name for name in VIEWS[benchmark] if name not in seen.get("images", {})]
    missing += [name for name in ("states", "task_description") if name not in seen]
    if missing:
        raise ConfigError(
            f"observation of {benchmark}: expected {', '.join(missing)}; set send_state, and on "
            "LIBERO and CALVIN send_wrist_image, of the benchmark"
        )
    state = np.asarray(seen["states"], dtype=np.float64)
    if state.shape != (8,):
        raise ConfigError(f"observation of {benchmark}: expected states (8,), got {state.shape}")
    joints, sizes = np.zeros(12), ARM_KINDS[benchmark].pictures
    if benchmark == LIBERO:
        joints[FINGERS], turn, opening = state[6:8], quat_from_rotvec(state[3:6]), 0.0
    elif benchmark in CALVIN:
        roll, pitch, yaw = map(quat_from_rotvec, np.diag(state[3:6]))
        turn = quat_multiply(yaw, quat_multiply(pitch, roll))
        opening = float(state[6]) / CALVIN_OPENING
    else:
        turn, opening = state[3:7], float(state[7])
    robot = RobotState(
        joint_pos=joints.reshape(2, 6),
        joint_vel=np.zeros((2, 6)),
        jaw=np.array([opening, 0.0]),
        tool_pos=np.stack([state[:3], np.zeros(3)]),
        tool_quat=np.stack([turn, [1.0, 0.0, 0.0, 0.0]]),
        command=np.zeros(14),
    )
    images = {ours: np.asarray(seen["images"][name]) for name, ours in VIEWS[benchmark].items()}
    for name, size in sizes.items():
        images[name] = cropped(images[name], size)
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
        benchmark: Key of `VIEWS`, or a task of ours.
        policy: ``name[:field=value,...]``.
        checkpoint: Its weights; "" for the shipped ones of the task.
        options: Further fields of `WeightOptions`, and ``head``.
    """

    CALLS: ClassVar[tuple[str, ...]] = ("describe", "predict")

    def __init__(
        self, benchmark: str, policy: str, checkpoint: str, options: Mapping[str, Any]
    ) -> None:
        self._arm = benchmark if benchmark in VIEWS else ""
        given = dict(options)
        head, world = given.pop("head", None), given.pop("world", None)
        chosen = TaskOptions() if self._arm else TaskOptions(env=benchmark, world=world)
        env_kwargs = chosen.env_kwargs()
        weights = WeightOptions(checkpoint=checkpoint or None, **given).weights_of(
            self._arm or chosen.task, policy, Sync(), head, env_kwargs["world"]
        )
        loaded = policy_spec(policy).load(weights)
        scene: Any = None
        if not self._arm:
            scene = make_env(chosen.task, image_size=loaded.image_size, **env_kwargs)
            scene.reset_scene(0)
        self._model = loaded.bind(scene)
        suits = task_spec(chosen.task).execution_horizon
        rows = ARM_KINDS[benchmark].rows if self._arm else suits
        self._described = {
            "execution_horizon": min(rows, self._model.horizon),
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
        """A chunk of the harness's actions, (T, 7), or (T, 14) on our tasks.

        Args:
            observation: As the harness shows it.
            seed: Of the episode's sampling noise.
            number: Of the inference in its episode.
            tick: Step of the episode.
        """
        if self._arm:
            seen = arm_observation(self._arm, observation, tick)
        else:
            seen = own_observation(observation, tick)
        if number == 0:
            self._model.reset(seed)
        chunk = self._model.infer(seen, no_prefix(), (seed, number))
        return {"actions": chunk.actions[:, : ARM_ACTION_DIM if self._arm else None]}
