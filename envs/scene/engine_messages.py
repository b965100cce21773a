"""Where the physics engine's warnings go: to the log, not into files of the caller's folder."""

from __future__ import annotations

import logging

_log = logging.getLogger(__name__)


def route_engine_warnings() -> None:
    """Sends MuJoCo's warnings to the logger of this module, unless somebody has taken them.

    By itself MuJoCo prints them and appends them to ``MUJOCO_LOG.TXT`` in the working directory.
    What they mean for an episode is told by the warning counts of its data.
    """
    import mujoco

    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_log_warning)


def _log_warning(text: str) -> None:
    _log.info("physics: %s", text)
