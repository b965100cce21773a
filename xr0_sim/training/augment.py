"""Image augmentation for stage 1, consistent with the grounding targets.

Colour changes keep every target. A shift moves the picture of a camera that did not move: image
points move with it, but world positions and actions no longer fit, so such frames train pointing
only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class AugmentConfig:
    """Strengths; zero switches a part off.

    Attributes:
        brightness: Largest relative change of all channels together.
        contrast: Largest relative change around the image mean.
        channel_gain: Largest relative change of each channel alone.
        noise: Standard deviation of pixel noise, of 255.
        shift_px: Largest shift in each direction [px].
        shift_probability: Share of frames that are shifted.
    """

    brightness: float = 0.15
    contrast: float = 0.15
    channel_gain: float = 0.05
    noise: float = 2.0
    shift_px: int = 5
    shift_probability: float = 0.1

    def __post_init__(self) -> None:
        """Rejects negative strengths and changes that can turn a picture black."""
        for name in ("brightness", "contrast", "channel_gain"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"augment {name}: expected 0..1, got {getattr(self, name)}")
        if self.noise < 0 or self.shift_px < 0 or not 0.0 <= self.shift_probability <= 1.0:
            raise ConfigError(
                "augment: expected noise and shift_px >= 0 and a probability in 0..1, got "
                f"{self.noise}, {self.shift_px}, {self.shift_probability}"
            )


def jitter_colors(images: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Random brightness, contrast, channel gains and noise, drawn per image.

    Args:
        images: (N, H, W, 3) float, 0..255; changed in place.
        config: Strengths.
        generator: Source of the draws.
    """
    count = len(images)
    draw = torch.rand(count, 5, generator=generator) * 2 - 1
    gain = (1 + config.brightness * draw[:, :1]) * (1 + config.channel_gain * draw[:, 2:5])
    contrast = 1 + config.contrast * draw[:, 1].view(-1, 1, 1, 1)
    mean = images.mean((1, 2, 3), keepdim=True)
    images.sub_(mean).mul_(contrast).add_(mean).mul_(gain.view(-1, 1, 1, 3))
    if config.noise > 0:
        images.add_(torch.randn(images.shape, generator=generator), alpha=config.noise)
    return images.clamp_(0.0, 255.0)


def draw_shifts(
    frames: int, cameras: int, config: AugmentConfig, generator: torch.Generator
) -> Tensor:
    """(frames, cameras, 2) shifts (right, down) [px]; zero for frames that stay."""
    size = (frames, cameras, 2)
    shifts = torch.randint(-config.shift_px, config.shift_px + 1, size, generator=generator)
    moved = torch.rand(frames, generator=generator) < config.shift_probability
    return shifts * moved[:, None, None]


def shift_images(images: Tensor, shifts: Tensor) -> Tensor:
    """Moves (N, H, W, 3) pictures by (N, 2) pixels (right, down), repeating the border."""
    count, height, width, _ = images.shape
    rows = (torch.arange(height) - shifts[:, 1:]).clamp(0, height - 1)
    columns = (torch.arange(width) - shifts[:, :1]).clamp(0, width - 1)
    index = torch.arange(count)[:, None, None]
    return images[index, rows[:, :, None], columns[:, None, :]]


def shift_targets(
    target: Tensor,
    mask: Tensor,
    shifts: Tensor,
    point_cameras: Tensor,
    image_size: int,
) -> tuple[Tensor, Tensor]:
    """Moves the points of grounding vectors; masks everything else of shifted frames.

    Args:
        target: (F, G); the last ``2 * points`` slots are image coordinates.
        mask: (F, G) bool.
        shifts: (F, cameras, 2) [px].
        point_cameras: (points,) camera of each point.
        image_size: Side of the images [px].
    """
    count = 2 * len(point_cameras)
    others = target.shape[1] - count
    moved = (shifts != 0).flatten(1).any(1)
    points = target[:, others:].unflatten(1, (-1, 2)) + shifts[:, point_cameras] / image_size
    inside = ((points >= 0) & (points < 1)).all(-1, keepdim=True).expand_as(points)
    return (
        torch.cat([target[:, :others], points.flatten(1)], 1),
        torch.cat([mask[:, :others] & ~moved[:, None], mask[:, others:] & inside.flatten(1)], 1),
    )
