"""Films joined to one file, without encoding them again."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from xr0_sim.errors import RenderError, not_written


def join_films(parts: Sequence[str], folder: Path, out: Path, fps: int) -> None:
    """Joins h264 films of one size that have no B-frames; frame k starts at ``k / fps`` exactly.

    Args:
        parts: Paths below ``folder``, without quotes or white space, in order.
        folder: Where they lie; a list of them is written there.
        out: Film to write.
        fps: Frames per second.

    Raises:
        RenderError: The films do not fit together.
        StorageError: There is no room.
    """
    import imageio_ffmpeg

    names = folder / "films.txt"
    try:
        names.write_text("".join(f"file {part}\n" for part in parts), encoding="utf-8")
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(out, error) from error
    words = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-f", "concat"]
    words += ["-i", names.name, "-c", "copy"]
    # The durations of the parts are rounded to microseconds, which adds up; packets are counted.
    words += ["-bsf:v", f"setts=ts=N/({fps}*TB)", "-movflags", "+faststart"]
    words += [f"file:{out.resolve()}"]
    done = subprocess.run(words, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL)
    names.unlink(missing_ok=True)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise RenderError(
            f"film {out.name}: expected to join {len(parts)} films, got "
            f"{said[-1] if said else f'exit status {done.returncode}'}; check the room on the disk"
        )
