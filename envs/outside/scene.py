"""One episode of a simulator in another process: its task, its time, what is perceived of it."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs.events import check_events
from envs.instruction import encode_instruction
from envs.observations import IMAGE_SIZES, check_pixels, check_video_size
from envs.outside.cameras import OutsideCameras
from envs.outside.reading import (
    arm_action,
    checked_reading,
    command_of,
    robot_state_of,
    standing_still,
)
from xr0_sim.conventions import NS_PER_S, tick_ns
from xr0_sim.errors import ConfigError, PlantLostError, unknown_name
from xr0_sim.outside.client import OutsideProcess
from xr0_sim.outside.simulator import Reading
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.types import EventRecord, Observation, RobotState

RESET_OPTIONS = ("events", "instruction")


class OutsideScene(abc.ABC):
    """A scene that is reset, played and perceived; `envs.outside.env.OutsideEnv` is its face.

    Attributes:
        tick: Control ticks so far.
        instruction: The task in words.
        objects: Names of what events can move.
        target: The object that the task is about.
    """

    control_hz = 20
    phases: tuple[str, ...] = ("task",)
    cameras: tuple[str, ...] = ("base", "left_wrist")
    """Policy cameras, by the names of ours."""
    usual_image_size = 256
    """Side of the policy pictures where the policy has no wish [px]; that of vla-eval 0.8."""
    rest: tuple[float, ...] = (0.0,) * 6 + (-1.0,)
    """The robot's own action under which it stands still, its gripper open."""

    instruction: str
    objects: tuple[str, ...]
    target: str
    _schedule: EventSchedule
    _cameras: OutsideCameras
    _command: NDArray[np.float64]
    _seed: int
    _episode: str
    _undisturbed: str

    def __init__(
        self,
        *,
        observation: str = "state",
        image_size: int | None = None,
        render_mode: str | None = None,
        render_size: tuple[int, int] = (480, 640),
    ):
        if observation != "state":
            raise unknown_name("observation", observation, ("state",))
        if render_mode not in (None, "rgb_array"):
            raise unknown_name("render_mode", str(render_mode), ("rgb_array",))
        size = self.usual_image_size if image_size is None else image_size
        self.image_size = check_pixels("image_size", size, IMAGE_SIZES)
        self.render_mode = render_mode
        self.render_size = check_video_size(render_size)
        self.tick = 0
        self._reading: Reading | None = None
        self._process = self.start()

    # ---------------------------------------------------------------- task hooks
    @abc.abstractmethod
    def start(self) -> OutsideProcess:
        """Task hook: the process of the simulator; it starts at the first question."""

    @abc.abstractmethod
    def words(self, instruction: str) -> str:
        """Task hook: the benchmark's instruction as a policy gets it."""

    def task_words(self) -> str:
        """Task hook: which task this is, for telling snapshots apart."""
        return ""

    # ---------------------------------------------------------------- play
    def reset_scene(self, seed: int | None, options: Mapping[str, Any] | None = None) -> None:
        """Puts robot and scene at the start of the episode of a seed.

        Args:
            seed: Seed of the episode; None for 0.
            options: ``events``, and ``instruction`` in place of the benchmark's own.

        Raises:
            ConfigError: An option that does not fit, or the simulator cannot be started.
            PlantLostError: It was lost.
        """
        options = dict(options or {})
        for key in options:
            if key not in RESET_OPTIONS:
                raise unknown_name("reset option", str(key), RESET_OPTIONS)
        events = parse_events(options.get("events", ()))
        check_events(events, type(self))
        self._seed = 0 if seed is None else seed
        self._schedule = EventSchedule(events, self._seed)
        self._reading = None
        reading = self._process.ask("reset", seed=self._seed)
        self._learn(self._process.ask("describe"), str(options.get("instruction") or ""))
        self._undisturbed = f"{type(self).__qualname__} {self.task_words()} seed {self._seed}"
        self._episode = f"{self._undisturbed} {events!r}" if events else self._undisturbed
        self._command = command_of(self.rest)
        self.tick = 0
        self._cameras = OutsideCameras(self._draw, self.cameras, self.image_size, self.control_hz)
        self._reading = checked_reading(reading)

    def advance(self, action: NDArray[np.floating]) -> tuple[float, bool, bool, dict[str, Any]]:
        """One control tick: reward, terminated, truncated, info.

        Args:
            action: (14,), see `envs.outside.reading`.

        Raises:
            PlantLostError: The simulator was lost or broke; the episode is invalid.
        """
        self._known()
        arm = arm_action(action)
        fired = self._schedule.fire(self, self.tick, self.time_ns, self.phase)
        reading = self._process.ask("step", action=arm)
        self._command = command_of(arm)
        self.tick += 1
        self._moved(reading)
        success = bool(reading["success"])
        return float(reading["reward"]), success, False, self._info(fired, success)

    def standstill(self, command: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is commanded in a tick without an action, from the command (14,) before."""
        return standing_still(command)

    @property
    def phase(self) -> str:
        """The one phase of the task."""
        return self.phases[0]

    @property
    def time_ns(self) -> int:
        """Simulated time at the start of the current tick [ns]."""
        return tick_ns(self.tick, self.control_hz)

    # ---------------------------------------------------------------- perception
    def robot_state(self) -> RobotState:
        """The robot at the start of the current tick, laid out as `envs.outside.reading` says."""
        return robot_state_of(self._known(), self._command)

    def observe(self, images: bool = True) -> Observation:
        """What a chunk model may see now; draws the cameras only if asked to."""
        return Observation(
            tick=self.tick,
            time_ns=self.time_ns,
            robot=self.robot_state(),
            images=self.camera_images() if images else {},
            instruction=self.instruction,
            privileged=self.privileged(),
        )

    def privileged(self) -> dict[str, Any]:
        """``objects``, name -> (3,) position in the world frame [m], and ``target``, a name."""
        return {"objects": dict(self._known()["objects"]), "target": self.target}

    def camera_images(self) -> dict[str, NDArray[np.uint8]]:
        """The policy's views, (S, S, 3) uint8 each, as camera faults show them."""
        self._known()
        return self._cameras.policy_images(self.tick)

    # ---------------------------------------------------------------- parts
    def _known(self) -> Reading:
        if self._reading is None:
            raise ConfigError(f"{type(self).__name__}: expected a reset first")
        return self._reading

    def _moved(self, reading: Reading) -> None:
        """Takes a new reading; earlier pictures are out of date."""
        self._reading = checked_reading(reading)
        self._cameras.moved(self.tick)

    def _learn(self, told: Mapping[str, Any], instruction: str) -> None:
        if told.get("control_hz") != self.control_hz:
            raise PlantLostError(
                f"simulator: expected {self.control_hz} Hz, got {told.get('control_hz')}"
            )
        self.objects = tuple(str(name) for name in told.get("objects", ()))
        self.target = str(told.get("target", ""))
        self.instruction = instruction or self.words(str(told.get("instruction", "")))
        encode_instruction(self.instruction)

    def _draw(self, names: Sequence[str], height: int, width: int) -> Mapping[str, Any]:
        return self._process.ask("pictures", cameras=list(names), height=height, width=width)

    def _info(self, fired: Sequence[EventRecord], success: bool) -> dict[str, Any]:
        pending: tuple[Event, ...] = self._schedule.pending
        return {
            "success": success,
            "is_success": success,
            "protective_stop": "",
            "progress": float(success),
            "phase": self.phase,
            "instruction": self.instruction,
            "events": tuple(fired),
            "pending_events": pending,
            "tick": self.tick,
            "time_s": self.time_ns / NS_PER_S,
        }
