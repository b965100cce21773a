"""Encoders that stand still, or are noisy, for a while; physics, judges and logs see the truth."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xr0_sim.conventions import CONTROL_HZ, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.fields import check_range
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind, register_preset
from xr0_sim.perturb.triggers import AtTime
from xr0_sim.runtime.clock import seconds_to_ns
from xr0_sim.types import RobotState


@dataclass(frozen=True)
class JointFault:
    """One fault as a scene takes it.

    Attributes:
        duration_s: How long [s].
        stale: Readings repeat that of the first tick.
        noise_rad: Standard deviation of what is added to joint angles [rad].
        seed: Of the noise.
    """

    duration_s: float
    stale: bool = False
    noise_rad: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class _Lasting(Event):
    """What faults of the encoders share."""

    duration_s: float = 1.0

    def __post_init__(self) -> None:
        """Rejects durations that are not positive."""
        if not self.duration_s > 0:
            raise ConfigError(
                f"{type(self).__name__}.duration_s: expected finite seconds > 0, got "
                f"{self.duration_s}"
            )


@event_kind("stale_joints")
@dataclass(frozen=True)
class StaleJoints(_Lasting):
    """The encoders of both arms repeat their present reading for a while.

    Attributes:
        duration_s: How long [s].
    """

    def apply(self, scene: Any, rng: np.random.Generator) -> None:
        """Holds the readings from this tick on."""
        scene.alter_readings(JointFault(self.duration_s, stale=True))


@event_kind("noisy_joints")
@dataclass(frozen=True)
class NoisyJoints(_Lasting):
    """White noise on every joint angle for a while, new in every tick.

    Attributes:
        duration_s: How long [s].
        noise_deg: Standard deviation [°].
    """

    noise_deg: float = 1.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        super().__post_init__()
        check_range(self, "noise_deg", 0.0, 30.0, "°")

    def apply(self, scene: Any, rng: np.random.Generator) -> None:
        """Adds noise from this tick on."""
        noise_rad, seed = math.radians(self.noise_deg), int(rng.integers(2**31))
        scene.alter_readings(JointFault(self.duration_s, noise_rad=noise_rad, seed=seed))


register_preset("stale_joints", StaleJoints(trigger=AtTime(2.0)))
register_preset("noisy_joints", NoisyJoints(trigger=AtTime(2.0)))


class JointFaults:
    """Faults of an episode's encoders; a scene filters its readings through it.

    Args:
        control_hz: Control rate [Hz].
    """

    def __init__(self, control_hz: int = CONTROL_HZ) -> None:
        self._control_hz = control_hz
        self._running: tuple[tuple[JointFault, int, RobotState], ...] = ()

    @property
    def any(self) -> bool:
        """Whether a fault was begun."""
        return bool(self._running)

    def begin(self, fault: JointFault, tick: int, robot: RobotState) -> None:
        """Alters readings from ``tick`` on; ``robot`` is that of this tick."""
        self._running = (*self._running, (fault, tick, robot))

    def filter(self, robot: RobotState, tick: int) -> RobotState:
        """Joints and jaws as read at ``tick``; the command is known, tool poses are left alone."""
        for fault, since, first in self._running:
            end_ns = tick_ns(since, self._control_hz) + seconds_to_ns(fault.duration_s)
            if tick_ns(tick, self._control_hz) >= end_ns:
                continue
            if fault.stale:
                robot = replace(first, command=robot.command)
            if fault.noise_rad:
                rng = np.random.default_rng([fault.seed, tick])
                noise = fault.noise_rad * rng.standard_normal(robot.joint_pos.shape)
                robot = replace(robot, joint_pos=robot.joint_pos + noise)
        return robot

    def snapshot(self) -> Any:
        """State to continue from later; treat as opaque."""
        return self._running

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self._running = state
