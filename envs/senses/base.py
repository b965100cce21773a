"""How well the policy's cameras and encoders measure, as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.fields import CheckedFields, check_range
from xr0_sim.registry import senses

GREY_LEVELS = 255.0
"""White of a picture."""


@dataclass(frozen=True)
class Senses(CheckedFields):
    """Faults of cameras and encoders; every field at 0 is perfect, and costs nothing.

    They touch what a policy gets and nothing else: physics, judges, experts and logs see the truth.

    Attributes:
        shot_noise: Standard deviation of the photon noise on white [grey levels]; it falls with the
            square root of the signal.
        read_noise: Standard deviation of the noise in the dark [grey levels].
        exposure_stops: An episode's exposure is off by up to this, either way [stops].
        white_balance: An episode's red gain is off by up to this share, its blue gain by the
            opposite.
        blur_px: Standard deviation of the Gaussian blur of lens and mosaic [px].
        camera_delay_s: Age of a frame when it arrives [s]; frames are taken at the control ticks.
        camera_jitter_s: Further age, uniform from 0 to this, drawn for every frame [s].
        camera_shift_m: An episode's cameras are off by up to this along each axis [m].
        camera_turn_deg: They are turned by up to this about each axis [°].
        joint_noise_deg: Standard deviation of a joint reading [°].
        encoder_counts: Steps of a joint reading per turn; 0 for none.
        speed_unit_rpm: Step of a joint speed reading [rev/min]; 0 for none.
        joint_delay_s: Age of a joint reading [s].
    """

    shot_noise: float = 0.0
    read_noise: float = 0.0
    exposure_stops: float = 0.0
    white_balance: float = 0.0
    blur_px: float = 0.0
    camera_delay_s: float = 0.0
    camera_jitter_s: float = 0.0
    camera_shift_m: float = 0.0
    camera_turn_deg: float = 0.0
    joint_noise_deg: float = 0.0
    encoder_counts: int = 0
    speed_unit_rpm: float = 0.0
    joint_delay_s: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name, most, unit in (
            ("shot_noise", 128.0, "grey levels"),
            ("read_noise", 128.0, "grey levels"),
            ("exposure_stops", 4.0, "stops"),
            ("white_balance", 0.9, ""),
            ("blur_px", 20.0, "px"),
            ("camera_delay_s", 1.0, "s"),
            ("camera_jitter_s", 1.0, "s"),
            ("camera_shift_m", 0.5, "m"),
            ("camera_turn_deg", 45.0, "°"),
            ("joint_noise_deg", 10.0, "°"),
            ("speed_unit_rpm", 10.0, "rev/min"),
            ("joint_delay_s", 1.0, "s"),
        ):
            check_range(self, name, 0.0, most, unit)
        if self.encoder_counts and not 16 <= self.encoder_counts <= 2**24:
            raise ConfigError(
                f"Senses.encoder_counts: expected 0 or 16 .. {2**24}, got {self.encoder_counts}"
            )

    @property
    def delays_pictures(self) -> bool:
        """Whether a capture may show an older picture."""
        return self.camera_delay_s + self.camera_jitter_s > 0

    @property
    def alters_pictures(self) -> bool:
        """Whether a picture is developed otherwise than it was drawn."""
        return bool(
            self.shot_noise
            or self.read_noise
            or self.exposure_stops
            or self.white_balance
            or self.blur_px
        )

    @property
    def alters_joints(self) -> bool:
        """Whether a joint reading differs from the truth."""
        return bool(
            self.joint_noise_deg or self.encoder_counts or self.speed_unit_rpm or self.joint_delay_s
        )


def find_senses(value: Any) -> Senses:
    """Senses from their text, or the value itself.

    Raises:
        ConfigError: Unknown name or field, or no senses.
    """
    found: Senses = senses.value(value, Senses)
    return found
