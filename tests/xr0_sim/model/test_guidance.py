"""Guidance at inference: against a flow whose answer is known, and through the network."""

from __future__ import annotations

import pytest
import torch

from xr0_sim.model.action_expert.flow import euler_sample
from xr0_sim.model.action_expert.guidance import MAX_WEIGHT, guidance_weight, guided_sample
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.cache import VlmCache

STEPS, LENGTH = 5, 12


class Straight:
    """Velocity that leads from anywhere to ``gain * x0`` in a straight line: known in closed form.

    ``v(x) = (gain - 1) x / (1 + (gain - 1) t)`` carries x0 to ``x0 (1 + (gain - 1) t)``.
    """

    gain = 1.5

    def __init__(self):
        self.action_valid = torch.ones(LENGTH, 32)

    def __call__(self, x, times, state, cache, lengths):
        slope = self.gain - 1
        return slope * x / (1 + slope * times.view(-1, 1, 1))


def sample(target, weights, noise, largest=MAX_WEIGHT, lengths=None):
    rows = len(noise)
    lengths = torch.zeros(rows, dtype=torch.long) if lengths is None else lengths
    prefix = torch.full_like(noise, 7.0)
    return guided_sample(
        Straight(), None, None, prefix, lengths, noise, STEPS, target, weights, None, largest
    )


def by_hand(noise, target, weights, largest):
    """The update written out: heading and its derivative are multiples of x here."""
    x, slope = noise.clone(), Straight.gain - 1
    for step in range(STEPS):
        time = step / STEPS
        factor = slope / (1 + slope * time)
        ahead = 1 + (1 - time) * factor
        pull = guidance_weight(time, largest) * ahead * weights[..., None] * (target - ahead * x)
        x = x + (factor * x + pull) / STEPS
    return x


def test_the_update_is_the_published_one():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, LENGTH, 32, generator=generator)
    target = torch.randn(2, LENGTH, 32, generator=generator)
    weights = torch.linspace(1, 0, LENGTH).expand(2, -1)
    found = sample(target, weights, noise)
    torch.testing.assert_close(found, by_hand(noise, target, weights, MAX_WEIGHT))
    gap = (found - target).abs().mean((0, 2))
    plain = (sample(target, weights * 0, noise) - target).abs().mean((0, 2))
    assert gap[0] < 0.1 * plain[0]
    torch.testing.assert_close(gap[-1], plain[-1])


def test_weights_of_the_paper():
    assert guidance_weight(0.0) == MAX_WEIGHT
    # t = 1/2: r2 = 1/2, so the weight is 2.
    assert guidance_weight(0.5) == pytest.approx(2.0)
    assert guidance_weight(0.2) == pytest.approx(0.8 / (0.2 * 0.64 / 0.68))
    assert guidance_weight(0.99) == MAX_WEIGHT


def test_a_hard_prefix_stays_bit_for_bit():
    noise = torch.randn(2, LENGTH, 32, generator=torch.Generator().manual_seed(1))
    lengths = torch.tensor([3, 0])
    found = sample(torch.zeros_like(noise), torch.ones(2, LENGTH), noise, lengths=lengths)
    assert (found[0, :3] == 7.0).all()
    assert not (found[1] == 7.0).any()


def test_through_the_network_it_pulls_and_leaves_unused_entries_alone():
    torch.manual_seed(0)
    config = preset_config("nano", action_length=LENGTH)
    model = XR0ForActionGeneration(config).eval()
    expert = model.expert
    layers, heads = config.dit_config.num_hidden_layers, config.dit_config.num_key_value_heads
    width = config.dit_config.head_dim
    generator = torch.Generator().manual_seed(2)
    entries = torch.randn(layers, 2, 1, heads, 7, width, generator=generator)
    cache = VlmCache(
        tuple((pair[0], pair[1]) for pair in entries),
        torch.ones(1, 7, dtype=torch.bool),
        torch.tensor([7]),
    )
    state = torch.randn(1, 32, generator=generator)
    noise = torch.randn(1, LENGTH, 32, generator=generator) * expert.action_valid
    none = torch.zeros(1, dtype=torch.long)
    plain = euler_sample(expert, cache, state, noise, none, noise, STEPS)
    target = plain + 0.3 * expert.action_valid
    weights = torch.ones(1, LENGTH)
    same = guided_sample(expert, cache, state, noise, none, noise, STEPS, target, weights * 0)
    torch.testing.assert_close(same, plain)
    drawn = guided_sample(
        expert, cache, state, noise, none, noise, STEPS, target, weights, None, 0.5
    )
    assert (drawn - target).norm() < 0.8 * (plain - target).norm()
    assert (drawn[0][expert.action_valid.expand(LENGTH, -1) == 0] == 0).all()
