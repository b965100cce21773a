"""Chooses MuJoCo's OpenGL backend; runs before ``import mujoco``, so it imports nothing heavy."""

from __future__ import annotations

import ctypes
import os
import sys

BACKENDS = (("egl", "libEGL.so.1"), ("osmesa", "libOSMesa.so.8"))
"""In order of preference: backend name and the library that provides it (Linux)."""

INSTALL_HINT = "apt-get install libegl1 libgl1-mesa-dri  (or libosmesa6)"


def available_backends() -> list[str]:
    """Headless backends whose library loads on this machine."""
    found = []
    for name, library in BACKENDS:
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        found.append(name)
    return found


def select_backend() -> str:
    """Sets ``MUJOCO_GL`` if the user did not, and returns it.

    EGL before OSMesa before ``disable`` (state-only observations keep working). On systems other
    than Linux MuJoCo's own default is right and nothing is set. Does nothing once MuJoCo is loaded.
    """
    chosen = os.environ.get("MUJOCO_GL", "")
    if chosen or not sys.platform.startswith("linux") or "mujoco" in sys.modules:
        return chosen
    backends = available_backends()
    os.environ["MUJOCO_GL"] = backends[0] if backends else "disable"
    return os.environ["MUJOCO_GL"]
