"""Energy that appears without work: what the integrator and the constraints add."""

from __future__ import annotations

import mujoco
import numpy as np


class EnergyLog:
    """Balance of a rigid scene's energy against the work of actuators and passive forces.

    Contacts and clutches may take energy; what a single step gives beyond the work done is the
    fault. Cloth keeps energy that MuJoCo does not count, so scenes with it are left out.

    Args:
        model: The compiled scene; energies are switched on in it, which changes no motion.
    """

    def __init__(self, model: mujoco.MjModel):
        self._on = model.nflex == 0
        if self._on:
            model.opt.enableflags |= int(mujoco.mjtEnableBit.mjENBL_ENERGY)
        self._timestep_s = float(model.opt.timestep)
        self._before: tuple[float, float] | None = None
        self._speed = np.zeros(model.nv)
        self._gain = 0.0

    def read(self, data: mujoco.MjData) -> None:
        """Takes in the last physics step."""
        if not self._on:
            return
        # Forces and energies are those of the step's start; the speed is at hand at both ends.
        force = data.qfrc_actuator + data.qfrc_passive + data.qfrc_applied
        work = self._timestep_s * float(force @ (self._speed + data.qvel)) / 2
        self._speed[:] = data.qvel
        energy = float(data.energy.sum())
        if self._before is not None:
            then, done = self._before
            self._gain = max(self._gain, energy - then - done)
        self._before = energy, work

    def figures(self) -> dict[str, float]:
        """Largest gain of a step [J]; nothing where energies are not kept."""
        return {"energy_gain_j": self._gain} if self._on else {}
