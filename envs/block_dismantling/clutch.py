"""The clutch between stacked bricks: a weld that breaks at a limit over force and moment.

One weld per pair of bricks that share studs. Its six constraint forces are the wrench through the
interface, read at the interface centre in the lower brick's frame. With n shared studs and
``A = n · STUD_FORCE`` the weld opens when ::

    tension / A  +  |(m_x / l_y, m_y / l_x)| / A  +  |shear| / (3 A)  +  |twist| / (3 A · l) >= 1

so that tilting a brick off takes less force than pulling it straight, as with real bricks;
compression never opens it. A brick tilts about an edge of the interface, so the lever of a moment
about x is half the extent along y, and the other way round; ``l`` is the shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from envs.block_dismantling.bricks import HEIGHT, PITCH, Brick

STUD_FORCE = 1.2
"""Straight pull one stud holds [N]; 4.8 N for a full 2x2 face."""
SHEAR_FACTOR = 3.0
PREFIX = "clutch"


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


class Clutches:
    """Reads and breaks the welds of one compiled model."""

    def __init__(self, model: mujoco.MjModel, interfaces: tuple[Interface, ...]):
        self.interfaces = interfaces
        self._eq = np.array(
            [model.equality(f"{PREFIX}{k}").id for k in range(len(interfaces))], dtype=np.int64
        )
        self._lower = np.array([model.body(f"brick{f.lower}").id for f in interfaces], dtype=int)
        self._upper = np.array([model.body(f"brick{f.upper}").id for f in interfaces], dtype=int)
        tension = np.array([f.tension_limit for f in interfaces])
        levers = np.array([f.levers for f in interfaces]).reshape(-1, 2)
        self._force_scale = 1.0 / tension
        self._peel_scale = 1.0 / (tension[:, None] * levers)
        self._twist_scale = self._peel_scale.max(axis=1, initial=0.0) / SHEAR_FACTOR
        self._slot = np.full(model.neq, -1)
        self._slot[self._eq] = np.arange(len(interfaces))
        # Weight of each absolute constraint force in a bound on the load.
        moments = np.column_stack([self._peel_scale, self._twist_scale])
        forces = np.repeat(self._force_scale[:, None], 3, axis=1)
        self._bound_scale = np.hstack([forces, 0.5 * moments])
        self._key = b""
        self._layout: tuple[np.ndarray, ...] = (np.empty(0, dtype=int),) * 3

    def active(self, data: mujoco.MjData) -> np.ndarray:
        """Which interfaces still hold, (n,) bool."""
        return data.eq_active[self._eq].view(bool)

    def _rows(self, data: mujoco.MjData) -> tuple[np.ndarray, ...]:
        """Numbers (m,) of the active welds, their constraint rows (6m,) and bound weights (6m,).

        They change only when a clutch opens or closes.
        """
        key = data.eq_active.tobytes()
        if self._key != key:
            slots = self._slot[data.efc_id[: data.ne]]
            first = np.flatnonzero(slots >= 0)[::6]
            slots = slots[first]
            rows = (first[:, None] + np.arange(6)).ravel()
            self._key, self._layout = key, (slots, rows, self._bound_scale[slots].ravel())
        return self._layout

    def wrench(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Interface wrenches of the last step.

        Returns:
            Interface numbers (m,) of the active welds, force on the upper brick (m, 3) [N] and
            moment on it about the interface centre (m, 3) [N·m], in the lower brick's frame.
        """
        slots, rows, _ = self._rows(data)
        efc = data.efc_force[rows].reshape(-1, 6)
        rotation = data.xmat[self._lower[slots]].reshape(-1, 3, 3)
        # The residual is body 1 (lower) minus body 2 (upper): what pulls the lower brick up pulls
        # the upper one down. Rotational rows act through half the quaternion error.
        force = -(rotation * efc[:, :3, None]).sum(axis=1)
        return slots, force, -0.5 * efc[:, 3:]

    def load(self, data: mujoco.MjData) -> tuple[np.ndarray, np.ndarray]:
        """Interface numbers of the active welds and how close each is to opening (1 = opens)."""
        slots, force, moment = self.wrench(data)
        tension = np.maximum(-force[:, 2], 0.0)
        shear = np.hypot(force[:, 0], force[:, 1])
        peel = np.hypot(*(moment[:, :2] * self._peel_scale[slots]).T)
        twist = np.abs(moment[:, 2]) * self._twist_scale[slots]
        load = (tension + shear / SHEAR_FACTOR) * self._force_scale[slots] + peel + twist
        return slots, load

    def break_overloaded(self, data: mujoco.MjData) -> np.ndarray:
        """Opens every weld whose load reached 1; returns their interface numbers."""
        slots, rows, weights = self._rows(data)
        if not slots.size:
            return slots
        # A bound that needs no rotation and no look at the single weld: most ticks stop here.
        efc = np.abs(data.efc_force[rows])
        if efc.dot(weights) < 1.0 or (efc * weights).reshape(-1, 6).sum(axis=1).max() < 1.0:
            return slots[:0]
        slots, load = self.load(data)
        broken = slots[load >= 1.0]
        if broken.size:
            data.eq_active[self._eq[broken]] = 0
        return broken

    def open_all(self, data: mujoco.MjData) -> None:
        """Opens every interface."""
        data.eq_active[self._eq] = 0

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
