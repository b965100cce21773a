"""Video of an episode as a subscriber: h264, named with the outcome, kept when interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from xr0_sim.atomic import partial_path
from xr0_sim.errors import ConfigError, RenderError, not_written
from xr0_sim.runtime.episode_ports import EpisodeResult, EpisodeStart, Outcome, TickSample
from xr0_sim.types import EventRecord
from xr0_sim.view.encoder import Encoder

Frame = NDArray[np.uint8]

END_S = 1.0
"""How long the outcome is shown [s]."""

CUT_SHORT = ("interrupted", "error")
"""Outcomes of films that end before their episode."""


class Annotator(Protocol):
    """Draws on frames; called once per tick, whether or not the tick becomes a frame."""

    def start(self, start: EpisodeStart) -> None:
        """Called before the first tick."""
        ...

    def advance(self, sample: TickSample) -> None:
        """Takes a tick in."""
        ...

    def draw(self, frame: Frame) -> Frame:
        """Annotated copy of an (H, W, 3) frame."""
        ...

    def draw_end(self, frame: Frame, result: EpisodeResult) -> Frame:
        """The same with the outcome."""
        ...


class VideoFile:
    """An h264 / yuv420p file under a partial name until it is finished.

    Args:
        path: Final path; `finish` may choose another.
        fps: Frames per second.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self._path = Path(path)
        self._fps = fps
        self._partial = partial_path(self._path)
        self._encoder: Encoder | None = None
        self._shape: tuple[int, ...] = ()

    def write(self, frame: Frame) -> None:
        """Appends an (H, W, 3) uint8 frame; odd sides are extended by one pixel."""
        frame = np.asarray(frame)
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise RenderError(
                f"video frame: expected (H, W, 3) uint8, got {frame.shape} {frame.dtype}"
            )
        encoder = self._encoder or self._open(frame.shape)
        if frame.shape != self._shape:
            raise RenderError(f"video frame: expected shape {self._shape}, got {frame.shape}")
        height, width, _ = frame.shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        try:
            encoder.write(frame)
        except Exception:
            self.abandon()
            raise

    def finish(self, path: str | Path | None = None) -> Path | None:
        """Closes the file and gives it its name; None if it has no frame.

        Raises:
            RenderError: The encoder has failed; no file is left.
            StorageError: There is no room; no file is left.
        """
        if self._encoder is None:
            return None
        target = self._path if path is None else Path(path)
        encoder, self._encoder = self._encoder, None
        try:
            encoder.close()
            os.replace(self._partial, target)
        except OSError as error:
            self.abandon()
            raise not_written(target, error) from error
        except Exception:
            self.abandon()
            raise
        return target

    def abandon(self) -> None:
        """Removes what has been written; `finish` has nothing to do then."""
        self._encoder = None
        self._partial.unlink(missing_ok=True)

    def _open(self, shape: tuple[int, ...]) -> Encoder:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise not_written(self._path.parent, error) from error
        size = (shape[1] + shape[1] % 2, shape[0] + shape[0] % 2)
        self._encoder = Encoder(self._partial, size, self._fps, self._path)
        self._shape = shape
        return self._encoder


class VideoRecorder:
    """Subscriber that films episodes.

    Each episode becomes ``<folder>/<name>_seed<seed>_<outcome>.mp4``; an interrupted one keeps the
    frames it has and is named ``..._interrupted.mp4`` until a film of the whole episode takes its
    place: of a seed there is one film.

    Args:
        folder: Where the files go; made if missing.
        name: First part of the file names.
        render: Returns the (H, W, 3) uint8 picture of the present state.
        overlay: Draws on the frames; None for plain frames.
        every: Film one tick in this many; the video still plays in real time.
    """

    def __init__(
        self,
        folder: str | Path,
        name: str,
        render: Callable[[], Frame],
        overlay: Annotator | None = None,
        every: int = 1,
    ) -> None:
        if every < 1:
            raise ConfigError(f"video: expected every >= 1, got {every}")
        self._folder = Path(folder)
        self._name = name
        self._render = render
        self._overlay = overlay
        self._every = every
        self._file: VideoFile | None = None
        self._last: Frame | None = None
        self.paths: list[Path] = []

    def on_reset(self, start: EpisodeStart) -> None:
        """Opens the file of the episode."""
        self._stem = f"{self._name}_seed{start.seed}"
        self._fps = start.control_hz / self._every
        self._file = VideoFile(self._folder / f"{self._stem}.mp4", self._fps)
        self._last = None
        if self._overlay is not None:
            self._overlay.start(start)

    def on_tick(self, sample: TickSample) -> None:
        """Films the state after the tick."""
        if self._overlay is not None:
            self._overlay.advance(sample)
        if self._file is None or sample.record.tick % self._every:
            return
        self._last = self._render()
        frame = self._last if self._overlay is None else self._overlay.draw(self._last)
        self._file.write(frame)

    def on_event(self, event: EventRecord) -> None:
        """Nothing to do: the tick brings its events along."""

    def on_end(self, result: EpisodeResult) -> None:
        """Shows the outcome for a second, closes the file and names it."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            if self._last is not None and self._overlay is not None:
                frame = self._overlay.draw_end(self._last, result)
                for _ in range(round(END_S * self._fps)):
                    file.write(frame)
        finally:
            path = file.finish(self._folder / f"{self._stem}_{result.outcome}.mp4")
            if path is not None:
                self.paths.append(path)
        if path is not None and result.outcome not in CUT_SHORT:
            self._remove_others(path)

    def _remove_others(self, kept: Path) -> None:
        """Removes earlier films of the same episode, named with another outcome."""
        for outcome in get_args(Outcome):
            other = self._folder / f"{self._stem}_{outcome}.mp4"
            if other != kept:
                other.unlink(missing_ok=True)
