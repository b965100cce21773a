"""The clutch between stacked bricks: a weld that breaks at a limit over force and moment.

One weld per pair of bricks that share studs. Its six constraint forces are the wrench through the
interface, read at the interface centre in the lower brick's frame. With n shared studs and
``A = n · STUD_FORCE`` the weld opens when ::

    tension / A  +  |(m_x / l_y, m_y / l_x)| / A  +  |shear| / (3 A)  +  |twist| / (3 A · l) >= 1

so that tilting a brick off takes less force than pulling it straight, as with real bricks;
compression never opens it. A brick tilts about an edge of the interface, so the lever of a moment
about x is half the extent along y, and the other way round; ``l`` is the shorter one.

Studs hold by friction, and friction never carries more than its limit: a clutch has to open in the
physics step in which its load reaches the limit. `Clutches.watch` is asked after every step. It
looks each time while some clutch carries more than `WATCHFUL_LOAD`, and for `WAKEFUL_STEPS` after
the number of constraints changed: no blow comes without a new contact. Otherwise it looks at every
n-th step, because a look costs a tenth of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import mujoco
import numpy as np

from envs.block_dismantling.bricks import HEIGHT, PITCH, Brick

STUD_FORCE = 1.2
"""Straight pull one stud holds [N]; 4.8 N for a full 2x2 face. Chosen.

No measurement of the large (Duplo) brick was found: searched were web pages, papers and source code
for pull-off, clutch and separation forces per stud. For the small brick Funes (thesis, Brandeis
University, table 2.1) measured the bending moment that opens a row of 1 .. 6 studs: 12.7, 61.5,
109.8, 192.7, 345 and 424 mN·m. With 8 mm of pitch and levers from the edge, as here, that is 3 to
4 N a stud. The large brick is made for small hands; what is chosen is a third of that.
"""
SHEAR_FACTOR = 3.0
PREFIX = "clutch"
WATCHFUL_LOAD = 0.3
"""Load from which on the clutches are looked at in every physics step [share of the limit]."""
WAKEFUL_STEPS = 8
"""Physics steps for which the clutches are looked at after a contact came or went: 6.7 ms."""
ROWS = 6
"""Constraint rows of a weld: force x, y, z, half the moment about x, y, z."""


@dataclass(frozen=True)
class Interface:
    """Two bricks that share studs: indices, interface centre in the assembly frame [m], limits.

    Attributes:
        lower: Index of the lower brick.
        upper: Index of the upper brick.
        centre: Middle of the shared area, assembly frame (3,) [m].
        studs: Number of shared studs.
        levers: Arms of a moment about x and about y (2,) [m].
    """

    lower: int
    upper: int
    centre: np.ndarray
    studs: int
    levers: np.ndarray

    @property
    def tension_limit(self) -> float:
        """Straight pull that opens it [N]."""
        return self.studs * STUD_FORCE

    @property
    def peel_limits(self) -> np.ndarray:
        """Pure bending moments about x and about y that open it (2,) [N·m]."""
        return self.tension_limit * self.levers


def find_interfaces(bricks: tuple[Brick, ...]) -> tuple[Interface, ...]:
    """All pairs in adjacent layers whose footprints overlap."""
    found = []
    for i, lower in enumerate(bricks):
        for j, upper in enumerate(bricks):
            cells = lower.shared_studs(upper) if upper.layer == lower.layer + 1 else []
            if not cells:
                continue
            grid = np.array(cells)
            extent = (grid.max(axis=0) - grid.min(axis=0) + 1) * PITCH
            middle = (grid.mean(axis=0) + 0.5) * PITCH
            centre = np.array([*middle, upper.layer * HEIGHT])
            found.append(Interface(i, j, centre, len(cells), extent[::-1] / 2))
    return tuple(found)


def add_clutches(
    spec: mujoco.MjSpec, bricks: tuple[Brick, ...], interfaces: tuple[Interface, ...]
) -> None:
    """Adds one weld per interface, ``clutch{k}``; relative poses come from the spec's bodies."""
    for k, face in enumerate(interfaces):
        weld = spec.add_equality(
            name=f"{PREFIX}{k}",
            type=mujoco.mjtEq.mjEQ_WELD,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            name1=f"brick{face.lower}",
            name2=f"brick{face.upper}",
            active=True,
            solref=[0.0035, 1],
            solimp=[0.98, 0.99, 0.0005, 0.5, 2],
        )
        relative = bricks[face.upper].centre - bricks[face.lower].centre
        anchor = face.centre - bricks[face.upper].centre
        weld.data[0:3] = anchor
        # MuJoCo wants the anchor in both frames: [0:3] the upper's, [3:6] the lower's.
        weld.data[3:6] = relative + anchor
        weld.data[6:10] = [1, 0, 0, 0]
        weld.data[10] = 1.0


class _Weld(NamedTuple):
    """One interface in plain numbers: the bodies it joins and what its limits divide by."""

    number: int
    lower: int
    force: float
    peel_x: float
    peel_y: float
    twist: float


class Clutches:
    """Reads and breaks the welds of one compiled model.

    Plain numbers on purpose: right after a physics step the first use of an array operation costs
    more than the arithmetic on a few bricks.

    Args:
        model: Compiled scene.
        interfaces: Its interfaces, weld by weld.
        look_every: Calls of `watch` from one look to the next while all clutches carry little.

    Attributes:
        break_loads: Load at which each clutch opened so far, in order [share of the limit].
    """

    def __init__(
        self, model: mujoco.MjModel, interfaces: tuple[Interface, ...], look_every: int = 1
    ):
        self._look_every = look_every
        self.interfaces = interfaces
        self.break_loads: list[float] = []
        self._eq = np.array(
            [model.equality(f"{PREFIX}{k}").id for k in range(len(interfaces))], dtype=np.int64
        )
        self._lower = np.array([model.body(f"brick{f.lower}").id for f in interfaces], dtype=int)
        self._upper = np.array([model.body(f"brick{f.upper}").id for f in interfaces], dtype=int)
        self._slot = np.full(model.neq, -1)
        self._slot[self._eq] = np.arange(len(interfaces))
        self._welds = [_weld(k, int(self._lower[k]), face) for k, face in enumerate(interfaces)]
        self._version = 0
        self._read_version = self._read_rows = -1
        self._active: list[_Weld] = []
        self._first = 0
        self._rows, self._awake, self._idle = -1, 0, 0
        self._highest = 0.0

    def active(self, data: mujoco.MjData) -> np.ndarray:
        """Which interfaces still hold, (n,) bool."""
        return data.eq_active[self._eq].view(bool)

    def _forces(self, data: mujoco.MjData) -> list[float]:
        """Constraint forces of the welds in force in the last step, `ROWS` each.

        Which welds those are changes only when a clutch opens or closes.
        """
        if data.ne != self._read_rows or self._version != self._read_version:
            self._read_rows, self._read_version = data.ne, self._version
            slots = self._slot[data.efc_id[: data.ne]]
            rows = np.flatnonzero(slots >= 0)
            self._active = [self._welds[k] for k in slots[rows[::ROWS]].tolist()]
            self._first = int(rows[0]) if rows.size else 0
            if rows.size and rows[-1] - rows[0] + 1 != rows.size:
                raise AssertionError("clutches are not next to each other")
        if not self._active:
            return []
        return data.efc_force[self._first : self._first + ROWS * len(self._active)].tolist()

    def load(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """Interface numbers of the active welds and how close each is to opening (1 = opens)."""
        forces = self._forces(data)
        loads = [
            _load(weld, forces[ROWS * k : ROWS * k + ROWS], data.xmat[weld.lower].tolist())
            for k, weld in enumerate(self._active)
        ]
        return np.array([weld.number for weld in self._active], dtype=int), np.array(loads)

    def watch(self, data: mujoco.MjData) -> None:
        """Opens what is overloaded; to be called after every physics step."""
        if self._read_version != self._version:
            self._forces(data)
        if not self._active:
            return
        rows = data.nefc
        if rows != self._rows:
            self._rows, self._awake = rows, WAKEFUL_STEPS
        if self._awake > 0:
            self._awake -= 1
        elif self._idle > 0:
            self._idle -= 1
            return
        self.break_overloaded(data)
        self._idle = 0 if self._highest > WATCHFUL_LOAD else self._look_every - 1

    def snapshot(self) -> Any:
        """Everything `restore` needs beside the physics."""
        return tuple(self.break_loads), self._rows, self._awake, self._idle

    def restore(self, state: Any) -> None:
        """Inverse of `snapshot`."""
        loads, self._rows, self._awake, self._idle = state
        self.break_loads = list(loads)
        self._version += 1

    def break_overloaded(self, data: mujoco.MjData) -> list[int]:
        """Opens every weld whose load reached 1; returns their interface numbers."""
        forces = self._forces(data)
        broken = []
        self._highest = 0.0
        row = 0
        for weld in self._active:
            x, y, z, a, b, c = forces[row : row + ROWS]
            row += ROWS
            # A bound that needs no rotation: most looks stop here.
            bound = weld.force * (abs(x) + abs(y) + abs(z))
            bound += 0.5 * (weld.peel_x * abs(a) + weld.peel_y * abs(b) + weld.twist * abs(c))
            if bound > self._highest:
                self._highest = bound
            if bound >= 1.0:
                load = _load(weld, (x, y, z, a, b, c), data.xmat[weld.lower].tolist())
                if load >= 1.0:
                    broken.append(weld.number)
                    self.break_loads.append(load)
        if broken:
            data.eq_active[self._eq[broken]] = 0
            self._version += 1
        return broken

    def open_all(self, data: mujoco.MjData) -> None:
        """Opens every interface."""
        data.eq_active[self._eq] = 0
        self._version += 1

    def misfit(self, model: mujoco.MjModel, data: mujoco.MjData, interface: int) -> float:
        """Distance between the two halves of an interface [m]."""
        lower, upper = self._lower[interface], self._upper[interface]
        eq = self._eq[interface]
        above = data.xpos[upper] + data.xmat[upper].reshape(3, 3) @ model.eq_data[eq, 0:3]
        below = data.xpos[lower] + data.xmat[lower].reshape(3, 3) @ model.eq_data[eq, 3:6]
        return float(np.linalg.norm(above - below))

    def attach(self, model: mujoco.MjModel, data: mujoco.MjData, interface: int) -> None:
        """Closes an interface in the bricks' present relative pose (position and yaw)."""
        lower, upper = self._lower[interface], self._upper[interface]
        conjugate = np.empty(4)
        mujoco.mju_negQuat(conjugate, data.xquat[lower])
        relative = np.empty(4)
        mujoco.mju_mulQuat(relative, conjugate, data.xquat[upper])
        eq = self._eq[interface]
        anchor = data.xpos[upper] + data.xmat[upper].reshape(3, 3) @ model.eq_data[eq, 0:3]
        offset = data.xmat[lower].reshape(3, 3).T @ (anchor - data.xpos[lower])
        model.eq_data[eq, 3:6] = offset
        model.eq_data[eq, 6:10] = relative
        data.eq_active[eq] = 1
        self._version += 1


def _weld(number: int, lower: int, face: Interface) -> _Weld:
    """Plain numbers of one interface."""
    peel_x, peel_y = (1.0 / face.peel_limits).tolist()
    return _Weld(
        number, lower, 1.0 / face.tension_limit, peel_x, peel_y, max(peel_x, peel_y) / SHEAR_FACTOR
    )


def _load(weld: _Weld, forces: Sequence[float], rotation: Sequence[float]) -> float:
    """How close a weld is to opening.

    Args:
        weld: The interface.
        forces: Its constraint forces, `ROWS`: force on the lower brick in the world frame [N], half
            the moment on it about the interface centre in the lower brick's frame [N·m].
        rotation: Orientation of the lower brick, row by row, (9,).
    """
    x, y, z, a, b, c = forces
    r = rotation
    # What pulls the lower brick up pulls the upper one down: tension is positive along +z.
    tension = max(r[2] * x + r[5] * y + r[8] * z, 0.0)
    shear = math.hypot(r[0] * x + r[3] * y + r[6] * z, r[1] * x + r[4] * y + r[7] * z)
    # Rotational rows act through half the quaternion error.
    peel = 0.5 * math.hypot(a * weld.peel_x, b * weld.peel_y)
    return (tension + shear / SHEAR_FACTOR) * weld.force + peel + 0.5 * abs(c) * weld.twist
