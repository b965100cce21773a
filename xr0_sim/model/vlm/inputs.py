"""One batch for the VLM: tokens, their positions, and the pictures that stand among them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from xr0_sim.errors import ConfigError
from xr0_sim.model.compute.kept import counted


@dataclass(frozen=True)
class Pictures:
    """All pictures of one size in a batch.

    Attributes:
        patches: (N, P, patch values) float, normalised, in merge-block order.
        grid: (height, width) of one picture in patches, P = height * width.
        index: (N * V,) long, places of their visual tokens in the flattened (F * S) prompt.
    """

    patches: Tensor
    grid: tuple[int, int]
    index: Tensor

    def to(self, device: torch.device) -> Pictures:
        """The same pictures on a device."""
        return Pictures(self.patches.to(device), self.grid, self.index.to(device))


@dataclass(frozen=True)
class VlmInputs:
    """One batch of prompts with pictures, padded on the right.

    Attributes:
        input_ids: (F, S) long.
        lengths: (F,) long, tokens before the padding.
        position_ids: (3, F, S) long, MRoPE positions (time, height, width).
        pictures: The pictures, one entry a size.
    """

    input_ids: Tensor
    lengths: Tensor
    position_ids: Tensor
    pictures: tuple[Pictures, ...]

    @property
    def image_index(self) -> Tensor:
        """(F * V,) long, places of all visual tokens in the flattened (F * S) prompt."""
        index = torch.cat([group.index for group in self.pictures])
        return index if len(self.pictures) == 1 else index.sort().values

    @property
    def patches(self) -> Tensor:
        """(N, P, patch values) of a batch whose pictures have one size."""
        return self._only().patches

    @property
    def image_grid(self) -> tuple[int, int]:
        """(height, width) in patches of a batch whose pictures have one size."""
        return self._only().grid

    def _only(self) -> Pictures:
        if len(self.pictures) != 1:
            raise ConfigError(
                f"pictures: expected one size, got {[group.grid for group in self.pictures]} "
                "patches; read them one by one from VlmInputs.pictures"
            )
        return self.pictures[0]

    def key_mask(self) -> Tensor:
        """(F, S) bool, False on padding."""
        return counted(self.input_ids.shape[1], self.lengths.device) < self.lengths[:, None]

    def padded(self, multiple: int) -> VlmInputs:
        """The same batch with more padding, so that shapes recur.

        Args:
            multiple: What its length is then a multiple of.
        """
        length = self.input_ids.shape[1]
        more = -length % multiple
        if not more:
            return self
        return VlmInputs(
            functional.pad(self.input_ids, (0, more)),
            self.lengths,
            functional.pad(self.position_ids, (0, more)),
            tuple(
                Pictures(group.patches, group.grid, group.index + more * (group.index // length))
                for group in self.pictures
            ),
        )

    def to(self, device: torch.device) -> VlmInputs:
        """The same batch on a device."""
        return VlmInputs(
            self.input_ids.to(device),
            self.lengths.to(device),
            self.position_ids.to(device),
            tuple(group.to(device) for group in self.pictures),
        )

    def last_tokens(self, hidden: Tensor) -> Tensor:
        """Rows (F, hidden) of the prompts' last tokens among hidden states (F, S, hidden)."""
        return hidden[torch.arange(len(hidden), device=hidden.device), self.lengths - 1]

    def stock(self, image_token_id: int) -> dict[str, Tensor]:
        """The same batch as keyword arguments of the stock Qwen3-VL forward."""
        rows = [
            (int(places[0]), patches, group.grid)
            for group in self.pictures
            for patches, places in zip(
                group.patches, group.index.view(len(group.patches), -1), strict=True
            )
        ]
        rows.sort(key=lambda row: row[0])
        return {
            "input_ids": self.input_ids,
            "attention_mask": self.key_mask().long(),
            "pixel_values": torch.cat([patches for _, patches, _ in rows]),
            "image_grid_thw": torch.tensor([[1, *grid] for _, _, grid in rows]),
            "mm_token_type_ids": (self.input_ids == image_token_id).int(),
        }
