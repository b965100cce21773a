"""Seeded initialisation of a policy from scratch.

The VLM keeps the stock Qwen3-VL scheme (normal, 0.02, also for the learned position grid), drawn
from an explicit generator. At width 128 a variance-preserving scheme and a sinusoidal position grid
were tried as well: with pointing supervision, 600 steps of 32 frames left them at 0.76 % and 0.52 %
of the image width, the stock scheme at 0.43 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from xr0_sim.model.action_expert.network import ActionExpert

if TYPE_CHECKING:
    from xr0_sim.model.vlm.qwen import Qwen3VL

VLM_STD = 0.02


@torch.no_grad()
def initialize_vlm(vlm: Qwen3VL, generator: torch.Generator) -> None:
    """Sets every weight of the VLM from the generator; norms start at one, biases at zero."""
    for module in vlm.modules():
        if isinstance(module, nn.Linear | nn.Conv3d | nn.Embedding):
            module.weight.normal_(0.0, VLM_STD, generator=generator)
            _zero_bias(module)
        elif hasattr(module, "weight") and isinstance(module.weight, nn.Parameter):
            module.weight.fill_(1.0)
            _zero_bias(module)


def _zero_bias(module: nn.Module) -> None:
    bias = getattr(module, "bias", None)
    if bias is not None:
        bias.zero_()


@torch.no_grad()
def initialize_expert(expert: ActionExpert, generator: torch.Generator) -> None:
    """Sets every weight of the action expert from the generator.

    Matrices get torch's default scale, 1 / sqrt(3 fan_in); the adaLN table starts as in the public
    code, normal with 1 / sqrt(width).
    """
    for name, parameter in expert.named_parameters():
        if name.endswith("adaln_table"):
            parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)
        elif name == "sink.weight":
            parameter.normal_(generator=generator)
        elif parameter.ndim == 2:
            parameter.normal_(0.0, (3 * parameter.shape[1]) ** -0.5, generator=generator)
        else:
            parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
