"""The control rate of an environment: which rates there are, and what a time is in their ticks.

The rate is an argument of the environment. Whatever counts ticks for seconds gets it from there;
`xr0_sim.conventions.CONTROL_HZ` is the default. The physics keeps its step where that divides the
control tick, and takes the nearest one that does where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from envs.world import FIRST, World
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError

SLOWEST_HZ, FASTEST_HZ = 5, 100
"""Control rates [Hz]; chosen, around the 10 to 50 Hz of published policies."""
MOST_SUBSTEPS = 1000
"""Physics steps per control tick; more cannot be afforded."""


def check_rate(control_hz: Any, world: World) -> int:
    """The control rate [Hz], if a world can be played at it.

    Raises:
        ConfigError: It is no whole number in range, or the world is the first one, whose judges
            count ticks of 30 Hz.
    """
    whole = isinstance(control_hz, int) and not isinstance(control_hz, bool)
    if not whole or not SLOWEST_HZ <= control_hz <= FASTEST_HZ:
        raise ConfigError(
            f"control_hz: expected a whole number {SLOWEST_HZ} .. {FASTEST_HZ} Hz, got "
            f"{control_hz!r}"
        )
    if world.name == FIRST.name and control_hz != CONTROL_HZ:
        raise ConfigError(
            f"control_hz: expected {CONTROL_HZ} in world {world.name}, got {control_hz}; take a "
            "later world"
        )
    return int(control_hz)


def check_recorded_rate(control_hz: int, recorded_hz: int, what: str) -> None:
    """Rejects an environment at another rate than that of recorded rows.

    Args:
        control_hz: Rate of the environment [Hz].
        recorded_hz: Rate of the rows [Hz].
        what: What needs it, e.g. ``policy xr0``.

    Raises:
        ConfigError: The two differ.
    """
    if control_hz != recorded_hz:
        raise ConfigError(
            f"{what}: expected an environment at {recorded_hz} Hz, the rate of its rows, got one "
            f"at {control_hz} Hz; give control_hz={recorded_hz}"
        )


def rate_words(env_kwargs: Mapping[str, Any]) -> str:
    """The rate for captions, e.g. ``, 50 Hz``; nothing at the usual one, nor on older cards."""
    control_hz = env_kwargs.get("control_hz", CONTROL_HZ)
    return "" if control_hz == CONTROL_HZ else f", {control_hz} Hz"


def ticks_of(seconds: float, control_hz: int) -> int:
    """Whole ticks that a time is, one at least.

    >>> [ticks_of(0.5, hz) for hz in (10, 30, 50)]
    [5, 15, 25]
    """
    return max(1, round(seconds * control_hz))


def substeps(timestep_s: float, control_hz: int = CONTROL_HZ) -> int:
    """Physics steps per control tick.

    Raises:
        ConfigError: The physics step is no number, or does not divide the control tick exactly.
    """
    number = isinstance(timestep_s, int | float) and not isinstance(timestep_s, bool)
    if not number or not 1 / (control_hz * MOST_SUBSTEPS) <= timestep_s <= 1 / control_hz:
        raise ConfigError(
            f"timestep_s: expected 1/{control_hz * MOST_SUBSTEPS} .. 1/{control_hz} s, got "
            f"{timestep_s!r}"
        )
    count = round(1.0 / (control_hz * timestep_s))
    if not math.isclose(count * timestep_s * control_hz, 1.0, rel_tol=1e-9):
        raise ConfigError(
            f"timestep_s: expected 1/({control_hz}·n) s for a whole n, got {timestep_s!r}; "
            f"the nearest is 1/{control_hz * count}"
        )
    return count


def fitting_step(timestep_s: float, control_hz: int) -> float:
    """The physics step [s] itself where it divides a control tick, else the nearest that does.

    >>> fitting_step(1 / 1200, 50) == 1 / 1200, fitting_step(1 / 180, 50) == 1 / 200
    (True, True)
    """
    count = max(1, round(1.0 / (control_hz * timestep_s)))
    if math.isclose(count * timestep_s * control_hz, 1.0, rel_tol=1e-9):
        return timestep_s
    return 1.0 / (control_hz * count)
