"""Who sees whom among the action expert's tokens, and at which positions they stand.

The expert's tokens are ``[sink, state, a_0 .. a_{T-1}]``; all of them see the whole VLM cache.
Among themselves, with a window w = 2 (rows look, columns are seen; the name of the mask, after the
capital lambda, is its shape):

```
             cache  sink state a0 a1 a2 a3 a4 a5
      sink     #     #    .    .  .  .  .  .  .
      state    #     #    #    .  .  .  .  .  .
      a0       #     #    #    #  .  .  .  .  .
      a1       #     #    #    #  #  .  .  .  .
      a2       #     #    #    #  #  #  .  .  .
      a3       #     #    #    .  #  #  #  .  .
      a4       #     #    #    .  .  #  #  #  .
      a5       #     #    #    .  .  .  #  #  #
```

Without a window the mask is plain causal, as in the released inference code. Positions continue
after the VLM's largest position p and leave a gap before the *noisy* actions, so that the network
can tell them from a clean prefix (d = 2, offset 10):

```
      sink p+1, state p+2, a0 p+3, a1 p+4, a2 p+5+10, a3 p+6+10, ...
```
"""

from __future__ import annotations

import torch
from torch import Tensor

from xr0_sim.model.compute.kept import counted, kept

CONTEXT_TOKENS = 2
"""Sink and state stand before the actions."""
PREFIX_KEPT_VISIBLE = 2
"""The random prefix mask never hides the last two prefix rows (post-training code)."""
PREFIX_HIDE_PROBABILITY = 0.5


@kept
def expert_mask(
    action_length: int, window: int | None, device: torch.device | None = None
) -> Tensor:
    """Visibility among the expert's own tokens.

    Args:
        action_length: T.
        window: Earlier actions an action sees, None for all of them.
        device: Where the mask is wanted.

    Returns:
        (2 + T, 2 + T) bool, True = seen.
    """
    size = CONTEXT_TOKENS + action_length
    index = torch.arange(size, device=device)
    seen = index[None, :] <= index[:, None]
    if window is not None:
        far = index[:, None] - index[None, :] > window
        both_actions = (index[:, None] >= CONTEXT_TOKENS) & (index[None, :] >= CONTEXT_TOKENS)
        seen = seen & ~(far & both_actions)
    return seen


def hide_random_prefix(
    mask: Tensor,
    prefix_lengths: Tensor,
    generator: torch.Generator,
    probability: float = PREFIX_HIDE_PROBABILITY,
) -> Tensor:
    """Hides prefix rows from the noisy rows, each at random, except the last two.

    Training only: it keeps the suffix from leaning on the oldest committed actions.

    Args:
        mask: (2 + T, 2 + T) bool.
        prefix_lengths: (B,) clean rows per sample.
        generator: Source of the draws.
        probability: Chance of a row to be hidden; 0.5 in the post-training code, which draws once
            for a whole batch of equal prefixes, here every sample has its own.

    Returns:
        (B, 2 + T, 2 + T) bool.
    """
    rows = torch.arange(mask.shape[-1], device=mask.device) - CONTEXT_TOKENS
    drawn = torch.rand(len(prefix_lengths), len(rows), generator=generator).to(mask.device)
    hideable = (rows >= 0) & (rows < prefix_lengths[:, None] - PREFIX_KEPT_VISIBLE)
    hidden = hideable & (drawn < probability)
    noisy = rows >= prefix_lengths[:, None]
    return mask & ~(noisy[:, :, None] & hidden[:, None, :])


def expert_positions(
    next_position: Tensor, prefix_lengths: Tensor, action_length: int, noisy_offset: int
) -> Tensor:
    """Rotary positions of the expert's tokens.

    Args:
        next_position: (B,) the VLM's largest position id plus one.
        prefix_lengths: (B,) clean rows per sample.
        action_length: T.
        noisy_offset: Added to every noisy action, also when the prefix is empty.

    Returns:
        (B, 2 + T) long.
    """
    index = counted(CONTEXT_TOKENS + action_length, next_position.device)
    noisy = index[None, :] >= CONTEXT_TOKENS + prefix_lengths[:, None]
    return next_position[:, None] + index + noisy_offset * noisy
