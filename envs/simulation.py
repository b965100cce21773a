"""The physics of one control tick: servo targets move in a straight line, substep by substep."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.proprioception import RobotPorts
from envs.robot.servos import Servo
from xr0_sim.conventions import CONTROL_HZ

MAX_SPEED, MAX_ACCELERATION = 1e3, 1e8
"""Beyond these norms of the generalised velocity and acceleration the physics has diverged."""


class Simulation:
    """A compiled scene with its state, and the way it is played forward.

    Args:
        model: The scene.
        substeps: Physics steps per control tick.
        checks_per_tick: Equal parts of a tick after each of which the task may intervene.
        servo: How the joints follow their targets; None for the ideal servo.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        substeps: int,
        checks_per_tick: int,
        servo: Servo | None = None,
    ) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.ports = RobotPorts(model, servo)
        fractions = np.arange(1, substeps + 1)[:, None] / substeps
        # Targets move linearly through the tick, ahead by what the servos lag behind.
        self._ramp = fractions + self.ports.ctrl_lead_s * CONTROL_HZ
        marks = [k * substeps // checks_per_tick for k in range(checks_per_tick + 1)]
        self._segments = [slice(a, b) for a, b in itertools.pairwise(marks)]

    def run(
        self,
        command: NDArray[np.float64],
        target: NDArray[np.float64],
        after_segment: Callable[[], None],
        before_step: Callable[[], None] | None = None,
    ) -> str | None:
        """One control tick.

        Args:
            command: Servo targets (14,) at its start, joint action in physical units.
            target: Servo targets (14,) at its end.
            after_segment: Called after each part of the tick.
            before_step: Called before each physics step.

        Returns:
            None, or in which way the physics broke; the state is then of no use.
        """
        data, model, mj_step = self.data, self.model, mujoco.mj_step
        table = command + self._ramp * (target - command)
        table *= self.ports.ctrl_scale
        ctrl = data.ctrl
        try:
            for segment in self._segments:
                for row in table[segment]:
                    ctrl[:] = row
                    if before_step is not None:
                        before_step()
                    mj_step(model, data)
                after_segment()
        except mujoco.FatalError as error:
            return f"solver error: {error}"
        broken = self._broken()
        mujoco.mj_kinematics(model, data)
        return broken

    def _broken(self) -> str | None:
        data = self.data
        qvel, qacc, warnings = data.qvel, data.qacc, data.warning.number
        # A warning about bad numbers has already put the state back to its defaults.
        if any(warnings.tolist()):
            worst = int(np.flatnonzero(warnings)[0])
            warnings[:] = 0
            return f"MuJoCo warning {mujoco.mjtWarning(worst).name.removeprefix('mjWARN_')}"
        # NaN fails the comparison too.
        if not (qvel.dot(qvel) < MAX_SPEED**2 and qacc.dot(qacc) < MAX_ACCELERATION**2):
            return "velocity or acceleration out of range"
        return None
