"""Rectified flow over action chunks: time draws, interpolation, Euler sampling and the loss.

Flow time 0 is noise, 1 is the action; x_t = (1 - t) * noise + t * action, velocity target
action - noise. Training times are t = 0.999 (1 - u) with u ~ Beta(1.5, 1), so that noisy times are
drawn more often than nearly clean ones. Source: XR-0 report.

Random numbers are drawn on the processor and moved to where the expert lies, so that a seed means
the same noise on every device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from xr0_sim.model.action_expert.masks import PREFIX_HIDE_PROBABILITY, hide_random_prefix
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.vlm.cache import VlmCache

BETA_SHAPE = 1.5
LARGEST_TIME = 0.999
WEIGHT_LIMITS = (0.5, 5.0)


@dataclass(frozen=True)
class FlowTargets:
    """What the expert should produce for F frames.

    Attributes:
        actions: (F, T, 32) normalised relative actions.
        valid: (F, T, 32) float, 1 where the loss counts (dimension carries meaning, row is inside
            the recorded chunk, row is not the policy's own commitment).
        prefix: (F, T, 32) rows to feed where they are clean; differs from ``actions`` when the
            prefix is corrupted.
        prefix_lengths: (F,) long, clean rows given to the network.
    """

    actions: Tensor
    valid: Tensor
    prefix: Tensor
    prefix_lengths: Tensor

    def to(self, device: torch.device) -> FlowTargets:
        """The same targets on a device."""
        return FlowTargets(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass(frozen=True)
class FlowLossConfig:
    """Switches of the flow loss.

    Attributes:
        draws: Noise/time draws R per frame; 4 in the report.
        hide_prefix: Random prefix mask of the post-training code.
        hide_probability: Chance of a prefix row to be hidden by that mask; 0.5 there.
        reweight: Weight rows and dimensions by the L1 error of a sampled chunk (report).
        frequency: Factor on the frequency term of the post-training code; 0 leaves it out.
        sampling_steps: Euler steps of that sampled chunk.
    """

    draws: int = 4
    hide_prefix: bool = False
    reweight: bool = False
    frequency: float = 0.0
    sampling_steps: int = 5
    hide_probability: float = PREFIX_HIDE_PROBABILITY

    @classmethod
    def of(cls, config: XR0Config, **overrides: Any) -> FlowLossConfig:
        """The switches of the loss that a model configuration decides; the rest as given."""
        probability = config.prefix_hide_probability
        fields: dict[str, Any] = {
            "hide_prefix": probability > 0.0,
            "hide_probability": probability,
            "sampling_steps": config.num_euler_steps,
        }
        return cls(**(fields | overrides))


def draw_times(count: int, generator: torch.Generator) -> Tensor:
    """(count,) training times in [0, 0.999].

    u ~ Beta(a, 1) has the distribution function u^a, so u is a uniform draw to the power 1/a.
    """
    uniform = torch.rand(count, generator=generator)
    return LARGEST_TIME * (1.0 - uniform ** (1.0 / BETA_SHAPE))


def interpolate(noise: Tensor, actions: Tensor, time: Tensor) -> Tensor:
    """Straight path between noise and action at times (B,)."""
    time = time.view(-1, *[1] * (actions.ndim - 1))
    return (1.0 - time) * noise + time * actions


def is_prefix(prefix_lengths: Tensor, length: int) -> Tensor:
    """(B, T, 1) True on the first ``prefix_lengths`` rows."""
    index = torch.arange(length, device=prefix_lengths.device)
    return (index < prefix_lengths[:, None])[..., None]


@torch.no_grad()
def euler_sample(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    prefix: Tensor,
    prefix_lengths: Tensor,
    noise: Tensor,
    steps: int,
    action_mask: Tensor | None = None,
) -> Tensor:
    """Integrates the velocity field from noise at t = 0 to actions at t = 1.

    Args:
        expert: The velocity field.
        cache: B frames.
        state: (B, 32) normalised.
        prefix: (B, T, 32) normalised; rows beyond the prefix length are ignored.
        prefix_lengths: (B,) long.
        noise: (B, T, 32).
        steps: Euler steps.
        action_mask: Mask of a robot type (`ActionExpert.forward`); the layout's when None.

    Returns:
        (B, T, 32) normalised; prefix rows come back bit for bit.
    """
    clean = is_prefix(prefix_lengths, noise.shape[1])
    masked = {} if action_mask is None else {"action_mask": action_mask}
    x = torch.where(clean, prefix, noise)
    for step in range(steps):
        time = torch.full((len(x),), step / steps, device=x.device)
        velocity = expert(x, time, state, cache, prefix_lengths, **masked)
        x = torch.where(clean, prefix, x + velocity / steps)
    return x


def flow_loss(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    targets: FlowTargets,
    config: FlowLossConfig,
    generator: torch.Generator,
    velocity_field: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Half the mean squared velocity error over valid entries, plus the frequency term.

    Each frame's cache serves ``draws`` independent noise and time draws. Prefix rows are fed clean
    and carry no loss. ``velocity_field`` stands in for the expert where gradients are taken, e.g.
    its compiled form.

    Returns:
        (F,) loss per frame, each averaged over its valid entries.
    """
    frames, length, width = targets.actions.shape
    rows, device = frames * config.draws, targets.actions.device
    time = draw_times(rows, generator).to(device)
    noise = torch.randn(rows, length, width, generator=generator).to(device) * expert.action_valid
    actions = targets.actions.repeat_interleave(config.draws, 0)
    prefix_lengths = targets.prefix_lengths.repeat_interleave(config.draws)
    clean = is_prefix(prefix_lengths, length)
    fed = torch.where(
        clean,
        targets.prefix.repeat_interleave(config.draws, 0),
        interpolate(noise, actions, time),
    )
    own_mask = None
    if config.hide_prefix:
        own_mask = hide_random_prefix(
            expert.own_mask(), prefix_lengths, generator, config.hide_probability
        )
    field = expert if velocity_field is None else velocity_field
    velocity = field(fed, time, state, cache, prefix_lengths, own_mask)

    counted = targets.valid * ~is_prefix(targets.prefix_lengths, length)
    weight = counted
    if config.reweight:
        weight = counted * error_weights(expert, cache, state, targets, config, generator)
    error = (velocity - (actions - noise)).view(frames, config.draws, length, width)
    total = weight.sum((1, 2)).clamp_min(1.0)
    loss = 0.5 * (error.square().mean(1) * weight).sum((1, 2)) / total
    if config.frequency:
        loss = loss + config.frequency * frequency_error(error, counted)
    return loss


def frequency_error(error: Tensor, counted: Tensor) -> Tensor:
    """Mean magnitude of an error's spectrum along the chunk, |rfft(pred) - rfft(target)|.

    The transform is unitary (``norm="ortho"``), so its scale does not depend on the chunk's length;
    that choice is ours.

    Args:
        error: (F, R, T, 32) predicted minus wanted.
        counted: (F, T, 32) 1 where an entry counts; the others are taken as without error.

    Returns:
        (F,) mean over draws, frequencies and dimensions that count somewhere.
    """
    spectrum = torch.fft.rfft((error * counted[:, None]).float(), dim=2, norm="ortho").abs()
    dimensions = counted.amax(1).sum(-1).clamp_min(1.0)
    return spectrum.mean((1, 2)).sum(-1) / dimensions


def error_weights(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    targets: FlowTargets,
    config: FlowLossConfig,
    generator: torch.Generator,
) -> Tensor:
    """(F, T, 32) weights from the L1 error of one sampled chunk per frame.

    Normalised to mean 1 over the entries that carry loss, then clamped (report). One sample per
    frame, shared by its draws, keeps the extra cost at five forward passes of a quarter batch.
    """
    noise = torch.randn(targets.actions.shape, generator=generator).to(state.device)
    noise = noise * expert.action_valid
    sampled = euler_sample(
        expert,
        cache.detach(),
        state,
        targets.prefix,
        targets.prefix_lengths,
        noise,
        config.sampling_steps,
    )
    counted = targets.valid * ~is_prefix(targets.prefix_lengths, targets.actions.shape[1])
    error = (sampled - targets.actions).abs() * counted
    mean = error.sum() / counted.sum().clamp_min(1.0)
    return (error / mean.clamp_min(1e-8)).clamp(*WEIGHT_LIMITS)
