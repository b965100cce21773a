"""Masks and positions against hand-drawn ones."""

from __future__ import annotations

import torch

from xr0_sim.model.action_expert.masks import expert_mask, expert_positions, hide_random_prefix

LAMBDA_2 = """
# . . . . . . .
# # . . . . . .
# # # . . . . .
# # # # . . . .
# # # # # . . .
# # . # # # . .
# # . . # # # .
# # . . . # # #
"""

CAUSAL = """
# . . . . . . .
# # . . . . . .
# # # . . . . .
# # # # . . . .
# # # # # . . .
# # # # # # . .
# # # # # # # .
# # # # # # # #
"""


def drawn(picture):
    rows = [[c == "#" for c in line.split()] for line in picture.strip().splitlines()]
    return torch.tensor(rows)


def test_lambda_mask_as_drawn():
    assert torch.equal(expert_mask(6, 2), drawn(LAMBDA_2))


def test_plain_causal_mask_as_drawn():
    assert torch.equal(expert_mask(6, None), drawn(CAUSAL))
    assert torch.equal(expert_mask(6, 6), drawn(CAUSAL))


def test_positions_continue_and_leave_a_gap_before_noisy_actions():
    positions = expert_positions(torch.tensor([40, 50]), torch.tensor([2, 0]), 4, 10)
    assert positions.tolist() == [
        [40, 41, 42, 43, 54, 55],
        [50, 51, 62, 63, 64, 65],
    ]
    plain = expert_positions(torch.tensor([40]), torch.tensor([2]), 4, 0)
    assert plain.tolist() == [[40, 41, 42, 43, 44, 45]]


def test_random_prefix_mask_hides_only_old_prefix_rows_from_noisy_rows():
    generator = torch.Generator().manual_seed(0)
    base = expert_mask(8, None)
    lengths = torch.tensor([0, 2, 5] * 40)
    masks = hide_random_prefix(base, lengths, generator)
    assert torch.equal(masks[0], base) and torch.equal(masks[1], base)
    changed = (masks[2::3] != base).float().mean(0)
    rows, columns = torch.nonzero(changed, as_tuple=True)
    assert rows.min() == 2 + 5, "rows of the prefix itself keep their view"
    assert set(columns.tolist()) == {2, 3, 4}, "the last two prefix rows stay visible"
    hidden = changed[changed > 0]
    assert ((hidden > 0.25) & (hidden < 0.75)).all()
    sample = masks[2][7:, 2:5]
    assert (sample == sample[0]).all(), "one draw per prefix row, shared by all noisy rows"
