"""The doors to other projects: which of them open here, and how the others are opened.

A door whose other side cannot be installed beside this package has an environment of its own; the
environment is looked at, not started.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from experiments.commands.finding import Finding, install_command

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "firefox", "microsoft-edge")


@dataclass(frozen=True)
class InstalledDoor:
    """A door that opens with packages of this environment.

    Attributes:
        name: What is behind it.
        modules: Modules it needs.
        extra: Extra that brings them.
        use: Command that goes through it.
    """

    name: str
    modules: tuple[str, ...]
    extra: str
    use: str

    def look(self) -> Finding:
        """Whether its packages are here."""
        missing = [module for module in self.modules if find_spec(module) is None]
        if missing:
            detail = f"missing {', '.join(missing)}"
            return Finding(f"door {self.name}", "note", detail, install_command(self.extra))
        return Finding(f"door {self.name}", "ok", self.use)


@dataclass(frozen=True)
class SeparateDoor:
    """A door whose other side lives in an environment of its own.

    Attributes:
        name: What is behind it.
        variable: Environment variable that names that environment's folder, or, ending in
            ``_PYTHON``, its interpreter.
        folder: The folder where the variable is not set.
        distribution: Package that has to be there, as its folder of metadata spells it.
        make: How the environment is made.
        use: Command that goes through the door.
    """

    name: str
    variable: str
    folder: str
    distribution: str
    make: str
    use: str

    def look(self) -> Finding:
        """Whether the environment is there and holds the package."""
        told = os.environ.get(self.variable)
        folder = Path(told or self.folder)
        if told and self.variable.endswith("_PYTHON"):
            folder = folder.parent.parent
        version = installed_version(folder, self.distribution)
        name = f"door {self.name}"
        if version:
            return Finding(name, "ok", f"{self.distribution} {version} in {folder}; {self.use}")
        there = folder.is_dir()
        detail = f"no {self.distribution} in {folder}" if there else f"no environment {folder}"
        remedy = f"{self.make}, or set {self.variable}"
        return Finding(name, "note", detail, remedy)


def installed_version(environment: Path, distribution: str) -> str:
    """Version of a package in a virtual environment that is not started; empty if it lacks it."""
    for place in ("lib/python*/site-packages", "Lib/site-packages"):
        for card in sorted(environment.glob(f"{place}/{distribution}-*.dist-info")):
            return card.name.removeprefix(f"{distribution}-").removesuffix(".dist-info")
    return ""


INSTALLED = (
    InstalledDoor(
        "websocket serving",
        ("msgpack", "websockets"),
        "serve",
        "xr0-sim serve, --policy remote:url=ws://…; docs/serving.md",
    ),
    InstalledDoor(
        "sb3",
        ("stable_baselines3",),
        "sb3",
        "xr0-sim train-rl; gym.make of envs.ENV_IDS; docs/reinforcement_learning.md",
    ),
    InstalledDoor("ray", ("ray",), "ray", "study.run(engine='ray'); docs/studies.md"),
    InstalledDoor(
        "report", ("jinja2", "matplotlib"), "report", "xr0-sim report, view; docs/studies.md"
    ),
)
SEPARATE = (
    SeparateDoor(
        "openpi client",
        "XR0_SIM_OPENPI_VENV",
        ".venv-doors",
        "openpi_client",
        "make openpi-check makes it",
        "make openpi-check",
    ),
    SeparateDoor(
        "lerobot",
        "XR0_SIM_LEROBOT_VENV",
        ".venv-lerobot",
        "lerobot",
        "python3.12 -m venv .venv-lerobot && .venv-lerobot/bin/pip install "
        "'lerobot[dataset-viz]==0.6.1'",
        "xr0-sim dataset export, import; make lerobot-check",
    ),
    SeparateDoor(
        "vla-eval",
        "XR0_SIM_VLA_EVAL_PYTHON",
        ".venv-vlaeval",
        "vla_eval",
        "docs/vla_eval.md tells how to make it",
        "make vla-eval-check",
    ),
)


def check_doors() -> list[Finding]:
    """Every door, and the browser that shows what ``view`` and ``watch`` make."""
    looks: list[Callable[[], Finding]] = [door.look for door in (*INSTALLED, *SEPARATE)]
    return [*(look() for look in looks), _libero(), _browser()]


def _libero() -> Finding:
    from envs.libero.place import libero_python, missing

    problem = missing()
    if problem:
        detail, _, remedy = problem.rpartition("; ")
        return Finding("door libero", "note", detail, remedy)
    return Finding("door libero", "ok", f"{libero_python()}; make libero-check proves it")


def _browser() -> Finding:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Finding("door browser", "ok", f"{found}; xr0-sim view, watch; docs/watching.md")
    detail = "none here; pages are single files that open on any machine"
    return Finding("door browser", "note", detail, "copy the page, or forward the port of watch")
