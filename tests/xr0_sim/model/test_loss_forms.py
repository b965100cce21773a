"""Weights and frequency term of the flow loss, in the published and in our own form, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.flow import (
    FlowLossConfig,
    FlowTargets,
    drawn_weights,
    euler_sample,
    flow_loss,
)
from xr0_sim.model.action_expert.loss_terms import FREQUENCY_TERMS, FrequencyTerm
from xr0_sim.model.action_expert.masks import hide_random_prefix
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.initialization import initialize_expert
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.cache import VlmCache

STEPS = 5
FRAMES, DRAWS, LENGTH, WIDTH = 3, 2, 6, 32


class OffBy(nn.Module):
    """The right velocity plus a fixed error (F, T, 32); its chunk is off by error / steps."""

    def __init__(self, target, error):
        super().__init__()
        self.target, self.error = target, error
        self.action_valid = torch.ones(target.shape[-1])

    def own_mask(self):
        size = 2 + self.target.shape[1]
        return torch.ones(size, size, dtype=torch.bool)

    def forward(self, x, time, state, cache, prefix_lengths, own_mask=None):
        repeat = len(x) // len(self.target)
        target, error = (v.repeat_interleave(repeat, 0) for v in (self.target, self.error))
        return (target - x) / (1 - time.view(-1, 1, 1)) + error


def setting(lengths=(2, 2, 0), seed=0):
    """Errors of growing size frame by frame, a ragged validity; float32 tensors."""
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(FRAMES, LENGTH, WIDTH))
    error = rng.normal(size=target.shape) * np.array([0.2, 1.0, 3.0])[:, None, None]
    valid = np.ones_like(target)
    valid[:, :, 26:] = 0.0
    valid[1, 4:] = 0.0
    counted = valid.copy()
    for row, length in enumerate(lengths):
        counted[row, :length] = 0.0
    cache = VlmCache((), torch.ones(FRAMES, 1, dtype=torch.bool), torch.zeros(FRAMES).long())
    tensors = [torch.from_numpy(v).float() for v in (target, valid, error)]
    targets = FlowTargets(tensors[0], tensors[1], tensors[0], torch.tensor(lengths))
    return OffBy(tensors[0], tensors[2]), cache, targets, error, counted


def loss_of(config, lengths=(2, 2, 0)):
    field, cache, targets, error, counted = setting(lengths)
    generator = torch.Generator().manual_seed(1)
    state = torch.zeros(FRAMES, WIDTH)
    return flow_loss(field, cache, state, targets, config, generator).numpy(), error, counted


def published_weights(error, counted, lengths):
    """Each entry by the L1 error of the chunk, mean 1 over those with a prefix, then clamped."""
    weight = np.ones_like(error)
    given = np.array(lengths) > 0
    if given.any():
        l1 = np.abs(error[given]) / STEPS
        weight[given] = np.clip(l1 / l1[counted[given] > 0].mean(), 0.5, 5.0)
    return weight


@pytest.mark.parametrize("lengths", [(2, 2, 2), (2, 2, 0), (1, 3, 0), (0, 0, 0)])
def test_published_weights_average_over_the_entries_of_the_batch(lengths):
    loss, error, counted = loss_of(FlowLossConfig(DRAWS, reweight=True), lengths)
    weight = published_weights(error, counted, lengths)
    want = 0.5 * np.mean((error**2 * weight)[counted > 0])
    np.testing.assert_allclose(loss.mean(), want, rtol=2e-3)
    # Frame by frame as well: its entries over the mean number of entries of a frame.
    frames = 0.5 * (error**2 * weight * counted).sum((1, 2)) / (counted.sum() / FRAMES)
    np.testing.assert_allclose(loss, frames, rtol=2e-3)


def test_published_weights_weigh_between_frames_and_ours_do_not():
    lengths = (2, 2, 2)
    published, error, counted = loss_of(FlowLossConfig(DRAWS, reweight="published"), lengths)
    ours, _, _ = loss_of(FlowLossConfig(DRAWS, reweight="per_frame"), lengths)
    l1 = np.abs(error) / STEPS
    weight = np.clip(l1 / l1[counted > 0].mean(), 0.5, 5.0) * counted
    want = 0.5 * (error**2 * weight).sum((1, 2)) / weight.sum((1, 2))
    np.testing.assert_allclose(ours, want, rtol=2e-3)
    share = {name: loss[0] / loss.sum() for name, loss in (("p", published), ("o", ours))}
    assert share["p"] < 0.6 * share["o"]


def test_without_a_prefix_the_published_form_weighs_nothing():
    published = loss_of(FlowLossConfig(DRAWS, reweight="published"), (0, 0, 0))[0]
    plain, _, counted = loss_of(FlowLossConfig(DRAWS), (0, 0, 0))
    entries = counted.sum((1, 2))
    np.testing.assert_allclose(published, plain * entries / entries.mean(), rtol=1e-5)
    weighted = loss_of(FlowLossConfig(DRAWS, reweight="per_frame"), (0, 0, 0))[0]
    assert (weighted > 1.2 * plain).any()  # ours weighs frames without a prefix, too


@pytest.mark.parametrize("lengths", [(2, 2, 2), (1, 3, 0)])
@pytest.mark.parametrize("reweight", ["none", "published"])
def test_the_published_frequency_term(lengths, reweight):
    """Unscaled transform over the rows behind the prefix, coefficient 1, times the mean weight."""
    config = FlowLossConfig(DRAWS, reweight=reweight, frequency="published")
    loss, error, counted = loss_of(config, lengths)
    without = loss_of(FlowLossConfig(DRAWS, reweight=reweight), lengths)[0]
    weight = np.ones_like(error)
    if reweight == "published":
        weight = published_weights(error, counted, lengths)
    want = []
    for frame, length in enumerate(lengths):
        rows = (error * counted)[frame, length:]
        magnitudes = []
        for dimension in range(26):
            magnitudes.append(np.abs(np.fft.rfft(rows[:, dimension])).mean())
        want.append(np.mean(magnitudes) * weight[frame][counted[frame] > 0].mean())
    np.testing.assert_allclose(loss - without, want, rtol=5e-3)


def test_our_frequency_term_is_a_named_variant():
    none = (0, 0, 0)
    plain = loss_of(FlowLossConfig(DRAWS), none)[0]
    terms = {
        name: loss_of(FlowLossConfig(DRAWS, frequency=name), none)[0] - plain
        for name in ("published", "unitary")
    }
    np.testing.assert_allclose(terms["published"], 10 * LENGTH**0.5 * terms["unitary"], rtol=1e-3)
    number = loss_of(FlowLossConfig(DRAWS, frequency=0.1), none)[0] - plain
    np.testing.assert_array_equal(number, terms["unitary"])
    assert FREQUENCY_TERMS["published"] == FrequencyTerm(1.0, unitary=False)
    assert FlowLossConfig().frequency == FrequencyTerm(0.0)
    assert FlowLossConfig(reweight=True) == FlowLossConfig(reweight="published")
    assert FlowLossConfig(reweight=False) == FlowLossConfig()


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"reweight": "publised"}, "did you mean 'published'"),
        ({"frequency": "unitry"}, "did you mean 'unitary'"),
        ({"frequency": -1.0}, "expected a number >= 0"),
        ({"frequency": float("nan")}, "expected a number >= 0"),
        ({"reweight": 3}, "reweighting"),
    ],
)
def test_a_form_that_there_is_not(wrong, expected):
    with pytest.raises(ConfigError, match=expected):
        FlowLossConfig(**wrong)


def test_every_draw_is_weighted_by_what_its_own_noise_becomes_under_its_own_mask():
    generator = torch.Generator().manual_seed(0)
    expert = ActionExpert(preset_config("nano", action_length=LENGTH))
    initialize_expert(expert, generator)
    with torch.no_grad():
        for weights in expert.parameters():
            weights.add_(torch.randn(weights.shape, generator=generator) * 0.1)
    stacked = torch.randn(FRAMES, 2, 2, 2, 5, 16, generator=generator)
    known = torch.ones(FRAMES, 5, dtype=torch.bool)
    cache = VlmCache.from_stacked(stacked, known, torch.full((FRAMES,), 5))
    state = torch.randn(FRAMES, WIDTH, generator=generator)
    actions = torch.randn(FRAMES, LENGTH, WIDTH, generator=generator) * expert.action_valid
    valid = expert.action_valid.expand_as(actions).clone()
    targets = FlowTargets(actions, valid, actions, torch.tensor([4, 0, 3]))
    repeated = targets.repeated(DRAWS)
    noise = torch.randn(repeated.actions.shape, generator=generator) * expert.action_valid
    mask = hide_random_prefix(expert.own_mask(), repeated.prefix_lengths, generator, 0.7)
    config = FlowLossConfig(DRAWS, reweight="published")
    found = drawn_weights(expert, cache, state, repeated, noise, config, mask).numpy()

    error, counts = np.zeros(found.shape), np.zeros(found.shape, bool)
    for row in range(FRAMES * DRAWS):
        frame, length = row // DRAWS, int(repeated.prefix_lengths[row])
        chunk = euler_sample(
            expert, cache.select(torch.tensor([frame])), state[frame : frame + 1],
            actions[frame : frame + 1], repeated.prefix_lengths[row : row + 1],
            noise[row : row + 1], STEPS, own_mask=mask[row : row + 1],
        )  # fmt: skip
        error[row] = (chunk[0] - actions[frame]).abs().numpy()
        counts[row, length:] = length > 0
        counts[row, :, expert.action_valid.numpy() == 0] = False
    want = np.clip(error / error[counts].mean(), 0.5, 5.0)
    np.testing.assert_allclose(found[counts], want[counts], rtol=1e-3)
    assert (found[[2, 3]] == 1.0).all()
    assert np.abs(found[0] - found[1])[4:, :3].max() > 0.05
