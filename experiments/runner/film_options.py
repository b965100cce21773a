"""Which episodes are filmed, by which camera and how large."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.errors import ConfigError, unknown_name

SCENE_CAMERA = "scene"
"""The camera that sees the whole table; it belongs to no robot."""
FILM_CAMERAS = (SCENE_CAMERA, *CAMERAS)
DEFAULT_FPS = 15

_SIZE = re.compile(r"(?P<width>\d{1,5})\s*[x×]\s*(?P<height>\d{1,5})")
_FIRST = re.compile(r"first:(?P<count>\d{1,6})")


@dataclass(frozen=True)
class FilmOptions:
    """How an episode is filmed.

    Attributes:
        every: Film one tick in this many; the film still plays in real time.
        camera: One of `FILM_CAMERAS`.
        size: (height, width) of the film [px]; None for the environment's own.
        keep: ``all`` films, or those of ``failures`` alone.
        insets: Whether a film of the scene shows the wrist views in its corners.
    """

    every: int = CONTROL_HZ // DEFAULT_FPS
    camera: str = SCENE_CAMERA
    size: tuple[int, int] | None = None
    keep: str = "all"
    insets: bool = True

    def kept(self, outcome: str) -> bool:
        """Whether the film of an episode with this outcome stays."""
        return self.keep == "all" or outcome != "success"


def film_options(
    fps: int | None,
    camera: str,
    size: str | None,
    keep: str = "all",
    insets: bool = True,
    control_hz: int = CONTROL_HZ,
) -> FilmOptions:
    """Film options from command-line values.

    Args:
        fps: Frames per second, a divisor of the control rate; None for the largest up to
            `DEFAULT_FPS`.
        camera: One of `FILM_CAMERAS`.
        size: ``WIDTHxHEIGHT`` [px]; None for the environment's own.
        keep: ``all`` or ``failures``.
        insets: Whether the wrist views are shown in the corners.
        control_hz: Control rate of the episodes [Hz].
    """
    if fps is None:
        fps = max(n for n in range(1, DEFAULT_FPS + 1) if control_hz % n == 0)
    if isinstance(fps, bool) or fps < 1 or control_hz % fps:
        raise ConfigError(f"--video-fps: expected a divisor of {control_hz}, got {fps}")
    if camera not in FILM_CAMERAS:
        raise unknown_name("film camera", camera, FILM_CAMERAS)
    return FilmOptions(control_hz // fps, camera, _size(size), keep, insets)


def filmed_seeds(film: str, seeds: range) -> tuple[range, str]:
    """Seeds that are filmed and which of their films stay.

    Args:
        film: ``all``, ``failures``, ``first:N`` or ``none``.
        seeds: Seeds of the run.
    """
    first = _FIRST.fullmatch(film.strip())
    if first:
        return seeds[: int(first["count"])], "all"
    if film.strip() in ("all", "failures"):
        return seeds, film.strip()
    if film.strip() == "none":
        return seeds[:0], "all"
    raise ConfigError(f"--film: expected all, failures, first:N or none, got {film!r}")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"--size: expected WIDTHxHEIGHT such as 1280x720, got {text!r}")
    from envs.observations import check_video_size

    return check_video_size((int(match["height"]), int(match["width"])))
