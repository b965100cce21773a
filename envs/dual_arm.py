"""Base of every dual-arm task: the Gymnasium face of a simulation, its cameras and its events.

One control tick (30 Hz) moves the servo targets in a straight line from the last command to the
action, see `envs.simulation`. A task adds its objects, its reward and its notion of success
through the methods marked "Task hook".
"""

from __future__ import annotations

import abc
import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.assessment import Assessment
from envs.events import check_events
from envs.instruction import encode_instruction
from envs.observations import (
    IMAGE_SIZES,
    ObservationMode,
    bounded,
    check_pixels,
    check_video_size,
    observation_space,
)
from envs.robot.actions import (
    ActionMode,
    action_space,
    check_action,
    check_mode,
    from_unit,
    join_arms,
    limit_step,
    split_arms,
    tool_to_joint_action,
)
from envs.robot.arms import Drive
from envs.robot.facts import HOME_JAW
from envs.robot.kinematics import DualArmKinematics, home_joints
from envs.robot.proprioception import RobotPorts, proprio_vector
from envs.robot.protective_stop import ProtectiveStop
from envs.robot.servos import Servo, find_servo
from envs.scene.cameras import Glimpse, SceneCameras
from envs.scene.engine_messages import route_engine_warnings
from envs.scene.looks import Dye, Looks, dress, find_looks
from envs.scene.placement import Trial
from envs.scene.pusher import Paddle, Pusher, Stroke
from envs.scene.stage import substeps
from envs.scene.views import View, Views, views_of
from envs.senses.base import Senses, find_senses
from envs.senses.episode import EpisodeSenses
from envs.simulation import Simulation
from envs.snapshot import (
    Snapshot,
    episode_digest,
    model_fields,
    physics_state,
    restore_physics,
)
from envs.world import DEFAULT_WORLD, World, find_world
from xr0_sim.conventions import CONTROL_HZ, NS_PER_S, tick_ns
from xr0_sim.errors import ConfigError, SimulationError, unknown_name
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.types import EventRecord, InferenceMoment, Observation, RobotState

NO_EPISODE = "expected a reset first; call env.reset(seed=...)"


class NoEpisodeError(ConfigError, AttributeError):
    """Something of an episode was asked for before the first reset."""


class DualArmEnv(gymnasium.Env, abc.ABC):
    """Two arms at a table; see the task classes for spaces and rewards.

    Args:
        observation: ``pixels`` (three cameras, proprioception, instruction) or ``state``
            (privileged state instead of pictures).
        image_size: Side of the square camera pictures [px]; None for the world's.
        action_mode: ``joint`` targets or ``tool`` poses, see `envs.robot.actions.action_space`.
        timestep_s: Physics step [s]; must divide 1/30 s exactly.
        render_mode: None or ``rgb_array``.
        render_size: (height, width) of `render` [px].
        world: Physics, judges and views, see `envs.world.World`.
        servo: How the joints follow their targets, ``name[:field=value,...]`` of
            `xr0_sim.registry.servos`; "" for the world's own.
        senses: Faults of cameras and encoders, text of `xr0_sim.registry.senses`.
        looks: What is drawn anew for every seed beside the physics, text of
            `xr0_sim.registry.looks`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012
    control_hz = CONTROL_HZ
    checks_per_tick = 1
    reward_weights: Mapping[str, float] = {}
    phases: tuple[str, ...] = ()
    """Phases at whose beginning an event can fire; empty leaves them unchecked."""
    paddle: Paddle | None = None
    """What events push with; its task adds it to the scene where the world has pushes."""
    close_view: View | None = None
    """The task's own base camera in worlds with close views."""

    def __init__(
        self,
        *,
        observation: ObservationMode = "pixels",
        image_size: int | None = None,
        action_mode: ActionMode = "joint",
        timestep_s: float = 1 / 1200,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (540, 960),
        world: str | World = DEFAULT_WORLD,
        servo: str | Servo = "",
        senses: str | Senses = "clean",
        looks: str | Looks = "none",
    ):
        if observation not in get_args(ObservationMode):
            raise unknown_name("observation", observation, get_args(ObservationMode))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise unknown_name("render_mode", str(render_mode), self.metadata["render_modes"])
        self.world = find_world(world)
        self.servo = find_servo(servo or self.world.servo)
        self.senses, self.looks = find_senses(senses), find_looks(looks)
        self.observation_mode = observation
        self.views: Views = views_of(self.world, self.close_view)
        size = self.views.image_size if image_size is None else image_size
        self.image_size = check_pixels("image_size", size, IMAGE_SIZES)
        self.action_mode = check_mode(action_mode)
        self.timestep_s = timestep_s
        self.substeps = substeps(timestep_s)
        self.render_mode = render_mode
        self.render_size = check_video_size(render_size)
        self.action_space = action_space()
        self._kinematics: DualArmKinematics | None = None
        self._simulation: Simulation | None = None
        self._pusher: Pusher | None = None
        self._cameras: SceneCameras | None = None
        self._home = join_arms(home_joints(), np.full(2, HOME_JAW))
        self.tick = 0
        dim = self._privileged_dim()
        self.observation_space = observation_space(observation, self.image_size, dim)

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

    def _middle_of_pushed(self, which: Sequence[int]) -> NDArray[np.float64]:
        """Task hook: where the middle of what a push moves is, x and y first [m]."""
        raise ConfigError(f"{type(self).__name__}: expected _middle_of_pushed, to measure a push")

    def _task_snapshot(self) -> Any:
        """Task hook: state outside the physics."""
        return None

    def _task_restore(self, state: Any) -> None:
        """Task hook: inverse of `_task_snapshot`."""

    def dyes(self) -> Sequence[Dye]:
        """Task hook: what changes its hue with the looks, in an order that no draw changes."""
        return ()

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
        seed = _check_seed(seed)
        options = self._check_options(options)
        super().reset(seed=seed)
        events = parse_events(options.get("events", ()))
        check_events(events, type(self), world=self.world)
        event_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self.close()
        route_engine_warnings()
        model = self._build(options).compile()
        drive = Drive.of(self.world, self.servo)
        self._simulation = Simulation(model, self.substeps, self.checks_per_tick, drive)
        dress(model, self.looks, self.dyes(), event_seed)
        self._perception: EpisodeSenses[Glimpse] = EpisodeSenses(self.senses, event_seed)
        self._cameras = SceneCameras(
            self._simulation, self.image_size, self.render_size, self._perception
        )
        paddle = self.paddle
        self._pusher = Pusher(model, paddle) if paddle is not None and self.world.pushes else None
        self._schedule = EventSchedule(events, event_seed)
        self._command = self._resting_command()
        self._ports.place(self.data, self._home, self._command)
        self.tick = 0
        self._failure: str | None = None
        drawn = self._start(options)
        self.instruction = str(options.get("instruction") or drawn)
        encode_instruction(self.instruction)
        mujoco.mj_forward(self.model, self.data)
        self._episode = episode_digest(
            self.model,
            self.data,
            type(self).__qualname__,
            (self.world, self.servo, self.senses, self.looks),
            events,
            event_seed,
            self.np_random.bit_generator.state,
        )
        self._assessment = self._assess()
        self._keep_for_late_senses()

    def step(
        self, action: NDArray[np.floating]
    ) -> tuple[dict[str, NDArray], float, bool, bool, dict[str, Any]]:
        """Runs one control tick; the action (14,) lies in [-1, 1], see the class.

        Raises:
            SimulationError: The physics broke; the episode is invalid.
        """
        physical = from_unit(check_action(action), self.action_mode)
        reward, terminated, truncated, info = self._advance(physical)
        return self._observation(), reward, terminated, truncated, info

    def advance(self, action: NDArray[np.floating]) -> tuple[float, bool, bool, dict[str, Any]]:
        """One control tick without building the observation.

        Args:
            action: (14,) in physical units of the action mode, see `envs.robot.actions.from_unit`.

        Returns:
            Reward, terminated, truncated, info.

        Raises:
            SimulationError: The physics broke; the episode is invalid.
        """
        return self._advance(check_action(action))

    def _advance(self, action: NDArray[np.float64]) -> tuple[float, bool, bool, dict[str, Any]]:
        if self._simulation is None:
            raise ConfigError(f"step: {NO_EPISODE}")
        if self._failure is not None:
            raise self._broken()
        if self.action_mode == "tool":
            action = tool_to_joint_action(action, self._command, self.kinematics)
        target = self._command if self._stop.reason else limit_step(action, self._command)
        fired = self._schedule.fire(self, self.tick, self.time_ns, self._assessment.phase)
        self._failure = self._simulate(target)
        self._command = target
        self.tick += 1
        if self._failure is not None:
            raise self._broken()
        assessment = self._assessment = self._assess()
        self._keep_for_late_senses()
        reward = sum(self.reward_weights[k] * v for k, v in assessment.terms.items())
        info = self._info(fired)
        terminated = bool(info["protective_stop"]) or (info["success"] and not assessment.goes_on)
        return float(reward), terminated, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """A picture of the whole scene for videos, (H, W, 3) uint8; None without a render mode."""
        if self.render_mode is None:
            return None
        return self._views("render").video_image()

    def film_image(self, camera: str) -> NDArray[np.uint8]:
        """A picture by a policy camera at the size and quality of `render`, (H, W, 3) uint8."""
        return self._views("film_image").video_image(camera)

    def close(self) -> None:
        """Frees the renderers; may be called more than once."""
        if self._cameras is not None:
            self._cameras.close()

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without solver caches; they come back at first use."""
        return {**self.__dict__, "_kinematics": None}

    def __getattr__(self, name: str) -> Any:
        """What an episode brings is missing before the first reset: one line that says so."""
        if name.startswith("__") or self.__dict__.get("_simulation") is not None:
            # The usual error, also where a property failed for want of something else.
            return object.__getattribute__(self, name)
        raise NoEpisodeError(f"{type(self).__name__}.{name}: {NO_EPISODE}")

    # ---------------------------------------------------------------- runtime plant
    @property
    def model(self) -> mujoco.MjModel:
        """Compiled scene of the episode."""
        if self._simulation is None:
            raise NoEpisodeError(f"model: {NO_EPISODE}")
        return self._simulation.model

    @property
    def data(self) -> mujoco.MjData:
        """Its state."""
        if self._simulation is None:
            raise NoEpisodeError(f"data: {NO_EPISODE}")
        return self._simulation.data

    @property
    def _ports(self) -> RobotPorts:
        if self._simulation is None:
            raise NoEpisodeError(f"robot state: {NO_EPISODE}")
        return self._simulation.ports

    @property
    def _stop(self) -> ProtectiveStop:
        if self._simulation is None:
            raise NoEpisodeError(f"protective stop: {NO_EPISODE}")
        return self._simulation.protective_stop

    @property
    def time_ns(self) -> int:
        """Simulated time at the start of the current tick [ns]."""
        return tick_ns(self.tick)

    @property
    def kinematics(self) -> DualArmKinematics:
        """Kinematics of the robot, created at first use."""
        if self._kinematics is None:
            self._kinematics = DualArmKinematics(self.world, self.servo)
        return self._kinematics

    @property
    def phase(self) -> str:
        """Phase of the task at the start of the current tick."""
        return self._assessment.phase

    def robot_state(self) -> RobotState:
        """The robot at the start of the current tick, as it is: for experts, judges and logs."""
        return self._ports.state(self.data, self._command)

    def measured_state(self) -> RobotState:
        """The robot as its encoders tell: what a policy gets."""
        state = self.robot_state()
        if not self.senses.alters_joints:
            return state
        return self._perception.measured(self.tick, state, self.kinematics)

    def observe(self, images: bool = True) -> Observation:
        """What a chunk model may see now; renders the cameras only if asked to."""
        return Observation(
            tick=self.tick,
            time_ns=self.time_ns,
            robot=self.measured_state(),
            images=self.camera_images() if images else {},
            instruction=self.instruction,
            privileged=self.privileged(),
        )

    def camera_images(self) -> dict[str, NDArray[np.uint8]]:
        """The three policy views, (S, S, 3) uint8 each, as the senses and camera faults show."""
        return self._views("camera_images").policy_images(self.tick)

    def watch_physics(self, callback: Callable[[], None] | None) -> None:
        """Calls `callback` after each physics step of this episode, see `Simulation.watch`."""
        if self._simulation is None:
            raise NoEpisodeError(f"watch_physics: {NO_EPISODE}")
        self._simulation.watch(callback)

    # ---------------------------------------------------------------- snapshots
    def snapshot(self) -> Snapshot:
        """The present state; `restore` continues from it bit for bit."""
        views = self._views("snapshot")
        return Snapshot(
            episode=self._episode,
            physics=physics_state(self.model, self.data),
            model=model_fields(self.model),
            command=self._command.copy(),
            tick=self.tick,
            instruction=self.instruction,
            schedule=self._schedule.snapshot(),
            frozen=views.frozen.snapshot(),
            senses=self._perception.snapshot(),
            rng=self.np_random.bit_generator.state,
            assessment=self._assessment,
            failure=self._failure,
            protective_stop=self._stop.snapshot(),
            task=self._task_snapshot(),
            pusher=self._pusher.snapshot() if self._pusher is not None else None,
        )

    def restore(self, state: Snapshot) -> None:
        """Returns to a snapshot of the same episode.

        Raises:
            ConfigError: It is no snapshot, or one of another episode.
        """
        views = self._views("restore")
        if not isinstance(state, Snapshot):
            raise ConfigError(
                f"restore: expected what snapshot() returned, got {type(state).__name__}"
            )
        if state.episode != self._episode:
            raise ConfigError(
                "restore: expected a snapshot of the episode under way, got one of another "
                "episode; reset with that one's seed, options and arguments first"
            )
        restore_physics(self.model, self.data, state)
        self._command = state.command.copy()
        self.tick = state.tick
        self.instruction = state.instruction
        self._schedule.restore(state.schedule)
        views.frozen.restore(state.frozen)
        self._perception.restore(state.senses)
        self.np_random.bit_generator.state = state.rng
        self._assessment = state.assessment
        self._failure = state.failure
        self._stop.restore(state.protective_stop)
        self._task_restore(state.task)
        if self._pusher is not None:
            self._pusher.restore(state.pusher)

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

    @property
    def checks_room(self) -> bool:
        """Whether an event that finds no room, or nothing to act on, is refused."""
        return self.world.pushes

    def begin_push(self, strokes: Iterable[Stroke]) -> Stroke | None:
        """Begins the first of some pushes for which there is room; None if there is none."""
        pusher = self._pusher
        if pusher is None or pusher.busy:
            return None
        trial = Trial(self.model, self.data)
        for stroke in strokes:
            pusher.place(trial.data, stroke)
            if trial.overlap({pusher.body}) == 0.0:
                pusher.begin(self.data, stroke)
                return stroke
        return None

    def set_instruction(self, text: str) -> None:
        """Changes the instruction from the next observation on."""
        _check_text(text)
        self.instruction = text

    def freeze_camera(self, camera: str, duration_s: float) -> None:
        """Shows the present picture of `camera` for `duration_s`; see `FrozenCameras`."""
        self._views("freeze_camera").freeze(camera, self.tick, duration_s)

    def move_light(self, light: str, shift: NDArray[np.float64]) -> None:
        """Moves a light by `shift` (3,) [m]."""
        self.model.light_pos[self._light(light)] += shift

    def dim_light(self, light: str, factor: float) -> None:
        """Scales a light's diffuse colour."""
        self.model.light_diffuse[self._light(light)] *= factor

    def knock_camera(
        self, camera: str, shift: NDArray[np.float64], rotvec: NDArray[np.float64]
    ) -> None:
        """Shifts [m] and turns [rad] a policy camera in its parent's frame."""
        self._views("knock_camera").knock(camera, shift, rotvec)

    def redraw_instruction(self, rng: np.random.Generator) -> None:
        """Task hook: states another goal."""
        raise ConfigError("this task cannot draw an instruction; give ChangeInstruction a text")

    # ---------------------------------------------------------------- internals
    def _simulate(self, target: NDArray[np.float64]) -> str | None:
        assert self._simulation is not None
        route_engine_warnings()  # an unpickled environment may be in a fresh process
        pusher = self._pusher
        if pusher is None or pusher.stroke is None:
            return self._simulation.run(self._command, target, self._after_segment)
        drive = functools.partial(pusher.drive, self.data)
        broken = self._simulation.run(self._command, target, self._after_segment, drive)
        if broken is None and pusher.over():
            pusher.end(self.data, self._middle_of_pushed(pusher.stroke.which))
            mujoco.mj_kinematics(self.model, self.data)
        return broken

    def _resting_command(self) -> NDArray[np.float64]:
        """Command under which the arms rest at home."""
        joints, jaws = split_arms(self._home)
        held = self.kinematics.following.command(joints, np.zeros_like(joints), joints)
        return join_arms(held, jaws)

    def _broken(self) -> SimulationError:
        return SimulationError(
            f"simulation: expected finite motion, got {self._failure} in tick {self.tick - 1} of "
            f"{type(self).__name__}; the episode is invalid, reset the environment"
        )

    def _light(self, name: str) -> int:
        known = [self.model.light(i).name for i in range(self.model.nlight)]
        if name not in known:
            raise unknown_name("light", name, known)
        return known.index(name)

    def _views(self, what: str) -> SceneCameras:
        if self._cameras is None:
            raise NoEpisodeError(f"{what}: {NO_EPISODE}")
        return self._cameras

    def _check_options(self, options: Any) -> dict[str, Any]:
        options = {} if options is None else options
        if not isinstance(options, Mapping):
            raise ConfigError(f"reset options: expected a mapping, got {options!r}")
        known = ("events", "instruction", *self.option_names)
        for key in options:
            if key not in known:
                raise unknown_name("reset option", str(key), known)
        if options.get("instruction"):
            _check_text(options["instruction"])
        return dict(options)

    option_names: tuple[str, ...] = ()

    def _observation(self) -> dict[str, NDArray]:
        out: dict[str, NDArray] = {
            "proprio": bounded(self._proprio()),
            "instruction": encode_instruction(self.instruction).copy(),
            "tick": np.array([self.tick], dtype=np.int32),
        }
        if self.observation_mode == "pixels":
            for name, image in self.camera_images().items():
                out[f"image_{name}"] = image
        else:
            out["privileged"] = bounded(self.privileged_vector())
        return out

    def _proprio(self) -> NDArray[np.float32]:
        if self.senses.alters_joints:
            return proprio_vector(self.measured_state())
        return self._ports.vector(self.data, self._command)

    def _keep_for_late_senses(self) -> None:
        """Remembers this tick for senses that come late; without a delay there is nothing to."""
        if self.senses.delays_pictures:
            self._views("senses").keep(self.tick)
        if self.senses.joint_delay_s:
            self._perception.keep_reading(self.tick, self.robot_state())

    def _info(self, fired: tuple[EventRecord, ...] | list[EventRecord]) -> dict[str, Any]:
        assessment, stopped = self._assessment, self._stop.reason
        success = assessment.success and not stopped
        return {
            "success": success,
            "is_success": success,
            "protective_stop": stopped,
            "progress": assessment.progress,
            "phase": assessment.phase,
            "reward_terms": dict(assessment.terms),
            "instruction": self.instruction,
            "events": tuple(fired),
            "pending_events": self._schedule.pending,
            **({} if self._pusher is None else {"pushes": self._pusher.told()}),
            "tick": self.tick,
            "time_s": self.time_ns / NS_PER_S,
            **assessment.details,
        }


def _check_seed(seed: Any) -> int | None:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and not (whole and seed >= 0):
        raise ConfigError(f"seed: expected a whole number >= 0 or none, got {seed!r}")
    return None if seed is None else int(seed)


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise ConfigError(f"instruction: expected text, got {text!r}")
    encode_instruction(text)
