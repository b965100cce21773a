"""Our modules of Qwen3-VL as the public class, to check one against the other."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from xr0_sim.model.vlm.inputs import VlmInputs
from xr0_sim.model.vlm.qwen import Qwen3VL


def stock_vlm(vlm: Qwen3VL) -> Any:
    """A ``Qwen3VLForConditionalGeneration`` on the same weights; takes seconds to import."""
    import torch
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration

    config = Qwen3VLConfig(**vlm.config.to_dict())
    with torch.device("meta"):
        model = Qwen3VLForConditionalGeneration(config)
    model.load_state_dict(vlm.state_dict(), assign=True)
    for module in model.modules():
        if any(buffer.is_meta for buffer in module.buffers(recurse=False)):
            # Rotary frequencies, which are never stored.
            for name, buffer in type(module)(module.config).named_buffers(recurse=False):
                setattr(module, name, buffer.to(vlm.device))
    return model.eval()


def stock_forward(model: Any, inputs: VlmInputs, **options: Any) -> Any:
    """The forward pass of the public class, up to its last hidden states."""
    return model.model(**inputs.stock(model.config.image_token_id), **options)


def stock_positions(model: Any, inputs: VlmInputs) -> Tensor:
    """(3, F, S) MRoPE positions by the public class."""
    given = inputs.stock(model.config.image_token_id)
    positions, _ = model.model.get_rope_index(
        given["input_ids"],
        given["mm_token_type_ids"],
        given["image_grid_thw"],
        attention_mask=given["attention_mask"],
    )
    return positions
