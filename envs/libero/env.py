"""A task of LIBERO as a plant of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from envs.libero.place import CONFIG_VARIABLE, config_folder, libero_python, missing
from envs.libero.suites import CONTROL_HZ, check_task, instruction_words
from envs.outside.env import OutsideEnv
from xr0_sim.errors import ConfigError
from xr0_sim.outside.client import OutsideProcess

SIMULATOR = Path(__file__).with_name("simulator.py")
"""Run by the other Python; nothing here imports it."""


class LiberoEnv(OutsideEnv):
    """A Panda arm at LIBERO's table.

    Action, 0:7 of 14: displacement of the tool (x, y, z) and its turn as a rotation vector, each in
    the controller's range -1 .. 1 (0.05 m and 0.5 rad a tick), and the gripper, -1 open .. 1 shut.
    An episode begins after ten idle steps with the gripper open, in the fixed initial state
    ``seed % 50``, as the public evaluation has it.

    Args:
        suite: Name in `envs.libero.suites.SUITES`.
        task: Number of the task in the suite, from 0.
        given: See `OutsideEnv`.
    """

    control_hz = CONTROL_HZ

    def __init__(self, suite: str = "libero_goal", task: int = 0, **given: Any):
        check_task({"suite": suite, "task": task})
        self.suite, self.task = suite, task
        super().__init__(**given)

    def start(self) -> OutsideProcess:
        """See `OutsideEnv.start`.

        Raises:
            ConfigError: There is no environment with LIBERO.
        """
        problem = missing()
        if problem:
            raise ConfigError(f"env 'libero': {problem}")
        return OutsideProcess(
            libero_python(),
            SIMULATOR,
            "LiberoSimulator",
            {"suite": self.suite, "task": self.task},
            {
                CONFIG_VARIABLE: config_folder(),
                "MUJOCO_GL": os.environ.get("MUJOCO_GL", "egl"),
                # Sums depend on the number of threads.
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",
                "NUMBA_NUM_THREADS": "1",
            },
            f"LIBERO {self.suite} task {self.task}",
        )

    def words(self, instruction: str) -> str:
        """See `envs.libero.suites.instruction_words`."""
        return instruction_words(instruction)

    def task_words(self) -> str:
        """Suite and task."""
        return f"{self.suite} {self.task}"
