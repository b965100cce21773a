"""What each prefix choice feeds."""

from __future__ import annotations

import torch

from xr0_sim.training.prefix_source import (
    CleanPrefix,
    CorruptedPrefix,
    NoPrefix,
    OwnPrefix,
    draw_prefix,
    longest_prefix,
)

FRAMES, LENGTH = 400, 10
STD = torch.linspace(0.1, 1.0, LENGTH)[:, None].expand(LENGTH, 32).clone()
STD[:, 27:] = 1e-3


def drawn(source, committed=None):
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(FRAMES, LENGTH, 32, generator=generator)
    committed = torch.zeros(FRAMES, dtype=torch.long) if committed is None else committed
    return actions, *draw_prefix(source, actions, committed, STD, generator)


def test_none_and_clean():
    actions, fed, lengths = drawn(NoPrefix())
    assert torch.equal(fed, actions) and (lengths == 0).all() and longest_prefix(NoPrefix()) == 0
    actions, fed, lengths = drawn(CleanPrefix(0.5, 6))
    assert torch.equal(fed, actions) and set(lengths.tolist()) == set(range(7))
    assert 0.4 < (lengths > 0).float().mean() < 0.6


def test_corrupted_prefix_is_offset_in_physical_units():
    actions, fed, _ = drawn(CorruptedPrefix(1.0, 6, corrupted=1.0, offset=0.3, jitter=0.0))
    physical = (fed - actions) * STD
    torch.testing.assert_close(
        physical[:, :1, :26].expand(-1, LENGTH, -1), physical[..., :26], atol=1e-5, rtol=1e-4
    )
    assert abs(physical[:, 0, :26].std() / STD[6, 0] - 0.3) < 0.02
    assert (fed[..., 27:] == actions[..., 27:]).all(), "free dimensions stay"
    actions, fed, _ = drawn(CorruptedPrefix(1.0, 6, corrupted=0.5))
    touched = (fed != actions).flatten(1).any(1).float().mean()
    assert 0.4 < touched < 0.6


def test_own_prefix_uses_the_committed_rows():
    committed = torch.tensor([0, 3, 9, 6] * (FRAMES // 4))
    _, _, lengths = drawn(OwnPrefix(0.5, 6), committed)
    assert (lengths[1::4] == 3).all() and (lengths[3::4] == 6).all()
    assert set(lengths[0::4].tolist()) == set(range(7))
