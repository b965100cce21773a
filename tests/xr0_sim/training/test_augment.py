"""Augmentation: what moves, what stays, what is masked."""

from __future__ import annotations

import pytest
import torch

from xr0_sim.errors import ConfigError
from xr0_sim.training.augment import (
    AugmentConfig,
    draw_shifts,
    jitter_colors,
    shift_images,
    shift_targets,
)


def test_shift_moves_picture_and_points_together():
    image = torch.zeros(1, 16, 16, 3)
    image[0, 4, 6] = 1.0
    shifts = torch.tensor([[[3, -2]]])
    moved = shift_images(image, shifts[0])
    assert moved[0, 2, 9, 0] == 1.0 and moved.sum() == 3.0
    target = torch.tensor([[0.7, 6.5 / 16, 4.5 / 16]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    target, mask = shift_targets(target, mask, shifts, torch.tensor([0]), 16)
    torch.testing.assert_close(target, torch.tensor([[0.7, 9.5 / 16, 2.5 / 16]]))
    assert mask.tolist() == [[False, True, True]], "world values of a shifted frame are masked"


def test_points_that_leave_the_picture_are_masked():
    target, mask = torch.tensor([[0.1, 0.5]]), torch.ones(1, 2, dtype=torch.bool)
    _, mask = shift_targets(target, mask, torch.tensor([[[-3, 0]]]), torch.tensor([0]), 16)
    assert not mask.any()


def test_still_frames_keep_their_targets():
    target, mask = torch.rand(2, 3), torch.ones(2, 3, dtype=torch.bool)
    shifts = torch.zeros(2, 1, 2, dtype=torch.long)
    moved, kept = shift_targets(target, mask, shifts, torch.tensor([0]), 16)
    assert torch.equal(moved, target) and kept.all()


def test_draws_follow_the_config():
    generator = torch.Generator().manual_seed(0)
    config = AugmentConfig(shift_px=4, shift_probability=0.3)
    shifts = draw_shifts(2000, 3, config, generator)
    share = (shifts != 0).flatten(1).any(1).float().mean()
    assert 0.25 < share < 0.35 and shifts.abs().max() == 4
    images = torch.full((5, 8, 8, 3), 128.0)
    config = AugmentConfig(0.2, 0.0, 0.0, 0.0)
    jittered = jitter_colors(images, config, generator)
    assert (jittered.std((1, 2, 3)) < 1e-3).all()
    assert 102 <= jittered.min() and jittered.max() <= 154
    with pytest.raises(ConfigError, match="brightness"):
        AugmentConfig(brightness=1.5)
