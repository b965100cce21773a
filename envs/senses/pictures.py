"""What a camera makes of a scene: exposure, blur and noise, as pure functions on pictures."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from envs.senses.base import GREY_LEVELS

Image = NDArray[np.uint8]


def developed(
    image: Image,
    *,
    gains: NDArray[np.float64],
    blur_px: float,
    shot_noise: float,
    read_noise: float,
    rng: np.random.Generator,
) -> Image:
    """A picture as a camera delivers it: blurred by the lens, exposed, with noise, in 256 levels.

    Grey levels count as proportional to light.

    Args:
        image: (H, W, 3) what stands before the lens.
        gains: (3,) exposure of red, green and blue.
        blur_px: Standard deviation of the blur [px].
        shot_noise: Standard deviation on white [grey levels].
        read_noise: Standard deviation in the dark [grey levels].
        rng: Of this frame.
    """
    light = blurred(image.astype(np.float32), blur_px)
    light *= gains.astype(np.float32)
    # A sensor is full at white.
    np.minimum(light, np.float32(GREY_LEVELS), out=light)
    if shot_noise or read_noise:
        spread = np.sqrt(noise_variance(light, shot_noise, read_noise))
        light += spread * rng.standard_normal(light.shape, dtype=np.float32)
    np.rint(light, out=light)
    np.clip(light, 0.0, GREY_LEVELS, out=light)
    return light.astype(np.uint8)


def noise_variance(
    light: NDArray[np.float32], shot_noise: float, read_noise: float
) -> NDArray[np.float32]:
    """Variance of the noise: photons are counted, so their share grows with the signal.

    >>> noise_variance(np.array([0.0, 255.0], np.float32), 3.0, 1.0).tolist()
    [1.0, 10.0]
    """
    share = np.float32(shot_noise**2 / GREY_LEVELS)
    return light * share + np.float32(read_noise**2)


def blurred(light: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """A picture (H, W, C) under a Gaussian of `sigma_px` [px]; its edge pixels go on outside."""
    if sigma_px == 0:
        return light
    reach = max(1, math.ceil(3 * sigma_px))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / sigma_px) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        margin = [(reach, reach) if a == axis else (0, 0) for a in range(light.ndim)]
        padded = np.pad(light, margin, mode="edge")
        size = light.shape[axis]
        light = np.zeros_like(light)
        for weight, start in zip(kernel.astype(np.float32), range(2 * reach + 1), strict=True):
            part = slice(start, start + size)
            light += weight * (padded[part] if axis == 0 else padded[:, part])
    return light


def episode_gains(
    rng: np.random.Generator, exposure_stops: float, white_balance: float
) -> NDArray[np.float64]:
    """Gains (3,) of red, green and blue that a camera keeps through an episode."""
    stops, tint = rng.uniform(-1.0, 1.0, 2) * (exposure_stops, white_balance)
    return 2.0**stops * np.array([1.0 + tint, 1.0, 1.0 - tint])
