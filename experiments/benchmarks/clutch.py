"""``xr0-sim bench clutch``: the pull and the peel that open a clutch, against the set limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure, report
from xr0_sim.errors import Xr0SimError

TOLERANCE_PERCENT = 15.0
TIMESTEP_S = 1 / 600
"""Physics step of the task [s]."""

CHECK_EVERY = 10
"""Physics steps between two looks at the clutch, as in the task."""

RAMP_S = 1.0
"""Time from zero to the set limit [s]."""

SIZES: tuple[tuple[int, int], ...] = ((1, 1), (1, 2), (2, 2), (2, 3), (2, 4))
"""Studs along x and y of two equal bricks, one on the other."""

Load = Literal["pull", "peel about x", "peel about y"]
LOADS: tuple[Load, ...] = ("pull", "peel about x", "peel about y")


@dataclass(frozen=True)
class BenchClutchConfig:
    """Loads two clutched bricks slowly, floating and without gravity, until they come apart.

    Both bricks are loaded at the interface centre with equal and opposite wrenches, so that the
    interface carries exactly what is applied.

    Attributes:
        json: Print one JSON object.
    """

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
    openings = [open_clutch(size, load) for size in SIZES for load in LOADS]
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
    rows = [_row(opening) for opening in openings]
    report(
        "two bricks, clutched",
        measures,
        as_json=config.json,
        config=config,
        tables={"clutches": rows},
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


def open_clutch(size: tuple[int, int], load: Load) -> Opening:
    """Raises a load linearly until the clutch opens."""
    import mujoco

    from envs.block_dismantling.bricks import Brick, add_brick
    from envs.block_dismantling.clutch import Clutches, add_clutches, find_interfaces
    from envs.scene.stage import base_scene

    bricks = (Brick("red", size, (0, 0), 0), Brick("blue", size, (0, 0), 1))
    interfaces = find_interfaces(bricks)
    (face,) = interfaces
    spec = base_scene("clutch", TIMESTEP_S)
    spec.option.gravity = [0.0, 0.0, 0.0]
    origin = np.array([0.0, 0.0, 0.3])
    for index, brick in enumerate(bricks):
        add_brick(spec, index, brick, origin)
    add_clutches(spec, bricks, interfaces)
    model = spec.compile()
    data = mujoco.MjData(model)
    clutches = Clutches(model, interfaces)
    bodies = [model.body(f"brick{index}").id for index in range(2)]
    point = face.centre + origin
    limit = face.tension_limit if load == "pull" else float(face.peel_limits["xy".index(load[-1])])
    for step in range(round(3 * RAMP_S / TIMESTEP_S)):
        size_now = limit * step * TIMESTEP_S / RAMP_S
        force, torque = _wrench(load, size_now)
        data.qfrc_applied[:] = 0.0
        for sign, body in ((-1.0, bodies[0]), (1.0, bodies[1])):
            mujoco.mj_applyFT(
                model, data, sign * force, sign * torque, point, body, data.qfrc_applied
            )
        mujoco.mj_step(model, data)
        if step % CHECK_EVERY == CHECK_EVERY - 1 and clutches.break_overloaded(data):
            return Opening(size, load, limit, size_now)
    raise Xr0SimError(f"clutch of {size[0]}x{size[1]} studs: {load} of 3 times the limit held")


def _wrench(load: Load, size: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Force [N] and torque [N·m] on the upper brick."""
    force, torque = np.zeros(3), np.zeros(3)
    if load == "pull":
        force[2] = size
    else:
        torque["xy".index(load[-1])] = size
    return force, torque
