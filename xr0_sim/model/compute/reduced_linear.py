"""Linear layers of the VLM in the products of `matmul`, for a policy that runs in a reduced format.

The VLM reads a hundred tokens and more, so what counts on a processor is how fast it multiplies,
not the memory of the weights. Layers are replaced one by one, so that no second VLM is ever held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xr0_sim.model.compute.matmul import make_product
from xr0_sim.model.compute.precision import Features, device_features, vlm_precision

if TYPE_CHECKING:
    from xr0_sim.model.vlm.qwen import Qwen3VL

LEAST_REDUCED_MATRIX = 2**14
"""Smaller matrices stay as they are: conversion of their inputs costs what the product saves."""


class ReducedLinear(nn.Module):
    """A linear layer whose weight is laid out once for a format; it can only be read.

    Args:
        linear: The layer; float32.
        precision: ``bfloat16`` or ``int8``.
    """

    def __init__(self, linear: nn.Linear, precision: str) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.product = make_product(linear.weight.detach(), precision)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) float32 to (..., out) float32."""
        made = self.product(x.reshape(-1, self.in_features), self.bias)
        return made.view(*x.shape[:-1], self.out_features)


@torch.no_grad()
def reduce_products(vlm: Qwen3VL, precision: str, features: Features | None = None) -> None:
    """Lets the VLM multiply in the format that suits an expert's, in place.

    Layers and vision tower change; the embedding, norms and attention stay as they are, and so do
    weights that are kept in another format than float32 or on a graphics card.

    Args:
        vlm: The VLM, on the device it will run on.
        precision: Format of the action expert, see `precision.choose_precision`.
        features: What the device offers; asked of it when None.
    """
    if vlm.device.type != "cpu":
        return
    features = device_features(vlm.device) if features is None else features
    chosen = vlm_precision(precision, features)
    if chosen == "float32":
        return
    vlm.requires_grad_(False)
    for part in (vlm.model.language_model.layers, vlm.model.visual):
        for module in list(part.modules()):
            for name, child in module.named_children():
                if isinstance(child, nn.Linear) and _pays(child.weight):
                    setattr(module, name, ReducedLinear(child, chosen))


def _pays(weight: Tensor) -> bool:
    plain = type(weight.data) is Tensor and weight.dtype == torch.float32
    return plain and weight.numel() >= LEAST_REDUCED_MATRIX
