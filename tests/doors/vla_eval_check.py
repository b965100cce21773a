"""vla-eval 0.8 in an environment of its own: its harness plays our task with our policy.

::

    python3 -m venv .venv-vlaeval && .venv-vlaeval/bin/pip install vla-eval==0.8.0
    XR0_SIM_VLA_EVAL_PYTHON=.venv-vlaeval/bin/python make vla-eval-check

Says in one line that it was skipped where no such environment is named.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

# The repository before its tests, which have a folder xr0_sim too.
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[2]))

from released_files import write_libero_checkpoint

ROOT = Path(__file__).parents[2]
RUNNER = Path(__file__).with_name("vla_eval_runner.py")
VARIABLE = "XR0_SIM_VLA_EVAL_PYTHON"


def check() -> int:
    """Runs everything; the exit status."""
    python = os.environ.get(VARIABLE, "")
    if shutil.which(python) is None:
        print(f"vla-eval check skipped: {VARIABLE} names no python; see the top of {__file__}")
        return 0
    with tempfile.TemporaryDirectory() as name:
        weights, calvin, out = (Path(name) / part for part in ("weights", "calvin", "told.json"))
        write_libero_checkpoint(weights)
        write_libero_checkpoint(calvin, robot_type="calvin_abcd_orig")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment |= {"PYTHONPATH": str(ROOT), "XR0_SIM_PYTHON": sys.executable}
        words = [python, *map(str, (RUNNER, weights, calvin, out))]
        subprocess.run(words, env=environment, check=True)
        told = json.loads(out.read_text(encoding="utf-8"))
    libero = np.array(told["libero"])
    assert libero.shape == (10, 7) and told["rows"] == 10 and told["repeats"]
    assert np.abs(libero).max() <= 1 and np.ptp(libero, axis=0).min() > 0
    calvin_told = told["calvin"]
    first, second = calvin_told["chunks"]  # the second where the next subtask begins
    assert calvin_told["amiss"] == [] and calvin_told["actions"] == [*first, *second]
    for mode in ("sync", "live"):
        assert not told[mode].get("num_errors"), told[mode]
    print(f"vla-eval check passed: {json.dumps({m: told[m] for m in ('sync', 'live')})[:600]}")
    return 0


if __name__ == "__main__":
    sys.exit(check())
