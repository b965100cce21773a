"""Tables that a pass of the VLM needs and that follow from sizes alone: built once, then kept.

See `xr0_sim.model.compute.kept`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from xr0_sim.model.compute.kept import counted, kept

if TYPE_CHECKING:
    from xr0_sim.model.vlm.qwen import Qwen3VL

MROPE_AXES = 3
"""Time, height and width."""


class VisionTables(NamedTuple):
    """Of pictures of one size; P patches, d the width of a head.

    Attributes:
        taps: (P, 4) long, places in the learned position grid that a patch lies between.
        weights: (P, 4) how much of each.
        cos: (1, P, d) of the rotary angles.
        sin: As ``cos``.
    """

    taps: Tensor
    weights: Tensor
    cos: Tensor
    sin: Tensor


@dataclass(frozen=True)
class BrainTables:
    """Everything that one shape of batch needs.

    Attributes:
        vision: Per size of the pictures.
        frequencies: (d / 2,) rotary frequencies of the language model.
        axes: (d / 2,) long, which of the three positions turns each of them.
        index: (S,) long, 0 .. S - 1.
        causal: (S, S) additive mask: every token sees itself and those before it; None for the
            fused attention, which needs none.
    """

    vision: tuple[VisionTables, ...]
    frequencies: Tensor
    axes: Tensor
    index: Tensor
    causal: Tensor | None


def brain_tables(
    vlm: Qwen3VL, length: int, grids: Sequence[tuple[int, int]], fused: bool
) -> BrainTables:
    """Tables for prompts of a length with pictures of some sizes.

    Args:
        vlm: The model; its sizes and its device count.
        length: S, tokens with their padding.
        grids: Height and width in patches of each size of pictures.
        fused: Whether attention is the fused one.
    """
    device = vlm.device
    vision, text = vlm.config.vision_config, vlm.config.text_config
    head = vision.hidden_size // vision.num_heads
    theta = float(vision.rope_parameters["rope_theta"])
    side = int(vision.num_position_embeddings**0.5)
    merge = vision.spatial_merge_size
    frequencies, axes = text_frequencies(
        float(text.rope_parameters["rope_theta"]),
        text.head_dim,
        tuple(text.rope_parameters["mrope_section"]),
        device,
    )
    return BrainTables(
        tuple(vision_tables(*grid, side, merge, head, theta, device) for grid in grids),
        frequencies,
        axes,
        counted(length, device),
        None if fused else causal_bias(length, device),
    )


@kept
def vision_tables(
    rows: int, columns: int, side: int, merge: int, head: int, theta: float, device: torch.device
) -> VisionTables:
    """Tables of pictures of a size, patches in the order of merge blocks.

    Args:
        rows: Height in patches.
        columns: Width in patches.
        side: Side of the learned position grid, which is resampled bilinearly with equal corners.
        merge: Patches per side of a visual token.
        head: d, width of an attention head.
        theta: Base of the rotary frequencies.
        device: Where they are wanted.
    """
    place = torch.stack(
        torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij"), dim=-1
    )
    place = place.reshape(rows // merge, merge, columns // merge, merge, 2)
    place = place.transpose(1, 2).reshape(-1, 2)
    row_taps, row_weights = _taps(place[:, 0], rows, side)
    column_taps, column_weights = _taps(place[:, 1], columns, side)
    taps = (row_taps[:, :, None] * side + column_taps[:, None]).flatten(1)
    weights = (row_weights[:, :, None] * column_weights[:, None]).flatten(1)
    quarter = head // 2
    exponents = torch.arange(0, quarter, 2, dtype=torch.float32) / quarter
    angles = place[..., None].float() * (1.0 / theta**exponents)
    angles = angles.flatten(1).repeat(1, 2)[None]
    return VisionTables(
        taps.to(device), weights.to(device), angles.cos().to(device), angles.sin().to(device)
    )


def _taps(place: Tensor, size: int, side: int) -> tuple[Tensor, Tensor]:
    """Neighbours (P, 2) of places 0 .. size - 1 in a row of ``side`` and their weights."""
    source = place.float() * (side - 1) / max(size - 1, 1)
    floor = source.floor()
    offsets = torch.arange(2)
    taps = (floor.long()[:, None] + offsets).clamp(0, side - 1)
    weights = (1 - (source[:, None] - floor[:, None] - offsets).abs()).clamp(min=0)
    return taps, weights


@kept
def text_frequencies(
    theta: float, head: int, sections: tuple[int, int, int], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Rotary frequencies (d / 2,) of the language model and the position axis of each.

    Time, height and width take turns as far as their sections reach; time has the rest.
    """
    frequencies = 1.0 / theta ** (torch.arange(0, head, 2, dtype=torch.float32) / head)
    axes = torch.zeros(head // 2, dtype=torch.long)
    for axis in range(1, MROPE_AXES):
        axes[axis : sections[axis] * MROPE_AXES : MROPE_AXES] = axis
    return frequencies.to(device), axes.to(device)


@kept
def causal_bias(length: int, device: torch.device) -> Tensor:
    """(S, S) additive mask of causal attention."""
    from xr0_sim.model.action_expert.dit import additive

    return additive(torch.ones(length, length, dtype=torch.bool, device=device).tril())
