"""What an inference of XR-0 costs, told before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xr0_sim.model.spec.flops import denoise_flops, encode_flops
from xr0_sim.model.spec.image_rules import image_size
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.types import ChunkRequest

if TYPE_CHECKING:
    from xr0_sim.model.policy_model import PolicyModel


def request_flops(
    policy: PolicyModel, cameras: Sequence[str], request: ChunkRequest
) -> float | None:
    """Floating-point operations of a request: VLM and samples, or the samples of a refresh.

    Args:
        policy: The network.
        cameras: Camera that shows each view of the prompt.
        request: What is asked.

    Returns:
        None where pictures or cache are missing; the inference itself then says so.
    """
    config = policy.config
    if request.refresh is not None:
        if not isinstance(request.memory, VlmCache):
            return None
        tokens, seeing = request.memory.key_mask.shape[1], 0.0
    else:
        seen = request.observation.images
        if any(name not in seen for name in cameras):
            return None
        shapes = [seen[name].shape for name in cameras]
        sizes = [image_size(shape[0], shape[1], config.image_rule) for shape in shapes]
        prompt = policy.processor.prompt(request.observation.instruction, sizes)
        patch = config.vlm_config.vision_config.patch_size
        grids = [(height // patch, width // patch) for height, width in sizes]
        tokens = len(prompt.ids)
        seeing = encode_flops(config, tokens, grids)
    acting = denoise_flops(config, tokens, guided=request.guide is not None)
    return seeing + request.samples * acting
