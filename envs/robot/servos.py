"""How the joints follow their targets, as one value: the servo of an environment.

A servo is a frozen dataclass that derives from `Servo`; text names it: ``name[:field=value,...]``.
A plug-in adds its own to `xr0_sim.registry.servos`.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.registry import servos


@dataclass(frozen=True)
class ServoGains:
    """Stiffness kp [N·m/rad] and damping kd [N·m·s/rad] of one joint servo."""

    kp: float
    kd: float


class Servo(abc.ABC):
    """Position servos of the six joints of an arm."""

    @abc.abstractmethod
    def gains(self) -> dict[str, ServoGains]:
        """Gains by joint name, see `envs.robot.facts.JOINTS`."""


@servos.register("ideal", "joint loops of 11 Hz, critically damped, gravity compensated")
@dataclass(frozen=True)
class IdealServo(Servo):
    """Joint loops of one natural frequency that know the arm's inertia and its weight."""

    def gains(self) -> dict[str, ServoGains]:
        """See `envs.robot.facts.servo_gains`."""
        from envs.robot.facts import servo_gains

        return servo_gains()


def find_servo(servo: Any) -> Servo:
    """A servo from its text, or the value itself.

    Raises:
        ConfigError: Unknown name or field, or no servo.
    """
    found = servos.parse(servo) if isinstance(servo, str) else servo
    found = found() if isinstance(found, type) else found
    if not isinstance(found, Servo):
        raise ConfigError(f"servo: expected an envs.robot.servos.Servo, got {found!r}")
    return found
