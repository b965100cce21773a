"""LIBERO behind `xr0_sim.outside.process`: runs in LIBERO's own Python.

Of our packages it needs the errors alone. The physics, the controller and the judgement of success
are the benchmark's. Pictures are drawn only when asked for, by the benchmark's own renderer:
bottom-up as published, then turned by half a turn for the policy's cameras and set upright for
films.
"""

import copy
import os
import random
from typing import Any

import mujoco
import numpy as np

from xr0_sim.errors import ConfigError

CONTROL_HZ = 20
IDLE_STEPS = 10
"""Steps with an open gripper before an episode, while things settle (public evaluation)."""
OPEN = -1.0
CAMERAS = {"base": "agentview", "left_wrist": "robot0_eye_in_hand", "scene": "frontview"}
FINGER_STROKE_M = 0.04
"""Way of a finger of the Panda from closed to open [m]."""
DEPTH_M = 0.002
"""How deep a moved object may stand in another one [m]; chosen."""
MODEL_FIELDS = ("cam_pos", "cam_quat", "site_rgba", "geom_rgba", "light_pos", "light_diffuse")
"""What events and the benchmark's own switches change in the model."""


class LiberoSimulator:
    """Implements `xr0_sim.outside.simulator.Simulator`.

    Args:
        suite: Name of a suite of LIBERO.
        task: Number of the task in it.
    """

    def __init__(self, suite: str, task: int) -> None:
        from libero.libero import benchmark, get_libero_path
        from libero.libero.envs.env_wrapper import ControlEnv

        tasks = benchmark.get_benchmark_dict()[suite]()
        chosen = tasks.get_task(task)
        self._instruction = chosen.language
        self._starts = tasks.get_task_init_states(task)
        folder = get_libero_path("bddl_files")
        self._env = ControlEnv(
            bddl_file_name=os.path.join(folder, chosen.problem_folder, chosen.bddl_file),
            use_camera_obs=False,
            has_offscreen_renderer=False,
            control_freq=CONTROL_HZ,
            ignore_done=True,
        )
        self._kept: dict[int, dict[str, Any]] = {}
        self._numbers = 0

    # ---------------------------------------------------------------- calls
    def describe(self) -> dict[str, Any]:
        """See `Simulator.describe`."""
        objects = list(self._env.env.objects_dict)
        wanted = [name for name in self._env.obj_of_interest if name in objects]
        return {
            "instruction": self._instruction,
            "control_hz": CONTROL_HZ,
            "objects": objects,
            "target": (wanted or objects)[0],
        }

    def reset(self, seed: int) -> dict[str, Any]:
        """See `Simulator.reset`."""
        self._kept.clear()
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  (LIBERO draws from it)
        self._env.reset()
        self._env.set_init_state(self._starts[seed % len(self._starts)])
        for _ in range(IDLE_STEPS):
            self._env.step([0.0] * 6 + [OPEN])
        return self._reading()

    def step(self, action: np.ndarray) -> dict[str, Any]:
        """See `Simulator.step`."""
        self._env.step(np.array(action, dtype=np.float64))
        return self._reading()

    def pictures(self, cameras: list[str], height: int, width: int) -> dict[str, Any]:
        """See `Simulator.pictures`."""
        context = self._renderer()
        drawn = {}
        for name in cameras:
            if name not in CAMERAS:
                raise ConfigError(f"camera: expected one of {', '.join(CAMERAS)}, got {name!r}")
            context.gl_ctx.make_current()
            context.render(width, height, self._sim.model.camera_name2id(CAMERAS[name]))
            raw = context.read_pixels(width, height)
            turned = raw[::-1] if name == "scene" else raw[::-1, ::-1]
            drawn[name] = np.ascontiguousarray(turned)
        return drawn

    def snapshot(self) -> dict[str, Any]:
        """See `Simulator.snapshot`; the state stays here, under a number."""
        model = self._sim.model._model
        self._numbers += 1
        self._kept[self._numbers] = {
            "data": copy.copy(self._sim.data._data),
            "model": {name: np.array(getattr(model, name)) for name in MODEL_FIELDS},
            "plain": [_plain_values(part) for part in self._parts()],
            "random": (random.getstate(), np.random.get_state()),  # noqa: NPY002
        }
        return {"number": self._numbers}

    def restore(self, state: dict[str, Any]) -> dict[str, Any]:
        """See `Simulator.restore`."""
        kept = self._kept.get(state["number"])
        if kept is None:
            raise RuntimeError("restore: expected a snapshot of the episode under way")
        model = self._sim.model._model
        self._sim.data._data = copy.copy(kept["data"])
        for name, value in kept["model"].items():
            getattr(model, name)[:] = value
        for part, values in zip(self._parts(), kept["plain"], strict=True):
            vars(part).update(copy.deepcopy(values))
        random.setstate(kept["random"][0])
        np.random.set_state(kept["random"][1])  # noqa: NPY002
        return self._reading()

    def shift(self, name: str, offsets: np.ndarray) -> dict[str, Any]:
        """See `Simulator.shift`."""
        thing = self._env.env.objects_dict[name]
        model, data = self._sim.model._model, self._sim.data._data
        joint = model.joint(thing.joints[-1])
        start, speed = joint.qposadr[0], joint.dofadr[0]
        trial = copy.copy(data)
        allowed = max(DEPTH_M, self._depth(trial, thing.root_body))
        place = -1
        for row, offset in enumerate(offsets):
            trial.qpos[start : start + 3] = data.qpos[start : start + 3] + offset
            mujoco.mj_forward(model, trial)
            if self._depth(trial, thing.root_body) <= allowed:
                place = row
                break
        if place >= 0:
            data.qpos[start : start + 3] += offsets[place]
            data.qvel[speed : speed + 6] = 0.0
            mujoco.mj_forward(model, data)
        return {"place": place, "reading": self._reading()}

    def knock(self, camera: str, shift: np.ndarray, rotvec: np.ndarray) -> dict[str, Any]:
        """See `Simulator.knock`."""
        model = self._sim.model._model
        index = model.camera(CAMERAS[camera]).id
        turn, before = np.zeros(4), model.cam_quat[index].copy()
        angle = float(np.linalg.norm(rotvec))
        axis = np.asarray(rotvec, dtype=np.float64) / angle if angle else np.array([1.0, 0.0, 0.0])
        mujoco.mju_axisAngle2Quat(turn, axis, angle)
        model.cam_pos[index] += shift
        mujoco.mju_mulQuat(model.cam_quat[index], turn, before)
        mujoco.mj_camlight(model, self._sim.data._data)
        return {}

    # ---------------------------------------------------------------- parts
    @property
    def _sim(self) -> Any:
        return self._env.env.sim

    def _parts(self) -> list[Any]:
        """Python objects with state of the episode."""
        robot = self._env.robots[0]
        return [self._env.env, robot, robot.controller, robot.gripper]

    def _reading(self) -> dict[str, Any]:
        robot, data = self._env.robots[0], self._sim.data
        fingers = np.array(data.qpos[robot._ref_gripper_joint_pos_indexes])
        finger_speeds = np.array(data.qvel[robot._ref_gripper_joint_vel_indexes])
        success = bool(self._env.check_success())
        return {
            "joint_pos": np.concatenate([data.qpos[robot._ref_joint_pos_indexes], fingers]),
            "joint_vel": np.concatenate([data.qvel[robot._ref_joint_vel_indexes], finger_speeds]),
            "tool_pos": np.array(data.site_xpos[robot.eef_site_id]),
            "tool_quat": np.array(data.get_body_xquat(robot.robot_model.eef_name)),
            "opening": float(np.abs(fingers).mean() / FINGER_STROKE_M),
            "reward": float(success),
            "success": success,
            "objects": {
                name: np.array(data.body_xpos[self._env.env.obj_body_id[name]])
                for name in self._env.env.objects_dict
            },
        }

    def _renderer(self) -> Any:
        """The benchmark's renderer of the present scene, made at the first picture."""
        if self._sim._render_context_offscreen is None:
            from robosuite.utils.binding_utils import MjRenderContextOffscreen

            before = copy.copy(self._sim.data._data)
            context = MjRenderContextOffscreen(self._sim, device_id=-1)
            self._sim.data._data = before  # making a context computes the scene anew
            context.vopt.geomgroup[0] = 0  # collision shapes are not shown
            context.vopt.geomgroup[1] = 1
            self._sim.add_render_context(context)
        return self._sim._render_context_offscreen

    def _depth(self, data: Any, body: str) -> float:
        """How deep an object stands in others [m]."""
        model = self._sim.model._model
        root = model.body(body).id
        deepest = 0.0
        for contact in data.contact[: data.ncon]:
            ours = [model.body_rootid[model.geom_bodyid[g]] == root for g in contact.geom]
            if ours[0] != ours[1]:
                deepest = max(deepest, -float(contact.dist))
        return deepest


def _plain_values(part: Any) -> dict[str, Any]:
    """Attributes of an object that are numbers, arrays, or lists of them."""
    return {name: copy.deepcopy(value) for name, value in vars(part).items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray, np.generic))
