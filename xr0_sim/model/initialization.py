"""Seeded initialisation of a policy from scratch.

The stock Qwen3-VL initialisation (normal, 0.02) suits widths in the thousands. At width 128 it
makes every projection shrink its input four-fold, and the learned position grid of the vision tower
drowns in the patch content; localisation then does not start within tens of thousands of frames.
Here every matrix keeps the variance of its input (1 / sqrt(fan_in)) and the position grid starts as
2-D sinusoids of unit order.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xr0_sim.model.expert import ActionExpert

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration

POSITION_AMPLITUDE = 0.7
EMBEDDING_STD = 0.5
"""Of the order of the visual tokens that share the residual stream with the text."""


@torch.no_grad()
def initialize_brain(vlm: Qwen3VLForConditionalGeneration, generator: torch.Generator) -> None:
    """Sets every weight matrix of the brain from the generator; norms are left at one."""
    for module in vlm.modules():
        if isinstance(module, nn.Linear | nn.Conv3d):
            fan_in = module.weight[0].numel()
            module.weight.normal_(0.0, fan_in**-0.5, generator=generator)
            if module.bias is not None:
                module.bias.zero_()
    vlm.model.language_model.embed_tokens.weight.normal_(0.0, EMBEDDING_STD, generator=generator)
    grid = vlm.model.visual.pos_embed.weight
    side = math.isqrt(grid.shape[0])
    grid.copy_(POSITION_AMPLITUDE * sinusoid_grid(side, grid.shape[1]))


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


def sinusoid_grid(side: int, width: int) -> Tensor:
    """(side * side, width) sines and cosines of the row and of the column.

    Frequencies run from half a turn over the whole image to half a turn per patch.
    """
    count = width // 4
    frequencies = math.pi / 2 * torch.logspace(0, math.log10(max(side, 2)), count)
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    angles = centres[:, None] * frequencies
    axis = torch.cat([angles.sin(), angles.cos()], dim=-1)
    rows = axis[:, None].expand(side, side, -1)
    columns = axis[None].expand(side, side, -1)
    grid = torch.zeros(side * side, width)
    grid[:, : 4 * count] = torch.cat([rows, columns], dim=-1).reshape(side * side, -1)
    return grid
