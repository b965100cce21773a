"""Layout and features of a LeRobotDataset v3.0 as this project writes it.

::

    meta/info.json                               version, rate, features, file name patterns
    meta/stats.json                              statistics of the whole set
    meta/tasks.parquet                           instruction -> task_index
    meta/episodes/chunk-000/file-000.parquet     one row per episode: where it lies, statistics
    data/chunk-000/file-000.parquet              one row per frame, without pictures
    videos/CAMERA KEY/chunk-000/file-000.mp4     h264, episodes one behind the other

The names are those of the format (checked against lerobot 0.6.1). Columns that the format does not
know are those of the tick log (`LOG_COLUMNS`) or of a sample store (`sample_columns`); its loader
hands them on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xr0_sim.conventions import ARMS, CAMERAS, CONTROL_HZ, ENV_ACTION_DIM, JOINTS_PER_ARM

VERSION = "v3.0"
FILES_PER_CHUNK = 1000
DATA_FILE_MB = 100
VIDEO_FILE_MB = 200
"""Files per folder and size at which a further file begins; the defaults of lerobot 0.6.1."""

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
PROVENANCE = "meta/xr0_sim.json"
"""What the set was made of, beside what the format knows."""
PATTERN = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES = f"meta/episodes/{PATTERN}.parquet"
DATA = f"data/{PATTERN}.parquet"
VIDEO = f"videos/{{video_key}}/{PATTERN}.mp4"

Columns = Mapping[str, tuple[str, int]]
"""Name -> data type and width, of the columns of the data files."""

STATE = "observation.state"
ACTION = "action"
IMAGE = "observation.images."
SCALAR_COLUMNS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Columns of every LeRobotDataset."""

OUTCOME_COLUMNS = {"next.reward": "float32", "next.done": "bool", "next.success": "bool"}
"""What the tick led to; these names are what lerobot's viewer draws."""

LOG_COLUMNS = {
    "chunk_id": "int64",
    "chunk_row": "int64",
    "age_ticks": "int64",
    "hold": "bool",
    "queue": "int64",
    "inferring": "bool",
    "started": "int64",
    "latency_s": "float32",
    "prefix_steps": "int64",
    "delivered": "int64",
    "seam": "bool",
    "progress": "float32",
    "phase": "string",
    "event": "string",
}
"""Columns of the tick log under their names there, but ``chunk_row`` (its ``index``) and ``event``
(its ``events``); `latency_s` is NaN in ticks without the start of an inference."""

LOG_NAMES = {"chunk_row": "index", "event": "events"}

JOINT_VEL = "joint_vel"
COMMAND = "command"
ROBOT_COLUMNS = {
    JOINT_VEL: ("float32", len(ARMS) * JOINTS_PER_ARM),
    COMMAND: ("float32", ENV_ACTION_DIM),
}
"""What `RobotState` has beside `STATE` and what follows from it: joint speeds [rad/s], and the
targets in force when the tick began."""

CHUNK = "action_chunk"
"""Column by which a set of samples is known."""


def motor_names() -> list[str]:
    """Names of the 14 entries of a state or an action."""
    parts = [*(f"joint_{k}" for k in range(1, JOINTS_PER_ARM + 1)), "jaw"]
    return [f"{arm}_{part}" for arm in ARMS for part in parts]


def video_keys() -> list[str]:
    """Feature names of the three cameras."""
    return [f"{IMAGE}{camera}" for camera in CAMERAS]


def run_columns() -> Columns:
    """Columns of a set of whole episodes, one row a tick; pictures excepted."""
    scalars = {**OUTCOME_COLUMNS, **LOG_COLUMNS, **SCALAR_COLUMNS}
    vectors = {name: ("float32", ENV_ACTION_DIM) for name in (STATE, ACTION)}
    return {**vectors, **ROBOT_COLUMNS, **{name: (dtype, 1) for name, dtype in scalars.items()}}


def sample_columns(horizon: int, grounding_dim: int) -> Columns:
    """Columns of a set of samples, one row a sample; pictures excepted.

    ``action`` is row 0 of the chunk. The chunk (T, 14) and its tool poses (T, 2, 7) are flat.

    Args:
        horizon: Chunk rows T.
        grounding_dim: Length of the grounding vector; 0 leaves it out.
    """
    arms = len(ARMS)
    vectors = {
        STATE: ENV_ACTION_DIM,
        ACTION: ENV_ACTION_DIM,
        "tool_pos": arms * 3,
        "tool_quat": arms * 4,
        CHUNK: horizon * ENV_ACTION_DIM,
        "action_tools": horizon * arms * 7,
    }
    columns = {name: ("float32", width) for name, width in vectors.items()} | ROBOT_COLUMNS
    if grounding_dim:
        columns |= {"grounding": ("float32", grounding_dim)}
        columns |= {"grounding_mask": ("bool", grounding_dim)}
    scalars = {"valid_steps": "int64", "committed": "int64", "tick": "int64", "weight": "float32"}
    scalars |= {"source": "string", "next.done": "bool", **SCALAR_COLUMNS}
    return columns | {name: (dtype, 1) for name, dtype in scalars.items()}


def features(image_size: int, columns: Columns) -> dict[str, dict[str, Any]]:
    """The ``features`` of ``info.json`` for square pictures of a side [px]."""
    found: dict[str, dict[str, Any]] = {}
    for key in video_keys():
        found[key] = {
            "dtype": "video",
            "shape": [image_size, image_size, 3],
            "names": ["height", "width", "channels"],
            "info": {
                "video.height": image_size,
                "video.width": image_size,
                "video.codec": "h264",
                "video.pix_fmt": "yuv420p",
                "video.fps": CONTROL_HZ,
                "video.channels": 3,
                "has_audio": False,
                "is_depth_map": False,
            },
        }
    for name, (dtype, width) in columns.items():
        names = motor_names() if name in (STATE, ACTION, COMMAND) else None
        found[name] = {"dtype": dtype, "shape": [width], "names": names}
    return found


def info(
    image_size: int, columns: Columns, episodes: int, frames: int, tasks: int, robot: str
) -> dict[str, Any]:
    """Contents of ``info.json``."""
    return {
        "codebase_version": VERSION,
        "robot_type": robot,
        "fps": CONTROL_HZ,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": FILES_PER_CHUNK,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "splits": {"train": f"0:{episodes}"},
        "data_path": DATA,
        "video_path": VIDEO,
        "features": features(image_size, columns),
    }


def place(file: int) -> dict[str, int]:
    """Folder and file number of the n-th file of a kind."""
    chunk_index, file_index = divmod(file, FILES_PER_CHUNK)
    return {"chunk_index": chunk_index, "file_index": file_index}


def path(root: Path, pattern: str, file: int, video_key: str = "") -> Path:
    """Path of the n-th file of a kind."""
    return root / pattern.format(video_key=video_key, **place(file))


def file_numbers(sizes: Sequence[float], limit: float) -> list[int]:
    """Number of the file that each episode goes into; one that passes the limit starts a file.

    Args:
        sizes: One per episode, any unit.
        limit: Largest sum of a file, unless one episode alone is larger.

    >>> file_numbers([3, 3, 3, 9, 1], 6)
    [0, 0, 1, 2, 3]
    """
    numbers: list[int] = []
    number, filled = 0, 0.0
    for size in sizes:
        if filled and filled + size > limit:
            number, filled = number + 1, 0.0
        filled += size
        numbers.append(number)
    return numbers
