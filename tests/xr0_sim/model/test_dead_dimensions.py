"""Dimensions without meaning get no velocity, whatever the network makes of them."""

from __future__ import annotations

import torch

from xr0_sim.model.action_expert.flow import FlowLossConfig
from xr0_sim.model.action_expert.network import ActionExpert
from xr0_sim.model.initialization import initialize_expert
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.cache import VlmCache

WITHOUT_MEANING = [13, 27, 28, 29, 30, 31]


def test_velocity_is_zero_exactly_where_the_layout_carries_nothing():
    generator = torch.Generator().manual_seed(0)
    expert = ActionExpert(preset_config("nano", action_length=4)).eval()
    initialize_expert(expert, generator)
    stacked = torch.randn(1, 2, 2, 2, 5, 16, generator=generator)
    cache = VlmCache.from_stacked(stacked, torch.ones(1, 5, dtype=torch.bool), torch.tensor([5]))
    noisy = torch.randn(1, 4, 32, generator=generator)
    none = torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        velocity = expert(noisy, torch.tensor([0.5]), torch.zeros(1, 32), cache, none)[0]
        one_arm = torch.zeros(4, 32)
        one_arm[:, :7] = 1.0
        masked = expert(
            noisy, torch.tensor([0.5]), torch.zeros(1, 32), cache, none, action_mask=one_arm
        )[0]
    still = (velocity == 0).all(0)
    assert torch.nonzero(still).flatten().tolist() == WITHOUT_MEANING
    assert (masked[:, 7:] == 0).all() and (masked[:, :7] != 0).all()


def test_the_chance_of_a_head_switches_its_random_prefix_mask():
    often = preset_config("nano", prefix_hide_probability=0.25)
    never = preset_config("nano", prefix_hide_probability=0.0)
    config = FlowLossConfig.of(often)
    assert config.hide_prefix and config.hide_probability == 0.25
    assert not FlowLossConfig.of(never).hide_prefix
