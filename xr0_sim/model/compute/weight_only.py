"""Weights of the VLM in fewer bits, so that the released one fits a consumer graphics card.

Most of the weights are the VLM's, and they are read once a chunk: what counts is their memory.
The linear layers of the language model and of the vision tower are kept in 8 or 4 bits and
multiplied in the model's own number format, by torchao. What is small or shared with the embedding
stays as stored.

========== ============================================================================
``stored`` as in the file
``int8``   one scale per output; a quarter of float32, half of bfloat16
``int4``   one scale per 32 inputs; on a graphics card packed, which needs the package
           mslk; on the processor the same numbers in a byte each, to see what they do
========== ============================================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from xr0_sim.errors import ConfigError
from xr0_sim.model.compute.precision import STORED_WEIGHTS, check_vlm_weights

if TYPE_CHECKING:
    from xr0_sim.model.vlm.qwen import Qwen3VL

GROUP = 32
"""Inputs that share a scale in ``int4``."""


def reduce_vlm(vlm: Qwen3VL, weights: str) -> None:
    """Keeps the VLM's large weights in fewer bits, in place; it can only be read from then on.

    Args:
        vlm: The VLM, on the device it will run on.
        weights: One of `precision.VLM_WEIGHTS`.

    Raises:
        ConfigError: An unknown name, or a package that is missing.
    """
    check_vlm_weights(weights)
    if weights == STORED_WEIGHTS:
        return
    settings = _settings(weights, vlm.device)
    from torchao.quantization import quantize_

    vlm.requires_grad_(False)
    try:
        for part in (vlm.model.language_model.layers, vlm.model.visual):
            quantize_(part, settings, lambda module, _: _fits(module))
    except ImportError as error:
        raise ConfigError(
            f"VLM weights {weights!r}: expected the packages for it on {vlm.device}, got "
            f"{error}; use int8"
        ) from error


def held_bytes(module: nn.Module) -> int:
    """Memory of a module's parameters, reduced ones included [bytes]."""
    return sum(_bytes(parameter.data) for parameter in module.parameters())


def _bytes(tensor: torch.Tensor) -> int:
    if hasattr(tensor, "__tensor_flatten__"):
        return sum(_bytes(getattr(tensor, name)) for name in tensor.__tensor_flatten__()[0])
    return tensor.numel() * tensor.element_size()


def _settings(weights: str, device: torch.device) -> Any:
    from torchao import quantization

    if weights == "int8":
        return quantization.Int8WeightOnlyConfig()
    if device.type == "cuda":
        return quantization.Int4WeightOnlyConfig(group_size=GROUP)
    return quantization.IntxWeightOnlyConfig(
        weight_dtype=torch.int4,  # type: ignore[attr-defined]  # missing in torch's stubs
        granularity=quantization.PerGroup(GROUP),
    )


def _fits(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear) and module.in_features % GROUP == 0
