"""What an observation holds: its space, its bounds, and the sizes of its pictures."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from envs.robot.proprioception import PROPRIO_DIM
from xr0_sim.conventions import CAMERAS, INSTRUCTION_BYTES
from xr0_sim.errors import ConfigError

ObservationMode = Literal["pixels", "state"]
IMAGE_SIZES = (32, 1024)
"""Smallest and largest side of a policy picture [px]."""
VIDEO_SIZES = (16, 4096)
"""Smallest and largest side of a video picture [px]."""
STATE_BOUND = 100.0
"""Bound of every entry of a state observation; only a diverging scene reaches it."""


LATEST_TICK = 2**31 - 1
"""Bound of the tick of an observation."""


def observation_space(mode: ObservationMode, image_size: int, privileged_dim: int) -> spaces.Dict:
    """Space of the observations of a mode.

    Args:
        mode: Pictures, or privileged state in their place.
        image_size: Side of the pictures [px].
        privileged_dim: Length of the privileged vector.
    """
    parts: dict[str, spaces.Space] = {
        "proprio": spaces.Box(-STATE_BOUND, STATE_BOUND, (PROPRIO_DIM,), np.float32),
        "instruction": spaces.Box(0, 255, (INSTRUCTION_BYTES,), np.uint8),
        "tick": spaces.Box(0, LATEST_TICK, (1,), np.int32),
    }
    if mode == "pixels":
        shape = (image_size, image_size, 3)
        for name in CAMERAS:
            parts[f"image_{name}"] = spaces.Box(0, 255, shape, np.uint8)
    else:
        parts["privileged"] = spaces.Box(-STATE_BOUND, STATE_BOUND, (privileged_dim,), np.float32)
    return spaces.Dict(parts)


def bounded(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """A vector within the bounds of its space."""
    # Nearly always within bounds; plain numbers find that out at less than one array operation.
    values = vector.tolist()
    if -STATE_BOUND <= min(values) and max(values) <= STATE_BOUND:
        return vector
    return np.minimum(np.maximum(vector, -STATE_BOUND), STATE_BOUND)


def check_pixels(name: str, size: Any, limits: tuple[int, int]) -> int:
    """A number of pixels within limits, as a plain int.

    Raises:
        ConfigError: No whole number, or outside the limits.
    """
    whole = isinstance(size, int | np.integer) and not isinstance(size, bool)
    if not whole or not limits[0] <= size <= limits[1]:
        raise ConfigError(
            f"{name}: expected a whole number {limits[0]} .. {limits[1]} px, got {size!r}"
        )
    return int(size)


def check_video_size(size: Any) -> tuple[int, int]:
    """Height and width of a video picture [px].

    Raises:
        ConfigError: Not two whole numbers within `VIDEO_SIZES`.
    """
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ConfigError(f"render_size: expected (height, width) in px, got {size!r}") from None
    return (
        check_pixels("render_size", height, VIDEO_SIZES),
        check_pixels("render_size", width, VIDEO_SIZES),
    )
