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

from xr0_sim.model.action_expert.loss_terms import (
    WEIGHT_LIMITS,
    FrequencyTerm,
    frequency_error,
    frequency_loss,
    frequency_term,
    normalised_weights,
    reweighting,
    squared_loss,
)
from xr0_sim.model.action_expert.masks import PREFIX_HIDE_PROBABILITY, hide_random_prefix
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.compute.kept import counted, kept
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.vlm.cache import VlmCache

BETA_SHAPE = 1.5
LARGEST_TIME = 0.999

__all__ = [
    "WEIGHT_LIMITS",
    "FlowLossConfig",
    "FlowTargets",
    "draw_times",
    "drawn_weights",
    "error_weights",
    "euler_sample",
    "flow_loss",
    "frequency_error",
    "interpolate",
    "is_prefix",
]


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

    def repeated(self, draws: int) -> FlowTargets:
        """The same targets with every frame ``draws`` times in a row."""
        return FlowTargets(
            *(getattr(self, f.name).repeat_interleave(draws, 0) for f in fields(self))
        )

    def counted(self) -> Tensor:
        """(F, T, 32) float, 1 where the loss counts: valid and behind the prefix."""
        return self.valid * ~is_prefix(self.prefix_lengths, self.actions.shape[1])


@dataclass(frozen=True)
class FlowLossConfig:
    """Switches of the flow loss.

    Attributes:
        draws: Noise/time draws R per frame; 4 in the report.
        hide_prefix: Random prefix mask of the post-training code.
        hide_probability: Chance of a prefix row to be hidden by that mask; 0.5 there.
        reweight: One of `REWEIGHTINGS`, the rule that weights entries by the L1 error of a sampled
            chunk; True stands for ``published``, False for ``none``.
        frequency: The frequency term: a name of `FREQUENCY_TERMS`, a `FrequencyTerm`, or a number,
            which is the coefficient of the unitary form.
        sampling_steps: Euler steps of that sampled chunk.
    """

    draws: int = 4
    hide_prefix: bool = False
    reweight: str | bool = "none"
    frequency: FrequencyTerm | str | float = "none"
    sampling_steps: int = 5
    hide_probability: float = PREFIX_HIDE_PROBABILITY

    def __post_init__(self) -> None:
        """Resolves names; an unknown one lists what there is."""
        object.__setattr__(self, "reweight", reweighting(self.reweight))
        object.__setattr__(self, "frequency", frequency_term(self.frequency))

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
    return (counted(length, prefix_lengths.device) < prefix_lengths[:, None])[..., None]


@kept
def flow_times(steps: int, device: torch.device) -> Tensor:
    """(steps,) times at which the Euler loop asks for a velocity, from 0."""
    return torch.arange(steps, device=device) / steps


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
    own_mask: Tensor | None = None,
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
        own_mask: Overrides the head's mask (`ActionExpert.forward`).

    Returns:
        (B, T, 32) normalised; prefix rows come back bit for bit.
    """
    clean = is_prefix(prefix_lengths, noise.shape[1])
    field = velocity_field(
        expert, cache, state, prefix_lengths, noise, steps, action_mask, own_mask
    )
    x = torch.where(clean, prefix, noise)
    for step in range(steps):
        x = torch.where(clean, prefix, x + field(x, step) / steps)
    return x


def velocity_field(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    prefix_lengths: Tensor,
    noise: Tensor,
    steps: int,
    action_mask: Tensor | None,
    own_mask: Tensor | None,
) -> Callable[[Tensor, int], Tensor]:
    """Velocities by rows and step; what stays the same in all steps is worked out here."""
    if isinstance(expert, ActionExpert):
        conditions = expert.prepare(
            state, cache, prefix_lengths, noise.shape[1], own_mask, action_mask
        )
        modulation = expert.modulation(flow_times(steps, noise.device))
        return lambda x, step: expert.velocity(x, modulation[step : step + 1], conditions)
    # Any other callable of the same arguments.
    masks = {"action_mask": action_mask, "own_mask": own_mask}
    masks = {name: mask for name, mask in masks.items() if mask is not None}
    times = flow_times(steps, noise.device)
    return lambda x, step: expert(
        x, times[step].expand(len(x)), state, cache, prefix_lengths, **masks
    )


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
        (F,) loss per frame, each averaged over its valid entries. Under ``published`` weights the
        mean of the F values is the mean over all valid entries of the batch.
    """
    frames, length, width = targets.actions.shape
    rows, device = frames * config.draws, targets.actions.device
    time = draw_times(rows, generator).to(device)
    noise = torch.randn(rows, length, width, generator=generator).to(device) * expert.action_valid
    repeated = targets.repeated(config.draws)
    fed = torch.where(
        is_prefix(repeated.prefix_lengths, length),
        repeated.prefix,
        interpolate(noise, repeated.actions, time),
    )
    own_mask = None
    if config.hide_prefix:
        own_mask = hide_random_prefix(
            expert.own_mask(), repeated.prefix_lengths, generator, config.hide_probability
        )
    field = expert if velocity_field is None else velocity_field
    velocity = field(fed, time, state, cache, repeated.prefix_lengths, own_mask)

    shape = (frames, config.draws, length, width)
    counted = targets.counted()
    weight = torch.ones_like(counted)[:, None]
    if config.reweight == "published":
        weight = drawn_weights(expert, cache, state, repeated, noise, config, own_mask).view(shape)
    elif config.reweight == "per_frame":
        weight = error_weights(expert, cache, state, targets, config, generator)[:, None]
    error = (velocity - (repeated.actions - noise)).view(shape)
    loss = squared_loss(error, weight, counted, by_weights=config.reweight != "published")
    term = frequency_term(config.frequency)
    if term.coefficient:
        spectrum = frequency_loss(error, weight, counted, targets.prefix_lengths, term)
        loss = loss + term.coefficient * spectrum
    return loss


def drawn_weights(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    repeated: FlowTargets,
    noise: Tensor,
    config: FlowLossConfig,
    own_mask: Tensor | None = None,
) -> Tensor:
    """Published weights: from the L1 error of the chunk that every draw's own noise becomes.

    Args:
        expert: The head.
        cache: F frames.
        state: (F, 32) normalised.
        repeated: Targets of F * R rows.
        noise: (F * R, T, 32) of the draws.
        config: Euler steps.
        own_mask: The mask that the loss's forward pass used.

    Returns:
        (F * R, T, 32); 1 for rows without a prefix, mean 1 over the counted entries of the others
        before they are clamped.
    """
    given = (repeated.prefix_lengths > 0)[:, None, None]
    if not bool(given.any()):
        return torch.ones_like(repeated.actions)
    sampled = euler_sample(
        expert,
        cache.detach(),
        state,
        repeated.prefix,
        repeated.prefix_lengths,
        noise,
        config.sampling_steps,
        own_mask=own_mask,
    )
    error = (sampled - repeated.actions).abs()
    return torch.where(given, normalised_weights(error, repeated.counted() * given), 1.0)


def error_weights(
    expert: ActionExpert,
    cache: VlmCache,
    state: Tensor,
    targets: FlowTargets,
    config: FlowLossConfig,
    generator: torch.Generator,
) -> Tensor:
    """(F, T, 32) weights of the ``per_frame`` form, from the L1 error of one sampled chunk a frame.

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
    counted = targets.counted()
    return normalised_weights((sampled - targets.actions).abs() * counted, counted)
