"""Base of every dual-arm task: control loop, observations, events, snapshots, rendering.

One control tick (30 Hz) moves the servo targets in a straight line from the last command to the
action, substep by substep, with the matching velocity fed forward. A task adds its objects, its
reward and its notion of success through the methods marked "Task hook".
"""

from __future__ import annotations

import abc
import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import gymnasium
import mujoco
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.events import check_events
from envs.instruction import encode_instruction
from envs.robot.actions import (
    ActionMode,
    action_space,
    check_action,
    check_mode,
    from_unit,
    join_arms,
    limit_step,
    tool_to_joint_action,
)
from envs.robot.kinematics import DualArmKinematics, home_joints
from envs.robot.proprioception import PROPRIO_DIM, RobotPorts
from envs.scene.rendering import SceneRenderer
from envs.scene.stage import substeps
from xr0_sim.conventions import CAMERAS, CONTROL_HZ, INSTRUCTION_BYTES, NS_PER_S, tick_ns
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.perturb.signals.cameras import FrozenCameras
from xr0_sim.rotations import quat_from_rotvec, quat_multiply
from xr0_sim.types import EventRecord, InferenceMoment, Observation, RobotState

ObservationMode = Literal["pixels", "state"]
HOME_JAW = 0.8
STATE_BOUND = 100.0
"""Bound of every entry of a state observation; only a diverging scene reaches it."""
MAX_SPEED, MAX_ACCELERATION = 1e3, 1e8
"""Beyond these norms of the generalised velocity and acceleration the physics has diverged."""
STATE = int(mujoco.mjtState.mjSTATE_INTEGRATION)
"""The only state set that restores bit for bit; it carries ``eq_active``."""
MODEL_FIELDS = (
    "eq_data",
    "light_pos",
    "light_diffuse",
    "cam_pos",
    "cam_quat",
    "geom_rgba",
    "geom_friction",
)
"""Model arrays an event may change; part of a snapshot."""
MJ_CAMERAS = {"base": "base", "left_wrist": "left/wrist", "right_wrist": "right/wrist"}


@dataclass(frozen=True)
class Assessment:
    """What a task says about one tick; reward terms and progress lie in [0, 1].

    Success ends an episode, unless the task goes on.
    """

    terms: Mapping[str, float]
    success: bool
    progress: float
    phase: str
    details: Mapping[str, Any]
    goes_on: bool = False


@dataclass(frozen=True)
class Snapshot:
    """Everything that decides the future of an episode; opaque to callers."""

    physics: NDArray[np.float64]
    model: dict[str, NDArray[np.float64]]
    command: NDArray[np.float64]
    tick: int
    instruction: str
    schedule: Any
    frozen: Any
    rng: Mapping[str, Any]
    assessment: Assessment
    failure: str | None
    task: Any


class DualArmEnv(gymnasium.Env, abc.ABC):
    """Two arms at a table; see the task classes for spaces and rewards.

    Args:
        observation: ``pixels`` (three cameras, proprioception, instruction) or ``state``
            (privileged state instead of pictures).
        image_size: Side of the square camera pictures [px].
        action_mode: ``joint`` targets or ``tool`` poses, see `envs.robot.actions.action_space`.
        timestep_s: Physics step [s]; must divide 1/30 s exactly.
        render_mode: None or ``rgb_array``.
        render_size: (height, width) of `render` [px].
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012
    control_hz = CONTROL_HZ
    checks_per_tick = 1
    reward_weights: Mapping[str, float] = {}
    phases: tuple[str, ...] = ()
    """Phases at whose beginning an event can fire; empty leaves them unchecked."""

    def __init__(
        self,
        *,
        observation: ObservationMode = "pixels",
        image_size: int = 128,
        action_mode: ActionMode = "joint",
        timestep_s: float = 1 / 1200,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (540, 960),
    ):
        if observation not in get_args(ObservationMode):
            raise unknown_name("observation", observation, get_args(ObservationMode))
        if not 32 <= image_size <= 1024:
            raise ConfigError(f"image_size: expected 32 .. 1024 px, got {image_size}")
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise unknown_name("render_mode", str(render_mode), self.metadata["render_modes"])
        self.observation_mode = observation
        self.image_size = image_size
        self.action_mode = check_mode(action_mode)
        self.timestep_s = timestep_s
        self.substeps = substeps(timestep_s)
        self.render_mode = render_mode
        self.render_size = render_size
        self.action_space = action_space()
        self._fractions = np.arange(1, self.substeps + 1)[:, None] / self.substeps
        marks = [k * self.substeps // self.checks_per_tick for k in range(self.checks_per_tick + 1)]
        self._segments = [slice(a, b) for a, b in itertools.pairwise(marks)]
        self._kinematics: DualArmKinematics | None = None
        self._renderers: dict[str, SceneRenderer] = {}
        self._home = join_arms(home_joints(), np.full(2, HOME_JAW))
        self.model: mujoco.MjModel = None  # both are set by the first reset
        self.data: mujoco.MjData = None
        self.observation_space = self._make_observation_space()

    # ---------------------------------------------------------------- task hooks
    @abc.abstractmethod
    def _build(self, options: Mapping[str, Any]) -> mujoco.MjSpec:
        """Task hook: draws the scene from `self.np_random` and returns its spec."""

    @abc.abstractmethod
    def _start(self, options: Mapping[str, Any]) -> str:
        """Task hook: places objects in the compiled scene; returns the instruction."""

    @abc.abstractmethod
    def _assess(self) -> Assessment:
        """Task hook: judges the scene once per tick, after the physics."""

    @abc.abstractmethod
    def privileged_vector(self) -> NDArray[np.float32]:
        """Task hook: ground truth as one flat vector of fixed length."""

    @abc.abstractmethod
    def _privileged_dim(self) -> int:
        """Task hook: length of `privileged_vector`."""

    def _after_segment(self) -> None:
        """Task hook: called after each of the `checks_per_tick` equal parts of a tick."""

    def _task_snapshot(self) -> Any:
        """Task hook: state outside the physics."""
        return None

    def _task_restore(self, state: Any) -> None:
        """Task hook: inverse of `_task_snapshot`."""

    def privileged(self) -> Any:
        """Task hook: ground truth for scripted experts."""
        return None

    # ---------------------------------------------------------------- gymnasium
    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, NDArray], dict[str, Any]]:
        """Draws a new scene.

        Args:
            seed: Fixes scene, events and everything else bit for bit.
            options: ``events`` (list of events, see `xr0_sim.perturb.registry.parse_events`),
                ``instruction`` (text that replaces the drawn one) and the task's own keys.
        """
        self.reset_scene(seed, options)
        return self._observation(), self._info(())

    def reset_scene(self, seed: int | None, options: Mapping[str, Any] | None = None) -> None:
        """`reset` without building the observation."""
        options = dict(options or {})
        super().reset(seed=seed)
        self._check_options(options)
        events = parse_events(options.get("events", ()))
        check_events(events, type(self))
        event_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._close_renderers()
        self.model = self._build(options).compile()
        self.data = mujoco.MjData(self.model)
        self._ports = RobotPorts(self.model)
        # Targets move linearly through the tick, ahead by what the servos lag behind.
        self._ramp = self._fractions + self._ports.ctrl_lead_s * self.control_hz
        self._schedule = EventSchedule(events, event_seed)
        self._frozen = FrozenCameras()
        self._command = self._home.copy()
        self._ports.place(self.data, self._command)
        self.tick = 0
        self._failure: str | None = None
        drawn = self._start(options)
        self.instruction = str(options.get("instruction") or drawn)
        encode_instruction(self.instruction)
        mujoco.mj_forward(self.model, self.data)
        self._assessment = self._assess()

    def step(
        self, action: NDArray[np.floating]
    ) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """Runs one control tick; the action (14,) lies in [-1, 1], see the class."""
        physical = from_unit(check_action(action), self.action_mode)
        reward, terminated, truncated, info = self._advance(physical)
        return self._observation(), reward, terminated, truncated, info

    def advance(self, action: NDArray[np.floating]) -> tuple[float, bool, bool, dict[str, Any]]:
        """One control tick without building the observation.

        Args:
            action: (14,) in physical units of the action mode, see `envs.robot.actions.from_unit`.

        Returns:
            Reward, terminated, truncated, info.
        """
        return self._advance(check_action(action))

    def _advance(self, action: NDArray[np.float64]) -> tuple[float, bool, bool, dict[str, Any]]:
        if self.data is None:
            raise ConfigError("step: expected a reset first; call env.reset(seed=...)")
        if self.action_mode == "tool":
            action = tool_to_joint_action(action, self._command, self.kinematics)
        target = limit_step(action, self._command)
        fired = self._schedule.fire(self, self.tick, self.time_ns, self._assessment.phase)
        if self._failure is None:
            self._simulate(target)
        self._command = target
        self.tick += 1
        if self._failure is None:
            self._assessment = self._assess()
        assessment = self._assessment
        reward = sum(self.reward_weights[k] * v for k, v in assessment.terms.items())
        ends = assessment.success and not assessment.goes_on
        terminated = ends or self._failure is not None
        return float(reward), terminated, False, self._info(fired)

    def render(self) -> NDArray[np.uint8] | None:
        """A picture of the whole scene for videos, (H, W, 3) uint8; None without a render mode."""
        if self.render_mode is None:
            return None
        self._update_view()
        return self._renderer("pretty", *self.render_size).draw(self.data, "video")

    def close(self) -> None:
        """Frees the renderers; may be called more than once."""
        self._close_renderers()

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without GL contexts and solver caches; both come back at first use."""
        return {**self.__dict__, "_renderers": {}, "_kinematics": None}

    # ---------------------------------------------------------------- runtime plant
    @property
    def time_ns(self) -> int:
        """Simulated time at the start of the current tick [ns]."""
        return tick_ns(self.tick)

    @property
    def kinematics(self) -> DualArmKinematics:
        """Kinematics of the robot, created at first use."""
        if self._kinematics is None:
            self._kinematics = DualArmKinematics()
        return self._kinematics

    @property
    def phase(self) -> str:
        """Phase of the task at the start of the current tick."""
        return self._assessment.phase

    def robot_state(self) -> RobotState:
        """Proprioception at the start of the current tick."""
        return self._ports.state(self.data, self._command)

    def observe(self, images: bool = True) -> Observation:
        """What a chunk model may see now; renders the cameras only if asked to."""
        return Observation(
            tick=self.tick,
            time_ns=self.time_ns,
            robot=self.robot_state(),
            images=self.camera_images() if images else {},
            instruction=self.instruction,
            privileged=self.privileged(),
        )

    def camera_images(self) -> dict[str, NDArray[np.uint8]]:
        """The three policy views, (S, S, 3) uint8 each, camera faults applied."""
        self._update_view()
        size = self.image_size
        renderer = self._renderer("fast", size, size)
        images = {name: renderer.draw(self.data, MJ_CAMERAS[name]) for name in CAMERAS}
        return self._frozen.filter(images, self.time_ns)

    # ---------------------------------------------------------------- snapshots
    def snapshot(self) -> Snapshot:
        """The present state; `restore` continues from it bit for bit."""
        physics = np.empty(mujoco.mj_stateSize(self.model, STATE))
        mujoco.mj_getState(self.model, self.data, physics, STATE)
        return Snapshot(
            physics=physics,
            model={name: getattr(self.model, name).copy() for name in MODEL_FIELDS},
            command=self._command.copy(),
            tick=self.tick,
            instruction=self.instruction,
            schedule=self._schedule.snapshot(),
            frozen=self._frozen.snapshot(),
            rng=self.np_random.bit_generator.state,
            assessment=self._assessment,
            failure=self._failure,
            task=self._task_snapshot(),
        )

    def restore(self, state: Snapshot) -> None:
        """Returns to a snapshot of the same episode."""
        for name, value in state.model.items():
            getattr(self.model, name)[:] = value
        mujoco.mj_setState(self.model, self.data, state.physics, STATE)
        mujoco.mj_kinematics(self.model, self.data)
        self._command = state.command.copy()
        self.tick = state.tick
        self.instruction = state.instruction
        self._schedule.restore(state.schedule)
        self._frozen.restore(state.frozen)
        self.np_random.bit_generator.state = state.rng
        self._assessment = state.assessment
        self._failure = state.failure
        self._task_restore(state.task)

    @contextlib.contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Inside the block the episode may be played on freely; afterwards it is as before.

        Scheduled events do not fire in a rehearsal: nobody can foresee them.
        """
        state, schedule = self.snapshot(), self._schedule
        self._schedule = EventSchedule()
        try:
            yield
        finally:
            self._schedule = schedule
            self.restore(state)

    # ---------------------------------------------------------------- for events
    def note_inferences(self, inferences: Sequence[InferenceMoment]) -> None:
        """Tells the event schedule which inferences are under way in the coming tick."""
        self._schedule.note_inferences(inferences)

    def set_instruction(self, text: str) -> None:
        """Changes the instruction from the next observation on."""
        encode_instruction(text)
        self.instruction = text

    def freeze_camera(self, camera: str, duration_s: float) -> None:
        """Shows the present picture of `camera` for `duration_s`; see `FrozenCameras`."""
        self._update_view()
        size = self.image_size
        image = self._renderer("fast", size, size).draw(self.data, MJ_CAMERAS[camera])
        self._frozen.freeze(camera, image, now_ns=self.time_ns, duration_s=duration_s)

    def move_light(self, light: str, shift: NDArray[np.float64]) -> None:
        """Moves a light by `shift` (3,) [m]."""
        self.model.light_pos[self.model.light(light).id] += shift

    def dim_light(self, light: str, factor: float) -> None:
        """Scales a light's diffuse colour."""
        self.model.light_diffuse[self.model.light(light).id] *= factor

    def knock_camera(
        self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]
    ) -> None:
        """Shifts [m] and turns [rad] a policy camera in its parent's frame."""
        index = self.model.camera(MJ_CAMERAS[camera]).id
        self.model.cam_pos[index] += shift
        turned = quat_multiply(quat_from_rotvec(rotvec), self.model.cam_quat[index])
        self.model.cam_quat[index] = turned

    def redraw_instruction(self, rng: np.random.Generator) -> None:
        """Task hook: states another goal."""
        raise ConfigError("this task cannot draw an instruction; give ChangeInstruction a text")

    # ---------------------------------------------------------------- internals
    def _simulate(self, target: NDArray[np.float64]) -> None:
        data, model, mj_step = self.data, self.model, mujoco.mj_step
        table = self._command + self._ramp * (target - self._command)
        table *= self._ports.ctrl_scale
        ctrl = data.ctrl
        try:
            for segment in self._segments:
                for row in table[segment]:
                    ctrl[:] = row
                    mj_step(model, data)
                self._after_segment()
        except mujoco.FatalError as error:
            self._failure = f"solver: {error}"
            return
        qvel, qacc = data.qvel, data.qacc
        # NaN fails the comparison too.
        if not (qvel.dot(qvel) < MAX_SPEED**2 and qacc.dot(qacc) < MAX_ACCELERATION**2):
            self._failure = "diverged: velocity or acceleration out of range"
        else:
            warnings = data.warning.number
            if any(warnings.tolist()):
                worst = int(np.flatnonzero(warnings)[0])
                self._failure = f"physics warning: {mujoco.mjtWarning(worst).name}"
                warnings[:] = 0
        mujoco.mj_kinematics(model, data)

    def _update_view(self) -> None:
        mujoco.mj_comPos(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def _renderer(
        self, quality: Literal["fast", "pretty"], height: int, width: int
    ) -> SceneRenderer:
        if quality not in self._renderers:
            self._renderers[quality] = SceneRenderer(self.model, height, width, quality)
        return self._renderers[quality]

    def _close_renderers(self) -> None:
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()

    def _check_options(self, options: Mapping[str, Any]) -> None:
        known = ("events", "instruction", *self.option_names)
        for key in options:
            if key not in known:
                raise unknown_name("reset option", str(key), known)

    option_names: tuple[str, ...] = ()

    def _make_observation_space(self) -> spaces.Dict:
        bound = STATE_BOUND
        parts: dict[str, spaces.Space] = {
            "proprio": spaces.Box(-bound, bound, (PROPRIO_DIM,), np.float32),
            "instruction": spaces.Box(0, 255, (INSTRUCTION_BYTES,), np.uint8),
        }
        if self.observation_mode == "pixels":
            shape = (self.image_size, self.image_size, 3)
            for name in CAMERAS:
                parts[f"image_{name}"] = spaces.Box(0, 255, shape, np.uint8)
        else:
            dim = self._privileged_dim()
            parts["privileged"] = spaces.Box(-bound, bound, (dim,), np.float32)
        return spaces.Dict(parts)

    def _observation(self) -> dict[str, NDArray]:
        out: dict[str, NDArray] = {
            "proprio": self._bounded(self._ports.vector(self.data, self._command)),
            "instruction": encode_instruction(self.instruction).copy(),
        }
        if self.observation_mode == "pixels":
            for name, image in self.camera_images().items():
                out[f"image_{name}"] = image
        else:
            out["privileged"] = self._bounded(self.privileged_vector())
        return out

    def _bounded(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._failure is not None:
            np.nan_to_num(vector, copy=False)
        # Nearly always within bounds; plain numbers find that out at less than one array operation.
        values = vector.tolist()
        if -STATE_BOUND <= min(values) and max(values) <= STATE_BOUND:
            return vector
        return np.minimum(np.maximum(vector, -STATE_BOUND), STATE_BOUND)

    def _info(self, fired: tuple[EventRecord, ...] | list[EventRecord]) -> dict[str, Any]:
        assessment = self._assessment
        info: dict[str, Any] = {
            "success": assessment.success,
            "is_success": assessment.success,
            "progress": assessment.progress,
            "phase": assessment.phase,
            "reward_terms": dict(assessment.terms),
            "instruction": self.instruction,
            "events": tuple(fired),
            "pending_events": self._schedule.pending,
            "tick": self.tick,
            "time_s": self.time_ns / NS_PER_S,
            **assessment.details,
        }
        if self._failure is not None:
            info["failure"] = self._failure
        return info
