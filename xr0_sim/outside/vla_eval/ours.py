"""The process of our own Python behind a class of vla-eval."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.outside.client import OutsideProcess

PYTHON_VARIABLE = "XR0_SIM_PYTHON"
"""Environment variable that names the python of an environment with xr0-sim, all of it."""
ROOT = Path(__file__).parents[3]


def our_process(program: str, name: str, arguments: dict[str, Any], python: str) -> OutsideProcess:
    """A program of ``experiments/outside``, run by our Python.

    Args:
        program: File name without ending.
        name: Its class.
        arguments: Arguments of the class, JSON values.
        python: Interpreter; "" for the one that `PYTHON_VARIABLE` names.

    Raises:
        ConfigError: No interpreter is named.
    """
    chosen = python or os.environ.get(PYTHON_VARIABLE, "")
    if not chosen:
        raise ConfigError(
            f"vla-eval: expected a python with xr0-sim, none is named; set {PYTHON_VARIABLE}"
        )
    file = ROOT / "experiments" / "outside" / f"{program}.py"
    # A checkout is on its own path; a folder of installed packages must not get in front of ours.
    checkout = {"PYTHONPATH": str(ROOT)} if (ROOT / "pyproject.toml").is_file() else {}
    return OutsideProcess(chosen, file, name, arguments, checkout, f"xr0-sim {program}")
