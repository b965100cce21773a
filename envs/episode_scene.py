"""One episode of a dual-arm scene: what a task fills in, its state, and what is perceived of it."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.assessment import Assessment
from envs.robot.actions import (
    join_arms,
    split_arms,
)
from envs.robot.kinematics import DualArmKinematics
from envs.robot.proprioception import RobotPorts
from envs.robot.protective_stop import ProtectiveStop
from envs.robot.servos import Servo
from envs.scene.belt import Belt, Rectangle
from envs.scene.cameras import Glimpse, SceneCameras
from envs.scene.engine_messages import route_engine_warnings
from envs.scene.looks import Dye, Looks
from envs.scene.pusher import Paddle, Pusher
from envs.scene.views import Views
from envs.senses.base import Senses
from envs.senses.episode import EpisodeSenses
from envs.simulation import Simulation
from envs.world import World
from xr0_sim.conventions import CONTROL_HZ, tick_ns
from xr0_sim.errors import ConfigError, SimulationError
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.perturb.signals.proprioception import JointFaults
from xr0_sim.types import Observation, RobotState

NO_EPISODE = "expected a reset first; call env.reset(seed=...)"


class NoEpisodeError(ConfigError, AttributeError):
    """Something of an episode was asked for before the first reset."""


class EpisodeScene(gymnasium.Env, abc.ABC):
    """A scene that is drawn, played and perceived; `envs.dual_arm.DualArmEnv` is its face.

    Attributes:
        world: Physics, judges and views.
        servo: How the joints follow their targets.
        senses: Faults of cameras and encoders.
        looks: What is drawn anew for every seed beside the physics.
        control_hz: Control rate [Hz].
        tick: Control ticks so far.
        instruction: The task in words.
    """

    control_hz: int = CONTROL_HZ
    checks_per_tick = 1
    phases: tuple[str, ...] = ()
    """Phases at whose beginning an event can fire; empty leaves them unchecked."""
    paddle: Paddle | None = None
    """What events push with; its task adds it to the scene where the world has pushes."""
    close_views: Views | None = None
    """The task's own fixed cameras in worlds with close views."""

    world: World
    servo: Servo
    senses: Senses
    looks: Looks
    tick: int
    instruction: str
    _kinematics: DualArmKinematics | None
    _simulation: Simulation | None
    _pusher: Pusher | None
    _belt: Belt
    _joint_faults: JointFaults
    _cameras: SceneCameras | None
    _perception: EpisodeSenses[Glimpse]
    _schedule: EventSchedule
    _assessment: Assessment
    _home: NDArray[np.float64]
    _command: NDArray[np.float64]
    _failure: str | None
    _event_seed: int
    _episode: str
    _undisturbed: str

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

    def _own_forces(self) -> Callable[[mujoco.MjData], None] | None:
        """Task hook: what sets forces that the engine lacks, before each physics step, or None."""
        return None

    def _segment_end(self) -> Callable[[mujoco.MjData], object]:
        """Task hook: what is called after each of the `checks_per_tick` equal parts of a tick."""
        return lambda data: None

    def _middle_of_pushed(self, which: Sequence[int]) -> NDArray[np.float64]:
        """Task hook: where the middle of what a push moves is, x and y first [m]."""
        raise ConfigError(f"{type(self).__name__}: expected _middle_of_pushed, to measure a push")

    def _tables_at_rest(self) -> Sequence[Rectangle]:
        """Task hook: parts of the table that do not run when the rest does, after `_start`."""
        return ()

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

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without solver caches; they come back at first use."""
        return {**self.__dict__, "_kinematics": None}

    def __getattr__(self, name: str) -> Any:
        """What an episode brings is missing before the first reset: one line that says so."""
        if name.startswith("__") or self.__dict__.get("_simulation") is not None:
            # The usual error, also where a property failed for want of something else.
            return object.__getattribute__(self, name)
        raise NoEpisodeError(f"{type(self).__name__}.{name}: {NO_EPISODE}")

    # ---------------------------------------------------------------- state
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
        return tick_ns(self.tick, self.control_hz)

    @property
    def kinematics(self) -> DualArmKinematics:
        """Kinematics of the robot, created at first use."""
        if self._kinematics is None:
            self._kinematics = DualArmKinematics(self.world, self.servo, self.control_hz)
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
        if self.senses.alters_joints:
            state = self._perception.measured(self.tick, state, self.kinematics)
        read = self._joint_faults.filter(state, self.tick)
        if read is state:
            return state
        tool_pos, tool_quat = self.kinematics.forward(read.joint_pos)
        return replace(read, tool_pos=tool_pos, tool_quat=tool_quat)

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

    # ---------------------------------------------------------------- play
    def _simulate(self, target: NDArray[np.float64]) -> str | None:
        assert self._simulation is not None
        route_engine_warnings()  # an unpickled environment may be in a fresh process
        self._simulation.step = self._belt.step
        pusher, forces = self._pusher, self._own_forces()
        acting = () if forces is None else (functools.partial(forces, self.data),)
        after_segment = self._segment_end()
        if pusher is None or pusher.stroke is None:
            return self._simulation.run(self._command, target, after_segment, acting)
        acting = (*acting, functools.partial(pusher.drive, self.data))
        broken = self._simulation.run(self._command, target, after_segment, acting)
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

    def _views(self, what: str) -> SceneCameras:
        if self._cameras is None:
            raise NoEpisodeError(f"{what}: {NO_EPISODE}")
        return self._cameras

    def _keep_for_late_senses(self) -> None:
        """Remembers this tick for senses that come late; without a delay there is nothing to."""
        views = self._views("senses")
        if self.senses.delays_pictures or views.faults.any:
            views.keep(self.tick)
        if self.senses.joint_delay_s:
            self._perception.keep_reading(self.tick, self.robot_state())
