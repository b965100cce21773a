"""Camera images to the patch rows of the Qwen vision tower, for whole batches at once.

A patch row holds ``channel * time * patch * patch`` values; rows run over merge blocks first (the
two by two patches of one visual token stand together). A test holds the result equal to the stock
image processor of transformers.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xr0_sim.errors import ConfigError
from xr0_sim.model.spec.image_rules import MAX_PIXELS, SIDE_MULTIPLE, fitted_size, image_size

__all__ = [
    "MAX_PIXELS",
    "SIDE_MULTIPLE",
    "fit_images",
    "fitted_size",
    "normalize_pixels",
    "patchify",
    "to_patches",
]

PIXEL_MEAN = 0.5
PIXEL_STD = 0.5
"""Qwen3-VL maps 0..255 to -1..1."""


def fit_images(images: NDArray[np.uint8], rule: str = "fit") -> NDArray[np.uint8]:
    """Resizes (N, H, W, 3) by an image rule, bicubic; returns the input when it fits already."""
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise ConfigError(
            f"images: expected uint8 (N, H, W, 3), got {images.dtype} {images.shape}; "
            "pass camera frames as rendered"
        )
    height, width = image_size(images.shape[1], images.shape[2], rule)
    if images.shape[1:3] == (height, width):
        return images
    from PIL import Image

    resized = [
        np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
        for image in images
    ]
    return np.stack(resized)


def normalize_pixels(images: Tensor) -> Tensor:
    """0..255 of any dtype to float -1..1."""
    return images.float().mul_(1.0 / 255.0 / PIXEL_STD).sub_(PIXEL_MEAN / PIXEL_STD)


def patchify(images: Tensor, patch_size: int, merge_size: int, temporal_patch_size: int) -> Tensor:
    """Cuts normalised images into patch rows.

    Args:
        images: (N, H, W, 3) float.
        patch_size: Side of a patch [px].
        merge_size: Patches per side of a visual token.
        temporal_patch_size: How often a still image is repeated along time.

    Returns:
        (N, P, 3 * temporal * patch * patch).
    """
    count, height, width, channels = images.shape
    block = patch_size * merge_size
    if height % block or width % block:
        raise ConfigError(f"images: expected sides in multiples of {block}, got {height}x{width}")
    rows, columns = height // block, width // block
    cut = images.reshape(
        count, rows, merge_size, patch_size, columns, merge_size, patch_size, channels
    )
    cut = cut.permute(0, 1, 4, 2, 5, 7, 3, 6).unsqueeze(6)
    cut = cut.expand(*cut.shape[:6], temporal_patch_size, *cut.shape[7:])
    return cut.reshape(count, rows * columns * merge_size**2, -1)


def to_patches(
    images: NDArray[np.uint8], patch_size: int, merge_size: int, temporal_patch_size: int
) -> Tensor:
    """(N, H, W, 3) uint8 frames of fitted size to patch rows (N, P, values)."""
    pixels = normalize_pixels(torch.from_numpy(np.ascontiguousarray(images)))
    return patchify(pixels, patch_size, merge_size, temporal_patch_size)
