"""Which network a policy runs and how it computes: the one place where these options stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xr0_sim.errors import ConfigError
from xr0_sim.fields import NEWER
from xr0_sim.model.compute.devices import DEFAULT_DEVICE
from xr0_sim.model.compute.precision import (
    DEFAULT_PRECISION,
    STORED_WEIGHTS,
    check_precision,
    check_vlm_weights,
)

LONGEST_WINDOW = 1000
"""Λ windows beyond a chunk see all of it."""


@dataclass(frozen=True)
class NetworkOptions:
    """Options of a trained network, checked as far as they need no file.

    Attributes:
        checkpoint: Shipped name or path; None for the first shipped one, or the task's own.
        head: Action-expert head; None for the one that suits, and for released checkpoints, which
            have a single expert.
        temperature: Factor 0 .. 1 on the flow noise; None for the policy's own.
        precision: Number format of the large products (`xr0_sim.model.compute.precision`).
        device: Where the network runs (`xr0_sim.model.compute.devices`).
        vlm_weights: How the VLM's weights are kept (`xr0_sim.model.compute.weight_only`).
        compile: Whether the Euler step is compiled.
        graph: Whether the network runs in captured graphs; needs a graphics card.
        robot_type: Robot type of a released checkpoint whose statistics are used; None where it
            has only one that fits this robot.
        views: Views of a released checkpoint in prompt order; None for all cameras.
        window: Λ window at inference: how many earlier actions an action token sees; None for
            the one that the head was trained with.
    """

    checkpoint: str | Path | None = None
    head: str | None = None
    temperature: float | None = None
    precision: str = DEFAULT_PRECISION
    device: str = DEFAULT_DEVICE
    vlm_weights: str = STORED_WEIGHTS
    compile: bool = False
    robot_type: str | None = None
    views: tuple[str, ...] | None = None
    window: int | None = None
    graph: bool = field(default=False, metadata=NEWER)

    def __post_init__(self) -> None:
        """Rejects values that no network takes."""
        check_temperature(self.temperature)
        check_precision(self.precision)
        check_vlm_weights(self.vlm_weights)
        check_window(self.window)


def check_temperature(value: float | None, what: str = "temperature") -> None:
    """Rejects a factor on the flow noise outside 0 .. 1; None is the policy's own."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise ConfigError(f"{what}: expected 0 .. 1, got {value!r}")


def check_window(value: int | None, what: str = "window") -> None:
    """Rejects a Λ window that is no number of rows; None is the head's own."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_WINDOW:
        raise ConfigError(f"{what}: expected 0 .. {LONGEST_WINDOW} rows, got {value!r}")
