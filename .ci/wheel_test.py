"""Builds the wheel, compares it with the checkout, and runs what it installs from another folder.

    python .ci/wheel_test.py

Fails if a file of a package is not in the wheel, if the installed command line does not answer, or
if an episode does not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("xr0_sim", "assets", "envs", "policies", "experiments")
COMMANDS = (
    ("doctor",),
    ("list",),
    ("rollout", "--policy", "oracle", "--episodes", "1", "--max-seconds", "1", "--no-video"),
    (
        *("compare", "--plugin", "my_plugs.py", "--policy", "wave", "--positions", "eager:every=3"),
        *("--latency", "two_speeds:slow_s=0.15", "--event", "nudge@joint_moves:limit_rad_s=0.02"),
        *("--episodes", "2", "--max-seconds", "1", "--workers", "2"),
    ),
)
PLUGIN = ROOT / "docs" / "examples" / "my_plugs.py"
"""Copied beside the commands, as a user's own file."""
WHERE = "import xr0_sim, envs, assets, policies, experiments as e; print(xr0_sim.__file__)"


def run(*words: str, cwd: Path, **environment: str) -> str:
    """Output of a command that has to succeed."""
    done = subprocess.run(
        words, cwd=cwd, env=os.environ | environment, capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)}\n{done.stdout}{done.stderr}wheel test: the command failed")
    return done.stdout


def build(folder: Path) -> Path:
    """The wheel of a copy of the packages, so that no earlier build adds to it."""
    source = folder / "source"
    source.mkdir()
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", str(folder), str(source), cwd=folder)
    return next(folder.glob("*.whl"))


def missing(wheel: Path) -> list[str]:
    """Files of the packages that the wheel lacks."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    files = (p for name in PACKAGES for p in (ROOT / name).rglob("*") if p.is_file())
    wanted = {p.relative_to(ROOT).as_posix() for p in files if "__pycache__" not in p.parts}
    return sorted(wanted - inside)


def main() -> None:
    """Runs all steps in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        absent = missing(wheel)
        if absent:
            sys.exit(
                f"{wheel.name}: expected every file of the packages, missing {', '.join(absent)}; "
                "name them under [tool.setuptools.package-data]"
            )
        home, elsewhere = folder / "installed", folder / "elsewhere"
        elsewhere.mkdir()
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
        run(*pip, "--target", str(home), str(wheel), cwd=elsewhere)
        path = {"PYTHONPATH": str(home)}
        found = Path(run(sys.executable, "-c", WHERE, cwd=elsewhere, **path).strip())
        if not found.is_relative_to(home):
            sys.exit(f"wheel test: expected the installed package, imported {found}")
        shutil.copy2(PLUGIN, elsewhere / PLUGIN.name)
        for words in COMMANDS:
            run(sys.executable, "-m", "experiments.cli", *words, cwd=elsewhere, **path)
            print("wheel test: passed  xr0-sim", " ".join(words))


if __name__ == "__main__":
    main()
