"""`sample_actions` without a prepared sampler: constants once a call, noise from elsewhere."""

from __future__ import annotations

import pytest
import torch

from xr0_sim.errors import ConfigError
from xr0_sim.model.action_expert.flow import euler_sample
from xr0_sim.model.action_expert.sampler import FlowSampler
from xr0_sim.model.initialization import initialize_expert
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.cache import VlmCache

LENGTH, ROWS = 6, 3


@pytest.fixture(scope="module")
def model():
    generator = torch.Generator().manual_seed(0)
    config = preset_config("nano", action_length=LENGTH, action_window=2, noisy_position_offset=10)
    found = XR0ForActionGeneration(config)
    initialize_expert(found.expert, generator)
    with torch.no_grad():
        for weights in found.expert.parameters():
            weights.add_(torch.randn(weights.shape, generator=generator) * 0.1)
    return found.eval()


@pytest.fixture(scope="module")
def inputs():
    """Cache with padding, state, prefix and its lengths."""
    generator = torch.Generator().manual_seed(1)
    stacked = torch.randn(ROWS, 2, 2, 2, 7, 16, generator=generator)
    mask = torch.ones(ROWS, 7, dtype=torch.bool)
    mask[1, 5:] = False
    cache = VlmCache.from_stacked(stacked, mask, torch.tensor([7, 5, 7]))
    state = torch.randn(ROWS, 32, generator=generator)
    prefix = torch.randn(ROWS, 3, 32, generator=generator)
    return cache, state, prefix, torch.tensor([0, 3, 1])


def seeded(seed=4):
    return torch.Generator().manual_seed(seed)


def ready(seed=4):
    return torch.randn(ROWS, LENGTH, 32, generator=seeded(seed))


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_ready_noise_stands_in_for_a_draw(model, inputs, prepared, temperature):
    sampler = FlowSampler(model.expert, 5) if prepared else None
    options = {"sampler": sampler, "temperature": temperature}
    drawn = model.sample_actions(*inputs, seeded(), **options)
    given = model.sample_actions(*inputs, noise=ready(), **options)
    assert torch.equal(drawn, given)
    assert not torch.equal(given, model.sample_actions(*inputs, noise=ready(5), **options))
    single = [seeded(7), seeded(8), seeded(9)]
    noise = torch.cat([torch.randn(1, LENGTH, 32, generator=seeded(s)) for s in (7, 8, 9)])
    listed = model.sample_actions(*inputs, single, **options)
    assert torch.equal(listed, model.sample_actions(*inputs, noise=noise, **options))


def test_noise_of_another_format_is_taken_as_its_numbers(model, inputs):
    for dtype in (torch.bfloat16, torch.float64):
        noise = ready().to(dtype)
        got = model.sample_actions(*inputs, noise=noise)
        assert got.dtype == torch.float32
        assert torch.equal(got, model.sample_actions(*inputs, noise=noise.float()))


def test_noise_that_does_not_fit_is_named(model, inputs):
    for noise in (ready()[:1], ready()[:, :-1], ready()[..., :14], ready().long()):
        with pytest.raises(ConfigError, match=r"noise: expected floating \(3, 6, 32\)"):
            model.sample_actions(*inputs, noise=noise)
    with pytest.raises(ConfigError, match="got both"):
        model.sample_actions(*inputs, seeded(), noise=ready())
    with pytest.raises(ConfigError, match="got neither"):
        model.sample_actions(*inputs)
    with pytest.raises(ConfigError, match="one per frame, 3, got 2"):
        model.sample_actions(*inputs, [seeded(1), seeded(2)])


def test_constants_are_worked_out_once_a_call(model, inputs):
    expert, calls = model.expert, {}
    names = ("state_projector", "t_embedder", "t_projector", "action_projector")
    hooks = [
        getattr(expert, name).register_forward_hook(
            lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1})
        )
        for name in names
    ]
    try:
        model.sample_actions(*inputs, noise=ready())
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == dict.fromkeys(names[:3], 1) | {"action_projector": 5}


@pytest.mark.parametrize("masked", [False, True])
def test_the_loop_equals_the_velocity_field_step_by_step(model, inputs, masked):
    """`ActionExpert.forward` works everything out anew and attends in the way of training."""
    cache, state, short, lengths = inputs
    prefix = torch.zeros(ROWS, LENGTH, 32)
    prefix[:, :3] = short
    mask = (ready(3) > 0).float() if masked else None
    valid = model.expert.action_valid if mask is None else mask
    noise = ready() * valid
    x = noise.clone()
    for row, length in enumerate(lengths):
        x[row, :length] = prefix[row, :length]
    for step in range(5):
        with torch.enable_grad():
            time = torch.full((ROWS,), step / 5)
            velocity = model.expert(x, time, state, cache, lengths, action_mask=mask).detach()
        x = x + velocity / 5
    found = euler_sample(model.expert, cache, state, prefix, lengths, noise, 5, mask)
    torch.testing.assert_close(found, x, atol=1e-5, rtol=1e-5)
    assert (found - noise).abs()[:, 3:].max() > 0.1
    # Entries that do not count stand still.
    assert (found == noise)[:, 3:][(valid.expand_as(noise) == 0)[:, 3:]].all()
