"""Builds sdist and wheel, compares them with the checkout, and runs the wheel from another folder.

    python .ci/wheel_test.py

The wheel that runs is built from the sdist. Fails if a file of a package is not in the wheel, if
the sdist lacks what its tests need or builds another wheel than the checkout, if a dependency has
an upper bound, which would fight with somebody's own torch, if the installed command line does not
answer, or if an episode does not run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("xr0_sim", "assets", "envs", "policies", "experiments")
ALSO_IN_SDIST = (".ci", "distributions", "docs", "notebooks", "tests")
"""Folders beside the packages without which the sdist cannot be tested."""
FILES = (
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Dockerfile", "LICENSE", "MANIFEST.in"),
    *("Makefile", "README.md", "constraints.txt", "pyproject.toml"),
)
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", "*.egg-info", "build", ".*_cache")
BUILD_SDIST = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
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


def copied(folder: Path) -> Path:
    """A copy of what is shipped, so that no earlier build adds to it."""
    source = folder / "source"
    source.mkdir()
    for name in (*PACKAGES, *ALSO_IN_SDIST):
        shutil.copytree(ROOT / name, source / name, ignore=NOT_SHIPPED)
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    return source


def files_of(root: Path, names: tuple[str, ...]) -> set[str]:
    """Files below some folders, as posix paths."""
    found = (path for name in names for path in (root / name).rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix() for path in found}


def built(source: Path, out: Path) -> Path:
    """The wheel of a folder or an sdist."""
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", str(out), str(source), cwd=out.parent)
    return next(out.glob("*.whl"))


def complain(what: str, missing: set[str], remedy: str) -> None:
    """Ends the test if something is missing."""
    if missing:
        sys.exit(f"{what}: expected every file, missing {', '.join(sorted(missing))}; {remedy}")


def check_sdist(sdist: Path, source: Path) -> None:
    """The sdist holds all that was copied."""
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    wanted = files_of(source, (*PACKAGES, *ALSO_IN_SDIST)) | set(FILES)
    complain(sdist.name, wanted - inside, "name them in MANIFEST.in")


def check_wheel(wheel: Path, direct: Path, source: Path) -> None:
    """The wheel of the sdist is that of the checkout, complete, and bounds nothing above."""
    inside, other = (set(zipfile.ZipFile(path).namelist()) for path in (wheel, direct))
    wanted = files_of(source, PACKAGES)
    complain(wheel.name, wanted - inside, "name them under [tool.setuptools.package-data]")
    if inside != other:
        sys.exit(f"{wheel.name}: expected the files of the checkout, got {inside ^ other} besides")
    (card,) = (name for name in inside if name.endswith(".dist-info/METADATA"))
    told = Parser().parsestr(zipfile.ZipFile(wheel).read(card).decode("utf-8"))
    for line in told.get_all("Requires-Dist") or []:
        bounds = Requirement(line).specifier
        if any(bound.operator not in (">=", "!=") for bound in bounds):
            sys.exit(f"{wheel.name}: expected lower bounds only, got {line}")


def main() -> None:
    """Runs all steps in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = copied(folder)
        run(sys.executable, "-c", BUILD_SDIST, str(folder), cwd=source)
        sdist = next(folder.glob("*.tar.gz"))
        check_sdist(sdist, source)
        wheel = built(sdist, folder / "of_sdist")
        check_wheel(wheel, built(source, folder / "direct"), source)
        print("wheel test: passed ", sdist.name, wheel.name)
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
