"""A window on the scene: ``render_mode="human"``."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import mujoco

_log = logging.getLogger(__name__)

DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables that name a display on Linux; other systems have one."""


class Window:
    """MuJoCo's own viewer, opened at the first picture and anew for every scene.

    Without a display nothing is shown, and one line says what to do instead.
    """

    def __init__(self) -> None:
        self._viewer: Any = None
        self._model: mujoco.MjModel | None = None
        self._usable = sys.platform != "linux" or any(os.environ.get(name) for name in DISPLAYS)
        if not self._usable:
            _log.warning(
                "render_mode 'human': expected a display, found none, nothing is shown; take "
                "render_mode 'rgb_array', or look at the live scene in a browser by xr0-sim watch"
            )

    def show(self, model: mujoco.MjModel, data: mujoco.MjData) -> None:
        """Shows the present state; a window that its user has closed stays closed till a reset."""
        if not self._usable:
            return
        if model is not self._model:
            self.close()
            import mujoco.viewer

            self._viewer = mujoco.viewer.launch_passive(
                model, data, show_left_ui=False, show_right_ui=False
            )
            self._model = model
        if self._viewer.is_running():
            self._viewer.sync()

    def close(self) -> None:
        """Closes the window; may be called more than once."""
        if self._viewer is not None:
            self._viewer.close()
        self._viewer = self._model = None
