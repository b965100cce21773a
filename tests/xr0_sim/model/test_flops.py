"""Arithmetic of an inference, told from sizes, against torch's own counter."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from policies.xr0.chunk_model import XR0ChunkModel
from xr0_sim.conventions import CAMERAS
from xr0_sim.model.action_expert.flow import euler_sample
from xr0_sim.model.action_expert.guidance import guided_sample
from xr0_sim.model.policy_loading import random_policy_model
from xr0_sim.model.spec.flops import denoise_flops, encode_flops
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.types import ChunkRequest, Guide, Observation


@pytest.fixture(scope="module")
def policy():
    return random_policy_model(preset_config("nano"), seed=0)


class Products(TorchDispatchMode):
    """Counts as `FlopCounterMode` does, also backwards and in a processor's fused attention."""

    flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        rule = flop_registry.get(func._overloadpacket)
        if "dot_product_flash_attention_for_cpu" in str(func):
            self.flops += 4 * args[0].numel() * args[1].shape[2]
        elif rule is not None:
            self.flops += rule(*args, **(kwargs or {}), out_val=found)
        return found


def counted(work):
    with FlopCounterMode(display=False) as counter:
        found = work()
    return counter.get_total_flops(), found


def test_the_count_is_that_of_torch(policy):
    model, config = policy.model, policy.config
    size = config.image_size
    images = np.zeros((1, len(CAMERAS), size, size, 3), np.uint8)
    inputs = policy.processor(images, ["put it away"])
    tokens = inputs.input_ids.shape[1]
    with torch.no_grad():
        seeing, cache = counted(lambda: model.encode(inputs))
    grids = [(size // 16, size // 16)] * len(CAMERAS)
    assert encode_flops(config, tokens, grids) == seeing
    none, state = torch.zeros(1, dtype=torch.long), torch.zeros(1, config.state_dim)
    noise = torch.zeros(1, config.action_length, config.action_dim)
    given = (model.expert, cache, state, noise, none, noise, config.num_euler_steps)
    with Products() as acting:
        euler_sample(*given)
    with Products() as guided:
        guided_sample(*given, noise, noise[..., 0])
    # The reference embeds the flow time anew in every step.
    width = config.dit_config.hidden_size
    embedding = 2 * config.num_euler_steps * (256 * width + 7 * width**2)
    assert denoise_flops(config, tokens) == acting.flops - embedding
    assert denoise_flops(config, tokens, guided=True) == pytest.approx(
        guided.flops - embedding, rel=0.02
    )


def test_a_request_costs_what_it_asks_for(policy):
    model, size = XR0ChunkModel(policy), policy.config.image_size
    images = {name: np.zeros((size, size, 3), np.uint8) for name in CAMERAS}
    seen = Observation(0, 0, None, images, "put it away")
    full = model.flops(ChunkRequest(seen))
    tokens = len(policy.processor.prompt("put it away", (size, size)).ids)
    one = denoise_flops(policy.config, tokens)
    assert full > one and model.flops(ChunkRequest(seen, samples=3)) == full + 2 * one
    inputs = policy.processor(np.stack(list(images.values()))[None], ["put it away"])
    with torch.no_grad():
        cache = policy.model.encode(inputs)
    assert model.flops(ChunkRequest(seen, refresh=0, memory=cache)) == one
    pull = Guide(np.zeros((4, 14)), np.ones(4))
    assert full + 0.8 * one < model.flops(ChunkRequest(seen, guide=pull)) < full + 1.5 * one
    blind = Observation(0, 0, None, {}, "put it away")
    assert model.flops(ChunkRequest(blind)) is None
