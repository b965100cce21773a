"""The Euler loop drawn towards given rows: guidance at inference (arXiv 2506.07339).

At flow time t the rows x are heading for ``x1 = x + (1 - t) v(x, t)``. The velocity is corrected by
the gradient of the weighted squared distance between x1 and the target, taken through the network
(pseudo-inverse guidance, arXiv 2310.04432), with the weight ``(1 - t) / (t r2)``,
``r2 = (1 - t)^2 / (t^2 + (1 - t)^2)``, clipped at `MAX_WEIGHT`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xr0_sim.model.action_expert.flow import is_prefix, velocity_field
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.vlm.cache import VlmCache

MAX_WEIGHT = 5.0
"""Largest guidance weight, arXiv 2506.07339."""


def guidance_weight(time: float, largest: float = MAX_WEIGHT) -> float:
    """Factor on the gradient at a flow time in [0, 1)."""
    if time <= 0.0:
        return largest
    spread = (1 - time) ** 2 / (time**2 + (1 - time) ** 2)
    return min(largest, (1 - time) / (time * spread))


def guided_sample(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    prefix: Tensor,
    prefix_lengths: Tensor,
    noise: Tensor,
    steps: int,
    target: Tensor,
    weights: Tensor,
    action_mask: Tensor | None = None,
    largest: float = MAX_WEIGHT,
) -> Tensor:
    """`xr0_sim.model.action_expert.flow.euler_sample` with soft targets.

    Args:
        expert: The velocity field.
        cache: B frames.
        state: (B, 32) normalised.
        prefix: (B, T, 32) normalised; rows beyond the prefix length are ignored.
        prefix_lengths: (B,) long.
        noise: (B, T, 32).
        steps: Euler steps.
        target: (B, T, 32) normalised; what the chunk shall be near to.
        weights: (B, T) in [0, 1]; 0 leaves a row alone.
        action_mask: Mask of a robot type; the layout's when None.
        largest: Largest guidance weight.

    Returns:
        (B, T, 32) normalised; prefix rows come back bit for bit.
    """
    clean = is_prefix(prefix_lengths, noise.shape[1])
    field = velocity_field(expert, cache, state, prefix_lengths, noise, steps, action_mask, None)
    valid = expert.action_valid if action_mask is None else action_mask
    pull = weights[..., None] * valid
    x = torch.where(clean, prefix, noise)
    for step in range(steps):
        time = step / steps
        with torch.enable_grad():
            start = x.detach().requires_grad_(True)
            velocity = field(start, step)
            heading = start + (1 - time) * velocity
            error = (target - heading).detach() * pull
            (gradient,) = torch.autograd.grad(heading, start, error)
        # Entries that the robot has not stay zero, as in training.
        velocity = velocity.detach() + guidance_weight(time, largest) * gradient * valid
        x = torch.where(clean, prefix, x + velocity / steps)
    return x.detach()
