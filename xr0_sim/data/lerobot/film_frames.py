"""Single frames out of a film of any codec that ffmpeg decodes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import DatasetError

COUNTED = re.compile(rb"frame=\s*(\d+)")


def count_frames(path: Path) -> int:
    """Frames of a film, counted without decoding; 0 of what is no film."""
    words = [_ffmpeg(), "-nostdin", "-i", _file(path), "-map", "0:v:0", "-c", "copy"]
    words += ["-f", "null", "-"]
    done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL)
    counted = COUNTED.findall(done.stderr)
    return int(counted[-1]) if counted else 0


def frames_of(
    path: Path, begin: int, wanted: Sequence[int], side: int, fps: int
) -> Iterator[NDArray[np.uint8]]:
    """Frames (side, side, 3) of a film, scaled if it is of another size.

    Args:
        path: The film.
        begin: Frame that counts as 0.
        wanted: Frames to give, rising.
        side: Side of the pictures [px].
        fps: Frames per second of the film.

    Raises:
        DatasetError: It ends too early or cannot be decoded.
    """
    if not wanted:
        return
    # Half a frame early: the times of a film are rounded. Decoding starts at the key frame before.
    words = [_ffmpeg(), "-nostdin", "-loglevel", "error", "-xerror"]
    words += ["-ss", f"{max(begin - 0.5, 0.0) / fps:.6f}", "-i", _file(path), "-map", "0:v:0"]
    words += ["-frames:v", str(wanted[-1] + 1), "-fps_mode", "passthrough"]
    words += ["-vf", f"scale={side}:{side}:flags=area+accurate_rnd+full_chroma_int"]
    words += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    process = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    size, places = side * side * 3, set(wanted)
    try:
        for frame in range(wanted[-1] + 1):
            payload = process.stdout.read(size)
            if len(payload) != size:
                said = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
                raise DatasetError(
                    f"{path}: expected frame {begin + frame}, got "
                    f"{said[-1] if said else 'the end of the film'}; fetch or export the set again"
                )
            if frame in places:
                yield np.frombuffer(payload, np.uint8).reshape(side, side, 3)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _file(path: Path) -> str:
    """A path that ffmpeg takes for nothing else."""
    return f"file:{path.resolve()}"
