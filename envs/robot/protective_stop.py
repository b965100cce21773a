"""The protective stop: contact that no real arm would bear ends the episode.

An arm stops once one of its links is pressed on with `LIMIT_N` or more for `HOLD_S`. Both figures
are chosen. They stand among what standards ask of arms beside people: 150 N at rest by ISO
10218-1:2006, 5.10.5; for hands and fingers 140 N clamped and twice as much in a passing contact by
ISO/TS 15066:2016, table A.2 (known from its usual citation; no free copy was found to check). No
maker of this arm publishes a limit of its own. A grip of 28 N a finger stays below, and
so do a finger that grazes a tray and what the arm's torques can press with at rest; an arm driven
into the other one, or into the table at 0.35 m/s, does not. The stop is the controller's doing, so
the episode counts as a failure and says why.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from envs.robot.facts import JOINTS
from xr0_sim.conventions import ARMS

LIMIT_N = 200.0
HOLD_S = 0.005
READ_S = 0.0025
"""Time between two readings of the forces [s], as of a controller at 400 Hz; chosen. A force that
is over the limit at every reading of `HOLD_S` stops the arms."""
SAFE_N = 0.999 * LIMIT_N
"""Sum of all constraint forces below which no contact reaches the limit, however sums are rounded
[N]."""


class ProtectiveStop:
    """Watches the contact forces on the links of both arms.

    To be asked after every physics step by `check`, or by who counts ``wait`` down itself.

    Args:
        model: The scene.

    Attributes:
        reason: Why the arms have stopped; "" while they have not.
        wait: Physics steps to the next reading; 0 and less once the arms have stopped.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self.reason = ""
        self._model = model
        step_s = model.opt.timestep
        self._every = max(1, round(READ_S / step_s))
        self._readings = 1 + math.floor(HOLD_S / (self._every * step_s) + 1e-9)
        self._count, self.wait = 0, self._every
        # One more body for what is no geom: the points of a cloth.
        self._body = np.append(model.geom_bodyid, 0)
        base = [model.joint(f"{arm}/{next(iter(JOINTS))}").bodyid[0] for arm in ARMS]
        self._link = np.isin(model.body_rootid, model.body_rootid[base])
        self._link[0] = False

    def check(self, data: mujoco.MjData) -> None:
        """Reads the forces of the last physics step, if a reading is due."""
        self.wait -= 1
        if not self.wait:
            self.wait = self.read(data)

    def read(self, data: mujoco.MjData) -> int:
        """Reads the forces of the last physics step; returns the steps to the next reading."""
        if not self._presses(data):
            self._count = 0
            return self._every
        body, force = self._strongest(data)
        if force < LIMIT_N:
            self._count = 0
            return self._every
        self._count += 1
        if self._count < self._readings:
            return self._every
        name = self._model.body(body).name
        self.reason = f"{name} was pressed on with {force:.0f} N (limit {LIMIT_N:.0f} N)"
        return 0

    def snapshot(self) -> tuple[int, int, str]:
        """What `restore` takes."""
        return 0 if self.reason else self._every - self.wait, self._count, self.reason

    def restore(self, state: tuple[int, int, str]) -> None:
        """Inverse of `snapshot`."""
        since, self._count, self.reason = state
        self.wait = 0 if self.reason else self._every - since

    @staticmethod
    def _presses(data: mujoco.MjData) -> bool:
        """Whether all contacts together press with the limit; most readings end here."""
        if mujoco.mju_L1(data.efc_force) < SAFE_N:
            return False
        # Rows of contacts come last. No link bears more than all of them together.
        contacts = data.efc_force[data.ne + data.nf + data.nl :]
        return not np.add.reduce(np.abs(contacts)) < LIMIT_N

    def _strongest(self, data: mujoco.MjData) -> tuple[int, float]:
        """Link that bears the greatest sum of normal forces, and that sum [N]."""
        contact = data.contact
        rows = contact.efc_address
        touching = rows >= 0
        if not touching.any():
            return 0, 0.0
        normal = data.efc_force[rows[touching]]
        bodies = self._body[contact.geom[touching]]
        both = np.concatenate([normal, normal])
        load = np.bincount(bodies.T.ravel(), both, self._model.nbody)
        load[~self._link] = 0.0
        strongest = int(load.argmax())
        return strongest, float(load[strongest])
