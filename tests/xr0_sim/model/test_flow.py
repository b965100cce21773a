"""Rectified flow in closed form."""

from __future__ import annotations

import torch
from torch import nn

from xr0_sim.model.action_expert.flow import (
    WEIGHT_LIMITS,
    FlowLossConfig,
    FlowTargets,
    draw_times,
    error_weights,
    euler_sample,
    flow_loss,
    frequency_error,
    interpolate,
)
from xr0_sim.model.vlm.cache import VlmCache


class Oracle(nn.Module):
    """Knows the target: its velocity (a - x) / (1 - t) makes every path end at the action."""

    def __init__(self, target, error=0.0):
        super().__init__()
        self.target, self.error = target, error
        self.action_valid = torch.ones(target.shape[-1])

    def own_mask(self):
        return torch.ones(2 + self.target.shape[1], 2 + self.target.shape[1], dtype=torch.bool)

    def forward(self, x, time, state, cache, prefix_lengths, own_mask=None):
        repeat = len(x) // len(self.target)
        target = self.target.repeat_interleave(repeat, 0)
        return (target - x) / (1 - time.view(-1, 1, 1)) + self.error


def setting(frames=3, length=5, width=32):
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(frames, length, width, generator=generator)
    cache = VlmCache((), torch.ones(frames, 1, dtype=torch.bool), torch.zeros(frames).long())
    lengths = torch.tensor([0, 2, 4])
    return target, cache, torch.zeros(frames, width), lengths, generator


def test_times_follow_the_beta_law():
    times = draw_times(200_000, torch.Generator().manual_seed(0))
    assert times.min() >= 0 and times.max() <= 0.999
    # u ~ Beta(1.5, 1): mean 0.6, variance 1.5 / (2.5^2 * 3.5)
    assert abs(times.mean() / 0.999 - 0.4) < 0.005
    assert abs(times.var() / 0.999**2 - 1.5 / (2.5**2 * 3.5)) < 0.002


def test_interpolation_ends():
    target, _, _, _, generator = setting()
    noise = torch.randn(target.shape, generator=generator)
    assert torch.equal(interpolate(noise, target, torch.zeros(3)), noise)
    torch.testing.assert_close(interpolate(noise, target, torch.ones(3)), target)


def test_euler_reaches_the_target_of_a_straight_field_and_keeps_the_prefix():
    target, cache, state, lengths, generator = setting()
    noise = torch.randn(target.shape, generator=generator)
    prefix = torch.randn(target.shape, generator=generator)
    sampled = euler_sample(Oracle(target), cache, state, prefix, lengths, noise, steps=5)
    for row, d in enumerate(lengths):
        assert torch.equal(sampled[row, :d], prefix[row, :d])
        torch.testing.assert_close(sampled[row, d:], target[row, d:], atol=1e-5, rtol=1e-5)


def test_loss_is_zero_for_the_oracle_and_half_the_square_for_a_constant_error():
    target, cache, state, lengths, _ = setting()
    valid = torch.ones_like(target)
    valid[0, 3:] = 0.0
    targets = FlowTargets(target, valid, target, lengths)
    for hide in (False, True):
        config = FlowLossConfig(draws=4, hide_prefix=hide)
        generator = torch.Generator().manual_seed(1)
        exact = flow_loss(Oracle(target), cache, state, targets, config, generator)
        assert exact.shape == (3,) and exact.abs().max() < 1e-4
        generator = torch.Generator().manual_seed(1)
        off = flow_loss(Oracle(target, 0.2), cache, state, targets, config, generator)
        torch.testing.assert_close(off, torch.full((3,), 0.5 * 0.2**2), atol=1e-4, rtol=1e-3)


def test_masked_rows_and_prefix_rows_carry_no_loss():
    target, cache, state, lengths, _ = setting()
    valid = torch.ones_like(target)
    valid[:, 3:] = 0.0
    prefix = target + 5.0
    targets = FlowTargets(target, valid, prefix, lengths)
    oracle = Oracle(target)
    oracle.error = torch.zeros(5, 32)
    oracle.error[4] = 100.0
    loss = flow_loss(
        oracle, cache, state, targets, FlowLossConfig(2), torch.Generator().manual_seed(0)
    )
    assert loss.max() < 1e-4


def test_error_weights_are_clamped_and_follow_the_error():
    target, cache, state, _, _ = setting()
    none = torch.zeros(3, dtype=torch.long)
    targets = FlowTargets(target, torch.ones_like(target), target, none)
    wrong = target.clone()
    wrong[:, 0] += 10.0
    weights = error_weights(
        Oracle(wrong), cache, state, targets, FlowLossConfig(), torch.Generator().manual_seed(0)
    )
    assert weights.min() >= WEIGHT_LIMITS[0] and weights.max() <= WEIGHT_LIMITS[1]
    assert (weights[:, 0] == weights.max()).all() and (weights[:, 1:] == weights.min()).all()


def test_the_frequency_term_is_the_spectrum_of_the_error_that_counts():
    target, cache, state, _, _ = setting(length=6)
    none = torch.zeros(3, dtype=torch.long)
    valid = torch.ones_like(target)
    valid[:, :, 16:] = 0.0
    valid[1, 4:] = 0.0
    # Constant error: c sqrt(6) at frequency 0, nothing elsewhere; alternating: all at the last.
    for sign in (torch.ones(6, 1), torch.tensor([1.0, -1] * 3)[:, None]):
        error = (0.2 * sign).expand(3, 4, 6, 32)
        found = frequency_error(error, valid)
        torch.testing.assert_close(found[[0, 2]], torch.full((2,), 0.2 * 6**0.5 / 4))
        spectrum = torch.fft.rfft(0.2 * sign[:4, 0], n=6, norm="ortho").abs()
        torch.testing.assert_close(found[1], spectrum.mean())
    off = Oracle(target, 0.2)
    targets = FlowTargets(target, valid, target, none)
    losses = [
        flow_loss(
            off,
            cache,
            state,
            targets,
            FlowLossConfig(draws=4, frequency=factor),
            torch.Generator().manual_seed(1),
        )
        for factor in (0.0, 0.5)
    ]
    constant = frequency_error(torch.full((3, 4, 6, 32), 0.2), valid)
    torch.testing.assert_close(losses[1] - losses[0], 0.5 * constant, atol=1e-4, rtol=1e-3)


def test_rows_of_the_prefix_have_no_spectrum():
    target, cache, state, _, _ = setting()
    oracle = Oracle(target)
    oracle.error = torch.zeros(5, 32)
    oracle.error[:2] = 100.0
    targets = FlowTargets(target, torch.ones_like(target), target, torch.tensor([2, 2, 4]))
    config = FlowLossConfig(2, frequency=1.0)
    loss = flow_loss(oracle, cache, state, targets, config, torch.Generator().manual_seed(0))
    assert loss.max() < 1e-3


def test_expert_overfits_four_frames_and_samples_them():
    from xr0_sim.model.action_expert.network import ActionExpert
    from xr0_sim.model.initialization import initialize_expert
    from xr0_sim.model.spec.presets import preset_config

    generator = torch.Generator().manual_seed(0)
    expert = ActionExpert(preset_config("nano", action_length=5))
    initialize_expert(expert, generator)
    target = torch.randn(4, 5, 32, generator=generator) * expert.action_valid
    stacked = torch.randn(4, 2, 2, 2, 6, 16, generator=generator)
    cache = VlmCache.from_stacked(stacked, torch.ones(4, 6, dtype=torch.bool), torch.full((4,), 6))
    state, none = torch.zeros(4, 32), torch.zeros(4, dtype=torch.long)
    valid = expert.action_valid.expand_as(target)
    targets = FlowTargets(target, valid, target, none)
    optimizer = torch.optim.Adam(expert.parameters())
    losses = []
    steps = 1000
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 6e-3 * (1 - step / steps)
        loss = flow_loss(expert, cache, state, targets, FlowLossConfig(8), generator).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-20:]) < 0.15 * sum(losses[:20])
    noise = torch.randn(target.shape, generator=generator) * expert.action_valid
    sampled = euler_sample(expert, cache, state, target, none, noise, 5)
    assert (sampled - target).abs().mean() < 0.25 * target.abs().mean()
