"""The physics of one control tick: servo targets move in a straight line, substep by substep."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from envs.robot.arms import Drive
from envs.robot.proprioception import RobotPorts
from envs.robot.protective_stop import ProtectiveStop
from envs.scene.belt import Step

MAX_SPEED, MAX_ACCELERATION = 1e3, 1e8
"""Beyond these norms of the generalised velocity and acceleration the physics has diverged."""


class Simulation:
    """A compiled scene with its state, and the way it is played forward.

    Args:
        model: The scene.
        substeps: Physics steps per control tick.
        checks_per_tick: Equal parts of a tick after each of which the task may intervene.
        drive: The arms and how their joints follow their targets.
        control_hz: Control rate [Hz].

    Attributes:
        protective_stop: Watches the contact forces on the arms, in a world with guards.
        step: What plays one physics step.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        substeps: int,
        checks_per_tick: int,
        drive: Drive,
        control_hz: int,
    ) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        self.ports = RobotPorts(model, drive)
        fractions = np.arange(1, substeps + 1)[:, None] / substeps
        # Targets move linearly through the tick, ahead by what the servos lag behind.
        self._ramp = fractions + self.ports.ctrl_lead_s * control_hz
        self.protective_stop = ProtectiveStop(model)
        marks = {k * substeps // checks_per_tick for k in range(1, checks_per_tick + 1)}
        self._guards = drive.guards
        self._ends_segment = [step in marks for step in range(1, substeps + 1)]
        self._watcher: Callable[[], None] | None = None
        self.step: Step = mujoco.mj_step

    def watch(self, callback: Callable[[], None] | None) -> None:
        """Calls `callback` right after each physics step, before the task acts; None ends it.

        Contacts, constraint forces and energies in ``data`` are then those of the step's start,
        positions and velocities those of its end.
        """
        self._watcher = callback

    def _watched_step(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        self.step(model, data)
        assert self._watcher is not None
        self._watcher()

    def run(
        self,
        command: NDArray[np.float64],
        target: NDArray[np.float64],
        after_segment: Callable[[mujoco.MjData], object],
        before_step: Sequence[Callable[[], None]] = (),
    ) -> str | None:
        """One control tick.

        Args:
            command: Servo targets (14,) at its start, joint action in physical units.
            target: Servo targets (14,) at its end.
            after_segment: Called with the state after each part of the tick.
            before_step: What is called before each physics step, in turn.

        Returns:
            None, or in which way the physics broke; the state is then of no use.
        """
        data, model = self.data, self.model
        mj_step = self.step if self._watcher is None else self._watched_step
        table = command + self._ramp * (target - command)
        table *= self.ports.ctrl_scale
        ctrl, stop = data.ctrl, self.protective_stop
        # Counted here, since a call costs as much as the count; without guards it never ends.
        wait = stop.wait if self._guards else 0
        try:
            for row, ends_segment in zip(table, self._ends_segment, strict=True):
                ctrl[:] = row
                for act in before_step:
                    act()
                mj_step(model, data)
                wait -= 1
                if not wait:
                    wait = stop.read(data)
                if ends_segment:
                    after_segment(data)
        except mujoco.FatalError as error:
            return f"solver error: {error}"
        if self._guards:
            stop.wait = wait
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
