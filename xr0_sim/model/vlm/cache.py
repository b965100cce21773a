"""What the VLM hands to the action expert: keys and values of its last layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class VlmCache:
    """Keys and values of the last ``L_dit`` VLM layers for F frames.

    Attributes:
        layers: Per expert layer, keys (already rotated) and values, each (F, K, S, d).
        key_mask: (F, S) bool, False on padding.
        next_position: (F,) long, the VLM's largest position id plus one.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    key_mask: Tensor
    next_position: Tensor

    @property
    def frames(self) -> int:
        """Number of frames F."""
        return self.key_mask.shape[0]

    def stacked(self) -> Tensor:
        """(F, L, 2, K, S, d): one tensor for storage."""
        return torch.stack([torch.stack(entry, dim=1) for entry in self.layers], dim=1)

    @classmethod
    def from_stacked(cls, stacked: Tensor, key_mask: Tensor, next_position: Tensor) -> VlmCache:
        """Inverse of `stacked`; the entries are views."""
        layers = tuple((stacked[:, i, 0], stacked[:, i, 1]) for i in range(stacked.shape[1]))
        return cls(layers, key_mask, next_position)

    def select(self, frames: Tensor) -> VlmCache:
        """The chosen frames: an index or a (F,) bool mask."""
        layers = tuple((k[frames], v[frames]) for k, v in self.layers)
        return VlmCache(layers, self.key_mask[frames], self.next_position[frames])

    def repeated(self, frame: int, count: int = 1) -> VlmCache:
        """One frame, ``count`` times, in memory of its own."""
        own = slice(frame, frame + 1)
        layers = tuple(
            (k[own].repeat(count, 1, 1, 1), v[own].repeat(count, 1, 1, 1)) for k, v in self.layers
        )
        return VlmCache(
            layers, self.key_mask[own].repeat(count, 1), self.next_position[own].repeat(count)
        )

    def to(self, device: torch.device) -> VlmCache:
        """The same numbers on a device."""
        layers = tuple((k.to(device), v.to(device)) for k, v in self.layers)
        return VlmCache(layers, self.key_mask.to(device), self.next_position.to(device))

    def grouped(self, heads: int, dtype: torch.dtype) -> VlmCache:
        """Every cached head once for each query head that reads it, in a number format."""
        layers = tuple(
            (
                k.to(dtype).repeat_interleave(heads // k.shape[1], 1),
                v.to(dtype).repeat_interleave(heads // v.shape[1], 1),
            )
            for k, v in self.layers
        )
        return VlmCache(layers, self.key_mask, self.next_position)

    def detach(self) -> VlmCache:
        """The same numbers without their graph."""
        layers = tuple((k.detach(), v.detach()) for k, v in self.layers)
        return VlmCache(layers, self.key_mask, self.next_position)
