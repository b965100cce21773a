"""``xr0-sim doctor``: what works on this machine, and what to install."""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from experiments.commands.renderer_probe import probe_renderers
from xr0_sim.errors import SimulationError
from xr0_sim.record.runcard import installed_versions

Status = Literal["ok", "note", "warn", "fail"]
MARKS = {"ok": "[ ok ]", "note": "[ -- ]", "warn": "[warn]", "fail": "[FAIL]"}
INSTALL = 'pip install -c constraints.txt -e ".[test]"'
OLDEST_PYTHON = (3, 11)
WATCHED = ("torch", "transformers", "gymnasium", "stable_baselines3", "mink", "pyarrow")


@dataclass(frozen=True)
class DoctorConfig:
    """Checks renderers, packages, GPU, video encoder and checkpoints.

    The exit status is 0 if the core works: physics, without pictures.

    Attributes:
        json: Print the findings as one JSON object.
    """

    json: bool = False


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: ``ok``, ``note`` (absent, not needed), ``warn`` (something optional is missing) or
            ``fail`` (the core is broken).
        detail: What was found.
        remedy: What to install or do; empty if nothing.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def run(config: DoctorConfig) -> int:
    """Checks everything; exit status 0 if nothing failed."""
    findings = [finding for check in CHECKS for finding in _guarded(check)]
    healthy = all(finding.status != "fail" for finding in findings)
    if config.json:
        report = {
            "healthy": healthy,
            "findings": [asdict(finding) for finding in findings],
            "versions": installed_versions(),
        }
        print(json.dumps(report, ensure_ascii=False))
        return 0 if healthy else 1
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{MARKS[finding.status]} {finding.name:<{width}}  {finding.detail}")
        if finding.remedy:
            print(f"       {'':<{width}}  -> {finding.remedy}")
    warned = sum(finding.status == "warn" for finding in findings)
    verdict = "the core works" if healthy else "the core does not work"
    print(f"\n{verdict}" + (f"; {warned} optional part(s) missing" if warned else ""))
    return 0 if healthy else 1


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    """A broken installation must not break its own diagnosis."""
    try:
        return check()
    except Exception as error:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        return [Finding(name, "fail", f"{type(error).__name__}: {_first_line(error)}", INSTALL)]


def check_python() -> list[Finding]:
    """Interpreter and platform."""
    version = platform.python_version()
    ok = sys.version_info >= OLDEST_PYTHON
    where = f"{version} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"
    remedy = "" if ok else f"use Python {'.'.join(map(str, OLDEST_PYTHON))} or later"
    return [Finding("python", "ok" if ok else "fail", where, remedy)]


def check_physics() -> list[Finding]:
    """Builds the task and runs one tick without pictures."""
    import mujoco

    from envs.tasks import make_env

    env = make_env("block_dismantling")
    env.reset_scene(0)
    detail = f"MuJoCo {mujoco.__version__}; block_dismantling steps"
    try:
        env.advance(env.robot_state().command)
    except SimulationError as error:
        return [Finding("physics", "fail", f"{detail} badly: {error}", INSTALL)]
    return [Finding("physics", "ok", detail)]


def check_renderers() -> list[Finding]:
    """Draws a small picture with every backend, each in a process of its own."""
    from envs.scene.gl import INSTALL_HINT

    chosen = os.environ.get("MUJOCO_GL", "")
    probes = probe_renderers(chosen)
    live = [probe.backend for probe in probes if probe.works]
    findings = [
        Finding(f"renderer {probe.backend}", "ok" if probe.works else "note", probe.detail)
        for probe in probes
    ]
    if not live:
        detail = "nothing draws: state-only observations work, pictures and videos do not"
        findings.append(Finding("renderer", "warn", detail, INSTALL_HINT))
    elif chosen not in live:
        detail = f"MUJOCO_GL={chosen} does not draw, {live[0]} does"
        findings.append(Finding("renderer", "warn", detail, f"export MUJOCO_GL={live[0]}"))
    else:
        findings.append(Finding("renderer", "ok", f"{chosen} is used"))
    return findings


def check_packages() -> list[Finding]:
    """Imports what the commands load lazily."""
    findings = [Finding("xr0-sim", "ok", metadata.version("xr0-sim"))]
    for name in WATCHED:
        module = importlib.import_module(name)
        findings.append(Finding(name, "ok", str(getattr(module, "__version__", "imports"))))
    return findings


def check_gpu() -> list[Finding]:
    """Accelerators torch can use."""
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return [Finding("gpu", "ok", ", ".join(names))]
    if Path("/proc/driver/nvidia/version").exists():
        detail = f"an NVIDIA driver is loaded, but torch {torch.__version__} cannot use it"
        return [Finding("gpu", "warn", detail, "install a CUDA build of torch")]
    return [Finding("gpu", "ok", "none; everything runs on the CPU")]


def check_extras() -> list[Finding]:
    """Optional dependency groups of the package, and what each lacks."""
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires("xr0-sim") or []:
        match = re.match(r"([\w.-]+).*extra\s*==\s*['\"]([\w-]+)['\"]", requirement)
        if match:
            wanted.setdefault(match[2], []).append(match[1])
    findings = []
    for extra, names in sorted(wanted.items()):
        missing = [name for name in names if not _installed(name)]
        if missing:
            remedy = f'pip install -c constraints.txt -e ".[{extra}]"'
            detail = f"missing {', '.join(missing)}"
            findings.append(Finding(f"extra {extra}", "warn", detail, remedy))
        else:
            findings.append(Finding(f"extra {extra}", "ok", f"{len(names)} packages"))
    return findings


def check_doors() -> list[Finding]:
    """Environments of other projects."""
    from envs.libero.place import libero_python, missing

    problem = missing()
    if problem:
        detail, _, remedy = problem.rpartition("; ")
        return [Finding("door libero", "note", detail, remedy)]
    return [Finding("door libero", "ok", f"{libero_python()}; make libero-check proves it")]


def check_video() -> list[Finding]:
    """Encodes a video of a few frames."""
    import numpy as np

    from xr0_sim.view import VideoFile

    if find_spec("imageio_ffmpeg") is None:
        return [Finding("video", "warn", "imageio-ffmpeg is missing", INSTALL)]
    import imageio_ffmpeg

    with tempfile.TemporaryDirectory() as folder:
        file = VideoFile(Path(folder) / "probe.mp4", fps=30)
        for shade in (0, 128, 255):
            file.write(np.full((64, 64, 3), shade, np.uint8))
        path = file.finish()
        size = path.stat().st_size if path else 0
    if not size:
        return [Finding("video", "warn", "ffmpeg wrote an empty file", INSTALL)]
    return [Finding("video", "ok", f"h264 by ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")]


def check_checkpoints() -> list[Finding]:
    """Trained weights that ship with the project."""
    from assets import CHECKPOINT_DIR, checkpoint_names

    names = checkpoint_names()
    if names:
        return [Finding("checkpoints", "ok", ", ".join(names))]
    remedy = "use --policy expert, or train one"
    return [Finding("checkpoints", "warn", f"none in {CHECKPOINT_DIR}", remedy)]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    check_python,
    check_renderers,
    check_physics,
    check_packages,
    check_gpu,
    check_extras,
    check_doors,
    check_video,
    check_checkpoints,
)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
