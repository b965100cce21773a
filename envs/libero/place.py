"""Where the other Python with LIBERO is, and whether there is one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PYTHON_VARIABLE = "XR0_SIM_LIBERO_PYTHON"
"""Environment variable that names the interpreter of an environment with LIBERO."""
CONFIG_VARIABLE = "LIBERO_CONFIG_PATH"
"""LIBERO's own: the folder of its ``config.yaml``; without one its import waits for input."""
REMEDY = f"set {PYTHON_VARIABLE} to the python of an environment with LIBERO, see docs/libero.md"


def libero_python() -> str:
    """The interpreter; "" where none is named."""
    return os.environ.get(PYTHON_VARIABLE, "").strip()


def config_folder() -> str:
    """Folder of LIBERO's ``config.yaml``: as set, or ``config`` beside the environment."""
    chosen = os.environ.get(CONFIG_VARIABLE, "").strip()
    if chosen:
        return chosen
    # DIR/venv/bin/python and DIR/config
    beside = Path(libero_python()).absolute().parent.parent.parent / "config"
    return str(beside if beside.is_dir() else Path.home() / ".libero")


def missing() -> str:
    """What keeps LIBERO from running here, in one line; "" if nothing is seen to."""
    python = libero_python()
    if not python:
        return f"expected an environment with LIBERO, none is named; {REMEDY}"
    if shutil.which(python) is None:
        return f"expected {PYTHON_VARIABLE} to name a python, got {python!r}; {REMEDY}"
    if not (Path(config_folder()) / "config.yaml").is_file():
        return (
            f"expected LIBERO's config.yaml in {config_folder()}, found none; set {CONFIG_VARIABLE}"
        )
    return ""
