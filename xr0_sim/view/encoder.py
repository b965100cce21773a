"""The h264 encoder as a process of its own, whose end and whose complaints are heard."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import RenderError, Xr0SimError, not_written

CONSTANT_RATE_FACTOR = 15
"""x264 quality, 0 lossless .. 51 worst."""

_NO_ROOM_SIGNS = ("no space left", "quota exceeded", "file too large")


class Encoder:
    """Turns frames of one size into an mp4 file of h264 / yuv420p.

    Args:
        path: File to write.
        size: (width, height) [px], both even.
        fps: Frames per second.
        name: What errors call the video.
        key_every: A key frame every this many frames and no B-frames, for readers that jump
            about; None leaves it to the encoder.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        fps: float,
        name: Path,
        key_every: int | None = None,
    ) -> None:
        import imageio_ffmpeg

        self._name = name
        words = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-xerror"]
        words += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}"]
        words += ["-r", f"{fps:.6g}", "-i", "-", "-an", "-vcodec", "libx264"]
        words += ["-pix_fmt", "yuv420p", "-crf", str(CONSTANT_RATE_FACTOR)]
        if key_every is not None:
            words += ["-g", str(key_every), "-bf", "0"]
        # An absolute path: a colon would name a protocol and a leading dash an option.
        words += ["-movflags", "+faststart", f"file:{os.path.abspath(path)}"]
        try:
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                process_group=0,  # Ctrl-C is for us; an interrupted film is closed in good order
            )
        except OSError as error:
            raise RenderError(
                f"video {name}: expected to start the encoder, got {error}; reinstall "
                "imageio-ffmpeg, or film nothing"
            ) from error

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Passes on an (H, W, 3) frame.

        Raises:
            RenderError: The encoder has ended.
            StorageError: There is no room for the file.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(frame).data)
        except OSError:
            raise self._failure() from None

    def close(self) -> None:
        """Waits until the file is complete.

        Raises:
            RenderError: The encoder has failed.
            StorageError: There is no room for the file.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            raise self._failure() from None
        if self._process.wait() != 0:
            raise self._failure()
        self._close_messages()

    def stop(self) -> None:
        """Ends it at once; its file is not complete."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except OSError:
                pass

    def _failure(self) -> Xr0SimError:
        assert self._process.stdin is not None and self._process.stderr is not None
        try:
            self._process.stdin.close()
        except OSError:
            pass
        status = self._process.wait()
        said = self._process.stderr.read().decode("utf-8", "replace")
        self._close_messages()
        no_room = any(sign in said.lower() for sign in _NO_ROOM_SIGNS)
        if no_room or status == -signal.SIGXFSZ:
            return not_written(self._name, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        what = f"signal {-status}" if status < 0 else f"exit status {status}"
        last = f": {said.strip().splitlines()[-1]}" if said.strip() else ""
        return RenderError(
            f"video {self._name}: expected the encoder to finish, got {what}{last}; run the same "
            "command again, or film nothing"
        )

    def _close_messages(self) -> None:
        if self._process.stderr is not None:
            self._process.stderr.close()
