"""Base of every dual-arm task: the Gymnasium face of a simulation, its cameras and its events.

One control tick moves the servo targets in a straight line from the last command to the
action, see `envs.simulation`. A task adds its objects, its reward and its notion of success
through the methods marked "Task hook".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.control_rate import check_rate, fitting_step, substeps
from envs.disturbable_scene import check_text
from envs.episode_scene import NO_EPISODE
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
from envs.restorable_scene import RestorableScene
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
from envs.robot.arms import Drive
from envs.robot.facts import HOME_JAW
from envs.robot.kinematics import home_joints
from envs.robot.proprioception import proprio_vector
from envs.robot.servos import Servo, find_servo
from envs.scene.belt import Belt
from envs.scene.cameras import SceneCameras
from envs.scene.engine_messages import route_engine_warnings
from envs.scene.looks import Looks, dress, find_looks
from envs.scene.pusher import Pusher
from envs.scene.views import Views, views_of
from envs.scene.window import Window
from envs.senses.base import Senses, find_senses
from envs.senses.episode import EpisodeSenses
from envs.simulation import Simulation
from envs.snapshot import (
    episode_digest,
)
from envs.world import DEFAULT_WORLD, World, find_world
from xr0_sim.conventions import CONTROL_HZ, NS_PER_S
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.perturb.signals.proprioception import JointFaults
from xr0_sim.types import EventRecord


class DualArmEnv(RestorableScene):
    """Two arms at a table; see the task classes for spaces and rewards.

    Args:
        observation: ``pixels`` (three cameras, proprioception, instruction) or ``state``
            (privileged state instead of pictures).
        image_size: Side of the square camera pictures [px]; None for the world's.
        action_mode: ``joint`` targets or ``tool`` poses, see `envs.robot.actions.action_space`.
        timestep_s: Physics step [s]; must divide the control tick exactly. None for the task's own,
            or the nearest that does.
        render_mode: None, ``rgb_array``, or ``human``: a window that every reset and step renews;
            without a display nothing is shown.
        render_size: (height, width) of `render` [px].
        world: Physics, judges and views, see `envs.world.World`.
        servo: How the joints follow their targets, ``name[:field=value,...]`` of
            `xr0_sim.registry.servos`; "" for the world's own.
        senses: Faults of cameras and encoders, text of `xr0_sim.registry.senses`.
        looks: What is drawn anew for every seed beside the physics, text of
            `xr0_sim.registry.looks`.
        control_hz: Control rate [Hz], see `envs.control_rate`; 30 in world 0.1.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": CONTROL_HZ}  # noqa: RUF012
    reward_weights: Mapping[str, float] = {}
    usual_timestep_s = 1 / 1200
    """Physics step of the task [s]."""

    def __init__(
        self,
        *,
        observation: ObservationMode = "pixels",
        image_size: int | None = None,
        action_mode: ActionMode = "joint",
        timestep_s: float | None = None,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (540, 960),
        world: str | World = DEFAULT_WORLD,
        servo: str | Servo = "",
        senses: str | Senses = "clean",
        looks: str | Looks = "none",
        control_hz: int = CONTROL_HZ,
    ):
        if observation not in get_args(ObservationMode):
            raise unknown_name("observation", observation, get_args(ObservationMode))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise unknown_name("render_mode", str(render_mode), self.metadata["render_modes"])
        self.world = find_world(world)
        self.servo = find_servo(servo or self.world.servo)
        self.senses, self.looks = find_senses(senses), find_looks(looks)
        self.observation_mode = observation
        self.views: Views = views_of(self.world, self.close_views)
        size = self.views.image_size if image_size is None else image_size
        self.image_size = check_pixels("image_size", size, IMAGE_SIZES)
        self.action_mode = check_mode(action_mode)
        self.control_hz = hz = check_rate(control_hz, self.world)
        self.metadata = {**self.metadata, "render_fps": hz}
        step_s = fitting_step(self.usual_timestep_s, hz) if timestep_s is None else timestep_s
        self.timestep_s, self.substeps = step_s, substeps(step_s, hz)
        self.render_mode = render_mode
        self._window = Window() if render_mode == "human" else None
        self.render_size = check_video_size(render_size)
        self.action_space = action_space()
        self._kinematics = None
        self._simulation = None
        self._pusher = None
        self._cameras = None
        self._home = join_arms(home_joints(), np.full(2, HOME_JAW))
        self.tick = 0
        dim = self._privileged_dim()
        self.observation_space = observation_space(observation, self.image_size, dim)

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
        self._show()
        return self.gym_observation(), self._info(())

    def reset_scene(self, seed: int | None, options: Mapping[str, Any] | None = None) -> None:
        """`reset` without building the observation."""
        seed = _check_seed(seed)
        options = self._check_options(options)
        super().reset(seed=seed)
        events = parse_events(options.get("events", ()))
        check_events(events, type(self), world=self.world)
        event_seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._free_renderers()
        route_engine_warnings()
        model = self._build(options).compile()
        drive = Drive.of(self.world, self.servo)
        hz = self.control_hz
        self._simulation = Simulation(model, self.substeps, self.checks_per_tick, drive, hz)
        dress(model, self.looks, self.dyes(), event_seed)
        self._perception = EpisodeSenses(self.senses, event_seed, hz)
        self._cameras = SceneCameras(
            self._simulation, self.image_size, self.render_size, self._perception
        )
        paddle = self.paddle
        self._pusher = Pusher(model, paddle) if paddle is not None and self.world.pushes else None
        self._joint_faults = JointFaults(hz)
        self._event_seed = event_seed
        self._schedule = EventSchedule(events, event_seed)
        self._command = self._resting_command()
        self._ports.place(self.data, self._home, self._command)
        self.tick = 0
        self._failure = None
        drawn = self._start(options)
        self._belt = Belt(model, self._tables_at_rest())
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
            *(() if hz == CONTROL_HZ else (hz,)),
        )
        self._undisturbed = self._episode
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
        self._show()
        return self.gym_observation(), reward, terminated, truncated, info

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
        target = self._command
        if not self._stop.reason:
            target = limit_step(action, self._command, self.control_hz)
        fired = self._schedule.fire(self, self.tick, self.time_ns, self._assessment.phase)
        self._failure = self._simulate(target)
        self._command = target
        self.tick += 1
        self._belt.tidy(self.tick)
        if self._failure is not None:
            raise self._broken()
        assessment = self._assessment = self._assess()
        self._keep_for_late_senses()
        reward = sum(self.reward_weights[k] * v for k, v in assessment.terms.items())
        info = self._info(fired)
        terminated = bool(info["protective_stop"]) or (info["success"] and not assessment.goes_on)
        return float(reward), terminated, False, info

    def render(self) -> NDArray[np.uint8] | None:
        """A picture of the whole scene for videos, (H, W, 3) uint8; None in other render modes."""
        if self.render_mode != "rgb_array":
            self._show()
            return None
        return self._views("render").video_image()

    def film_image(self, camera: str) -> NDArray[np.uint8]:
        """A picture by a policy camera at the size and quality of `render`, (H, W, 3) uint8."""
        return self._views("film_image").video_image(camera)

    def close(self) -> None:
        """Frees the renderers and closes the window; may be called more than once."""
        self._free_renderers()
        if self._window is not None:
            self._window.close()

    def _free_renderers(self) -> None:
        if self._cameras is not None:
            self._cameras.close()

    def _show(self) -> None:
        if self._window is not None:
            self._window.show(self.model, self.data)

    def _check_options(self, options: Any) -> dict[str, Any]:
        options = {} if options is None else options
        if not isinstance(options, Mapping):
            raise ConfigError(f"reset options: expected a mapping, got {options!r}")
        known = ("events", "instruction", *self.option_names)
        for key in options:
            if key not in known:
                raise unknown_name("reset option", str(key), known)
        if options.get("instruction"):
            check_text(options["instruction"])
        return dict(options)

    option_names: tuple[str, ...] = ()

    def gym_observation(self) -> dict[str, NDArray]:
        """What `reset` and `step` return of the present tick, see `envs.observations`."""
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
        if self.senses.alters_joints or self._joint_faults.any:
            return proprio_vector(self.measured_state())
        return self._ports.vector(self.data, self._command)

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
            "drifts": self._belt.told(self.tick),
            "tick": self.tick,
            "time_s": self.time_ns / NS_PER_S,
            **assessment.details,
        }


def _check_seed(seed: Any) -> int | None:
    whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool)
    if seed is not None and not (whole and seed >= 0):
        raise ConfigError(f"seed: expected a whole number >= 0 or none, got {seed!r}")
    return None if seed is None else int(seed)
