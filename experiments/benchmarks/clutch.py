"""``xr0-sim bench clutch``: what opens a clutch, slowly and with a blow, against the set limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from envs.world import DEFAULT_WORLD
from experiments.benchmarks.clutch_impacts import LATE, strike_all
from experiments.benchmarks.clutch_rig import TIMESTEP_S, ClutchRig
from experiments.benchmarks.report import Measure, report
from xr0_sim.errors import Xr0SimError

TOLERANCE_PERCENT = 15.0
LATE_TARGET_PERCENT = 10.0
"""Most clutches that may open late, of those that impacts open [%]."""

RAMP_S = 1.0
"""Time from zero to the set limit [s]."""

SIZES: tuple[tuple[int, int], ...] = ((1, 1), (1, 2), (2, 2), (2, 3), (2, 4))
"""Studs along x and y of two equal bricks, one on the other."""

Load = Literal["pull", "peel about x", "peel about y"]
LOADS: tuple[Load, ...] = ("pull", "peel about x", "peel about y")


@dataclass(frozen=True)
class BenchClutchConfig:
    """Loads two clutched bricks until they come apart: slowly, then by falls, blows, fast pulls.

    Slow loads act on both bricks, floating and without gravity, at the interface centre with equal
    and opposite wrenches, so that the interface carries exactly what is applied.

    Attributes:
        world: World whose contacts and checks hold.
        json: Print one JSON object.
    """

    world: str = DEFAULT_WORLD
    json: bool = False


@dataclass(frozen=True)
class Opening:
    """One clutch that was opened.

    Attributes:
        size: Studs along x and y.
        load: Kind of load.
        limit: Set limit [N or N·m].
        found: Load at which it opened.
    """

    size: tuple[int, int]
    load: Load
    limit: float
    found: float

    @property
    def error_percent(self) -> float:
        """Deviation from the limit [%]."""
        return 100.0 * (self.found / self.limit - 1.0)


def run(config: BenchClutchConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    openings = [open_clutch(size, load, config.world) for size in SIZES for load in LOADS]
    errors = [opening.error_percent for opening in openings]
    measures = [
        Measure(
            "clutch_error_percent",
            "opening load against its limit, worst",
            max(abs(error) for error in errors),
            "%",
            low=min(errors),
            high=max(errors),
            n=len(errors),
            target=TOLERANCE_PERCENT,
        )
    ]
    impacts = strike_all(config.world)
    struck = [impact for impact in impacts if impact.peak >= 1.0]
    measures.append(
        Measure(
            "clutch_late_percent",
            f"impacts after which a clutch carried {LATE:g} times its limit",
            100.0 * sum(impact.late for impact in struck) / len(struck),
            "%",
            n=len(struck),
            target=LATE_TARGET_PERCENT,
        )
    )
    worst = max(impact.peak for impact in struck)
    measures.append(
        Measure("clutch_worst_load", "highest load before opening", worst, n=len(struck))
    )
    report(
        "two bricks, clutched",
        measures,
        as_json=config.json,
        config=config,
        tables={
            "slow loads": [_row(opening) for opening in openings],
            "impacts": [impact.row() for impact in impacts],
        },
    )
    return 0


def _row(opening: Opening) -> dict[str, Any]:
    scale, unit = (1.0, "N") if opening.load == "pull" else (1e3, "N·mm")
    return {
        "studs": opening.size[0] * opening.size[1],
        "bricks": f"{opening.size[0]}x{opening.size[1]}",
        "load": opening.load,
        "limit": scale * opening.limit,
        "opened at": scale * opening.found,
        "unit": unit,
        "error %": opening.error_percent,
    }


def open_clutch(size: tuple[int, int], load: Load, world: str = DEFAULT_WORLD) -> Opening:
    """Raises a load linearly until the clutch opens."""
    import mujoco

    origin = (0.0, 0.0, 0.3)
    rig = ClutchRig(size, world, origin, _without_gravity)
    model, data, face = rig.model, rig.data, rig.face
    point = face.centre + origin
    limit = face.tension_limit if load == "pull" else float(face.peel_limits["xy".index(load[-1])])
    for step in range(round(3 * RAMP_S / TIMESTEP_S)):
        size_now = limit * step * TIMESTEP_S / RAMP_S
        force, torque = _wrench(load, size_now)
        data.qfrc_applied[:] = 0.0
        for sign, brick in ((-1.0, 0), (1.0, 1)):
            mujoco.mj_applyFT(
                model, data, sign * force, sign * torque, point, rig.body(brick), data.qfrc_applied
            )
        if rig.step():
            return Opening(size, load, limit, size_now)
    raise Xr0SimError(f"clutch of {size[0]}x{size[1]} studs: {load} of 3 times the limit held")


def _without_gravity(spec: Any) -> None:
    spec.option.gravity = [0.0, 0.0, 0.0]


def _wrench(load: Load, size: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Force [N] and torque [N·m] on the upper brick."""
    force, torque = np.zeros(3), np.zeros(3)
    if load == "pull":
        force[2] = size
    else:
        torque["xy".index(load[-1])] = size
    return force, torque
