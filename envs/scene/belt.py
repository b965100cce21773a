"""The table top as a conveyor belt: what lies on it is carried along by friction, and no further.

The engine gives the surface of the table a velocity (``geom_surfacevel``, MuJoCo 3.11), so the
contacts of whatever touches the table pull along the belt with at most their own friction. Nothing
is added to the scene, nothing stands in the way of an arm, and what a hand holds stays in it. Where
a tray stands the table is at rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np

Step = Callable[[mujoco.MjModel, mujoco.MjData], None]
Rectangle = tuple[float, float, float, float]
"""Middle and half extents of a part of the table: x, y, half x, half y [m]."""
EDGE = "edge of the free table"
"""Why a belt that has run its way stands still."""


@dataclass(frozen=True)
class BeltRun:
    """One run as planned.

    Attributes:
        tick: Control tick from which the belt runs.
        ticks: Control ticks that it runs.
        speed: [m/s]
        heading: Direction about the vertical [rad].
        control_hz: Control rate [Hz].
    """

    tick: int
    ticks: int
    speed: float
    heading: float
    control_hz: int

    def way_m(self, tick: int) -> float:
        """How far the belt has run at the start of a tick [m]."""
        return self.speed * min(tick - self.tick, self.ticks) / self.control_hz


class Belt:
    """The belt of one compiled scene; it stands still until an event starts it.

    Args:
        model: The scene.
        at_rest: Parts of the table that do not run.
    """

    def __init__(self, model: mujoco.MjModel, at_rest: Sequence[Rectangle] = ()) -> None:
        self._model = model
        self._at_rest = np.array(at_rest, dtype=np.float64).reshape(-1, 1, 4)
        self._table = model.geom("table").id
        self._runs: tuple[BeltRun, ...] = ()
        self._running = False

    @property
    def running(self) -> bool:
        """Whether the belt moves."""
        return self._running

    def begin(self, run: BeltRun) -> None:
        """Starts with the coming physics step."""
        self._runs, self._running = (*self._runs, run), True
        self._set()

    def tidy(self, tick: int) -> None:
        """Stops a run that is over at the start of ``tick``."""
        if self._running and tick >= self._runs[-1].tick + self._runs[-1].ticks:
            self._running = False
            self._set()

    @property
    def step(self) -> Step:
        """What plays a physics step now."""
        return self._part_step if self._running and len(self._at_rest) else mujoco.mj_step

    def _part_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """A physics step in which parts of the table are at rest."""
        mujoco.mj_step1(model, data)
        contact = data.contact
        on_table = (contact.geom == self._table).any(axis=1)
        apart = np.abs(contact.pos[:, :2] - self._at_rest[..., :2]) <= self._at_rest[..., 2:]
        at_rest = on_table & apart.all(axis=-1).any(axis=0)
        if at_rest.any():
            contact.surfacevel[at_rest] = 0.0
            mujoco.mj_fwdVelocity(model, data)
        mujoco.mj_step2(model, data)

    def told(self, tick: int) -> tuple[dict[str, Any], ...]:
        """Every run for the info of a tick: when it began, how far it came, and why it ended."""
        return tuple(
            {
                "tick": run.tick,
                "ran_m": run.way_m(tick),
                "stopped": EDGE if tick >= run.tick + run.ticks else None,
            }
            for run in self._runs
        )

    def snapshot(self) -> Any:
        """State to continue from later."""
        return self._runs, self._running

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        self._runs, self._running = state
        self._set()

    def _set(self) -> None:
        """Puts the present velocity into the model; a table at rest is one that never moved."""
        velocity = self._model.geom_surfacevel[self._table]
        velocity[:] = 0.0
        if self._running:
            run = self._runs[-1]
            velocity[:2] = run.speed * math.cos(run.heading), run.speed * math.sin(run.heading)
        self._model.flg_surfacevel = self._running
