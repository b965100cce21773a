"""Chooses MuJoCo's OpenGL backend; imports nothing heavy, so that it can run before MuJoCo does."""

from __future__ import annotations

import ctypes
import os
import sys

from xr0_sim.errors import RenderError

BACKENDS = (("egl", "libEGL.so.1"), ("osmesa", "libOSMesa.so.8"))
"""In order of preference: backend name and the library that provides it (Linux)."""
OFF = ("disable", "disabled", "off", "false", "0")
"""Values of ``MUJOCO_GL`` that switch pictures off."""
WINDOWED = ("enable", "enabled", "on", "true", "1", "glfw", "glx")
"""Values that ask for a context of the window system (Linux)."""

INSTALL_HINT = "apt-get install libegl1 libgl1-mesa-dri  (or libosmesa6)"

STEERING = (
    "PYOPENGL_PLATFORM",
    "MUJOCO_EGL_DEVICE_ID",
    "EGL_PLATFORM",
    "__EGL_VENDOR_LIBRARY_FILENAMES",
    "LIBGL_DRIVERS_PATH",
    "GALLIUM_DRIVER",
    "MESA_LOADER_DRIVER_OVERRIDE",
)
"""Further variables that decide whether there is a picture."""


def available_backends() -> list[str]:
    """Headless backends whose library loads on this machine."""
    return [name for name, library in BACKENDS if _loads(library)]


def select_backend() -> str:
    """Sets ``MUJOCO_GL`` if the user did not, and returns it.

    EGL before OSMesa before ``disable`` (state-only observations keep working). On systems other
    than Linux MuJoCo's own default is right and nothing is set.

    Raises:
        RenderError: ``MUJOCO_GL`` has a value with which MuJoCo cannot be imported.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    if not sys.platform.startswith("linux"):
        return chosen
    if chosen:
        _check_choice(chosen)
        return chosen
    backends = available_backends()
    os.environ["MUJOCO_GL"] = backends[0] if backends else "disable"
    return os.environ["MUJOCO_GL"]


def why_no_picture(error: Exception) -> RenderError:
    """The error for an OpenGL context that could not be made: which variable to look at."""
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    device = os.environ.get("MUJOCO_EGL_DEVICE_ID")
    platform = os.environ.get("PYOPENGL_PLATFORM", "")
    if chosen in OFF:
        return RenderError(
            f"MUJOCO_GL={chosen!r}: expected EGL or OSMesa for pictures; unset it, install "
            f"a backend ({INSTALL_HINT}) or use observation='state'"
        )
    if chosen in ("egl", "osmesa") and platform.lower() not in ("", chosen):
        return RenderError(
            f"PYOPENGL_PLATFORM={platform!r}: expected {chosen!r} as in MUJOCO_GL, or nothing; "
            "unset it before python starts"
        )
    if chosen == "egl" and device is not None and not _is_device(device, error):
        return RenderError(
            f"MUJOCO_EGL_DEVICE_ID={device!r}: expected the number of an EGL device, counted from "
            "0; unset it to take the first that works"
        )
    if chosen in WINDOWED:
        return RenderError(
            f"MUJOCO_GL={chosen!r} gives no picture: expected a display to open windows on; unset "
            "it, or set MUJOCO_GL=egl before python starts"
        )
    # MuJoCo sets PYOPENGL_PLATFORM itself, to what was chosen.
    told = [
        f"{name}={value!r}"
        for name in STEERING
        if (value := os.environ.get(name)) and not (name == "PYOPENGL_PLATFORM" and value == chosen)
    ]
    look = f"unset {' and '.join(told)}, or " if told else ""
    reason = " ".join(str(error).split()) or type(error).__name__
    return RenderError(
        f"MUJOCO_GL={chosen!r} gives no picture ({reason}); {look}install a software renderer "
        f"({INSTALL_HINT}) or use observation='state'"
    )


def _check_choice(chosen: str) -> None:
    known = (*(name for name, _ in BACKENDS), *WINDOWED, *OFF)
    if chosen not in known:
        raise RenderError(
            f"MUJOCO_GL={chosen!r}: expected egl, osmesa, glfw or disable; unset it to take the "
            "first that works"
        )
    library = dict(BACKENDS).get(chosen)
    if library is not None and not _loads(library):
        found = available_backends()
        cure = f"set MUJOCO_GL={found[0]}" if found else f"install one ({INSTALL_HINT})"
        raise RenderError(
            f"MUJOCO_GL={chosen!r}: expected {library} on this machine, it does not load; unset "
            f"it, or {cure}"
        )


def _is_device(text: str, error: Exception) -> bool:
    return text.strip().isdigit() and "MUJOCO_EGL_DEVICE_ID" not in str(error)


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True
