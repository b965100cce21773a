"""The scripts behind ``make doors`` start by themselves and say in one line what is not set up."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

DOORS = Path(__file__).parent / "doors"


@pytest.mark.parametrize("name", ["libero", "vla_eval", "lerobot"])
def test_a_check_without_its_environment_is_skipped_in_one_line(name, tmp_path):
    environment = {
        key: value
        for key, value in os.environ.items()
        if key != "PYTHONPATH" and not key.startswith("XR0_SIM_")
    }
    environment["XR0_SIM_LEROBOT_VENV"] = str(tmp_path / "none")
    script = DOORS / f"{name}_check.py"
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    (line,) = done.stdout.splitlines()
    assert "skipped" in line
