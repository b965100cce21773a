"""Does an OpenGL backend draw? Asked in a process of its own, since a wrong one can crash."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

TIMEOUT_S = 90.0

_PROGRAM = """
import mujoco
spec = mujoco.MjSpec()
spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[.3, 0, 0], rgba=[1, 0, 0, 1])
spec.worldbody.add_light(pos=[0, 0, 2])
model = spec.compile()
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = mujoco.Renderer(model, 32, 32)
renderer.update_scene(data)
picture = renderer.render()
assert int(picture.max()) > int(picture.min()), "the picture is empty"
try:
    from OpenGL import GL
    print("DRAWN", GL.glGetString(GL.GL_RENDERER).decode())
except Exception:
    print("DRAWN", "unknown device")
renderer.close()
"""


@dataclass(frozen=True)
class RendererProbe:
    """Answer of one backend.

    Attributes:
        backend: Value of ``MUJOCO_GL``.
        works: Whether it drew a picture.
        detail: The drawing device, or why there is none.
    """

    backend: str
    works: bool
    detail: str


def probe_renderers(chosen: str = "") -> list[RendererProbe]:
    """Tries every headless backend, and the chosen one if it is another.

    Args:
        chosen: Value of ``MUJOCO_GL`` in force.
    """
    from envs.scene.gl import BACKENDS, available_backends

    libraries = available_backends()
    probes = [
        probe(name)
        if name in libraries
        else RendererProbe(name, False, f"{library} is not installed")
        for name, library in BACKENDS
    ]
    if chosen not in ("", "disable", *(name for name, _ in BACKENDS)):
        probes.append(probe(chosen))
    return probes


def probe(backend: str) -> RendererProbe:
    """Draws a sphere with one backend."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            env={**os.environ, "MUJOCO_GL": backend},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return RendererProbe(backend, False, f"no picture within {TIMEOUT_S:.0f} s")
    for line in done.stdout.splitlines():
        if line.startswith("DRAWN "):
            return RendererProbe(backend, True, f"draws with {line.removeprefix('DRAWN ')}")
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    why = (errors or lines or [f"exit status {done.returncode}"])[-1]
    return RendererProbe(backend, False, f"does not draw: {why}")
