"""Video of an episode as a subscriber: h264, named with the outcome, kept when interrupted."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from xr0_sim.atomic import partial_path
from xr0_sim.errors import ConfigError, RenderError
from xr0_sim.runtime.episode import EpisodeResult, EpisodeStart, TickSample
from xr0_sim.types import EventRecord

Frame = NDArray[np.uint8]

END_S = 1.0
"""How long the outcome is shown [s]."""

QUALITY = 7
"""imageio-ffmpeg scale, 0 worst .. 10 best."""


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
        self._writer: Generator[None, Any, None] | None = None
        self._shape: tuple[int, ...] = ()

    def write(self, frame: Frame) -> None:
        """Appends an (H, W, 3) uint8 frame; odd sides are extended by one pixel."""
        frame = np.asarray(frame)
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise RenderError(
                f"video frame: expected (H, W, 3) uint8, got {frame.shape} {frame.dtype}"
            )
        writer = self._writer or self._open(frame.shape)
        if frame.shape != self._shape:
            raise RenderError(f"video frame: expected shape {self._shape}, got {frame.shape}")
        height, width, _ = frame.shape
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        writer.send(np.ascontiguousarray(frame))

    def finish(self, path: str | Path | None = None) -> Path | None:
        """Closes the file and gives it its name; None if it has no frame."""
        if self._writer is None:
            return None
        self._writer.close()
        self._writer = None
        target = self._path if path is None else Path(path)
        os.replace(self._partial, target)
        return target

    def _open(self, shape: tuple[int, ...]) -> Generator[None, Any, None]:
        import imageio_ffmpeg

        self._shape = shape
        self._path.parent.mkdir(parents=True, exist_ok=True)
        size = (shape[1] + shape[1] % 2, shape[0] + shape[0] % 2)
        writer = self._writer = imageio_ffmpeg.write_frames(
            str(self._partial),
            size,
            fps=self._fps,
            codec="libx264",
            pix_fmt_in="rgb24",
            pix_fmt_out="yuv420p",
            quality=QUALITY,
            macro_block_size=2,
            ffmpeg_log_level="error",
            output_params=["-movflags", "+faststart"],
        )
        writer.send(None)
        return writer


class VideoRecorder:
    """Subscriber that films episodes.

    Each episode becomes ``<folder>/<name>_seed<seed>_<outcome>.mp4``; an interrupted one keeps the
    frames it has and is named ``..._interrupted.mp4``.

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
