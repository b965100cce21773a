"""Grounding readout of the VLM: what makes a small VLM, trained from scratch, see precisely.

Three kinds of named targets share one flat vector with a mask:

* *points*: where something is in one camera image. A query made from the last prompt token is
  matched against that camera's visual tokens (cross entropy over tokens), and an offset inside the
  token is regressed. This is the signal that teaches localisation: it is dense and local, and
  reaches half a pixel within minutes, where regression alone stays at chance for tens of thousands
  of frames.
* *regressions*: scene values such as world positions, from the last prompt token.
* *classes*: named alternatives such as the destination bin, from the last prompt token.

*Lifts* tie the first two together: the visual token in which a point lies must know where that is
in space. The action expert attends to visual tokens, so what they carry it need not work out. They
are asked twice: early, without a query, so that later layers can gather positions into the last
token; and late, for the point that the last token means.

Everything late is read from the hidden states *before* the last layer, because those, not the final
ones, become the last layer's keys and values, which the action expert sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec

POINTING_WIDTH = 64
READOUT_WIDTH = 256
EARLY_LAYER = 2
"""Early lifts are read from the input of this layer (counted from 0) of the language model."""


@dataclass(frozen=True)
class GroundingOutput:
    """Raw readout of F frames.

    Attributes:
        regressions: (F, R).
        class_logits: Per class target, (F, classes).
        point_logits: (F, points, V) over the visual tokens of each point's camera.
        point_queries: (F, points, 64).
        visual_keys: (F, cameras, V, 64).
        visual: (F, cameras, V, hidden) normalised visual tokens.
        early: The same at the early layer.
    """

    regressions: Tensor
    class_logits: list[Tensor]
    point_logits: Tensor
    point_queries: Tensor
    visual_keys: Tensor
    visual: Tensor
    early: Tensor


class GroundingHead(nn.Module):
    """Reads a `GroundingSpec` from hidden states of width ``hidden``."""

    def __init__(
        self, spec: GroundingSpec, hidden: int, cameras: int, token_grid: tuple[int, int]
    ) -> None:
        super().__init__()
        self.spec = spec
        self.cameras = cameras
        self.token_grid = token_grid
        outputs = spec.regression_width + sum(count for _, count in spec.classes)
        self.last_norm = nn.LayerNorm(hidden)
        self.token_norm = nn.LayerNorm(hidden)
        self.readout = _mlp(hidden, READOUT_WIDTH, outputs)
        self.query = nn.Linear(hidden, max(len(spec.points), 1) * POINTING_WIDTH)
        self.key = nn.Linear(hidden, POINTING_WIDTH)
        self.offset = _mlp(2 * POINTING_WIDTH, READOUT_WIDTH // 2, 2)
        self._lifts = spec.lift_targets()
        if self._lifts:
            widths = [lift.width for lift in self._lifts]
            self.lift = _mlp(hidden + POINTING_WIDTH, READOUT_WIDTH, max(widths))
            self.early_norm = nn.LayerNorm(hidden)
            self.early_lift = _mlp(hidden, READOUT_WIDTH, sum(widths))

    def forward(self, last: Tensor, visual: Tensor, early: Tensor) -> GroundingOutput:
        """Reads late hidden states, and early ones for the early lifts.

        Args:
            last: (F, hidden), the last prompt token.
            visual: (F, cameras * V, hidden).
            early: As ``visual``, at the input of layer `EARLY_LAYER`.
        """
        frames, count = len(last), len(self.spec.points)
        last = self.last_norm(last)
        flat = self.readout(last).float()
        logits = self._split_classes(flat)
        visual = self.token_norm(visual).float().unflatten(1, (self.cameras, -1))
        keys = self.key(visual).float()
        queries = self.query(last).float().view(frames, -1, POINTING_WIDTH)[:, :count]
        chosen = keys[:, [camera for _, camera in self.spec.points]]
        pointed = torch.einsum("fpd,fpvd->fpv", queries, chosen) / POINTING_WIDTH**0.5
        regressions = flat[:, : self.spec.regression_width]
        if self._lifts:
            early = self.early_norm(early).float()
        early = early.unflatten(1, (self.cameras, -1))
        return GroundingOutput(regressions, logits, pointed, queries, keys, visual, early)

    def classify(self, last: Tensor) -> list[Tensor]:
        """Class logits alone, (F, classes) each, from the last prompt token (F, hidden)."""
        return self._split_classes(self.readout(self.last_norm(last)).float())

    def _split_classes(self, flat: Tensor) -> list[Tensor]:
        widths = [count for _, count in self.spec.classes]
        return list(flat[:, self.spec.regression_width :].split(widths, -1))

    def points(self, output: GroundingOutput, tokens: Tensor) -> Tensor:
        """Image coordinates (F, points, 2) in 0..1, read at the given tokens (F, points)."""
        rows, columns = self.token_grid
        device = tokens.device
        cameras = torch.tensor([c for _, c in self.spec.points], dtype=torch.long, device=device)
        frame = torch.arange(len(tokens), device=device)[:, None]
        keys = output.visual_keys[frame, cameras[None], tokens]
        offset = self.offset(torch.cat([keys, output.point_queries], -1)).float()
        centre = torch.stack([tokens % columns + 0.5, tokens // columns + 0.5], -1) + offset
        return centre / torch.tensor([columns, rows], device=device)

    def loss(self, output: GroundingOutput, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Masked loss terms, each averaged over what the mask leaves.

        Args:
            output: Readout.
            target: (F, G) grounding vectors.
            mask: (F, G) bool.
        """
        spec = self.spec
        split = [spec.regression_width, len(spec.classes), 2 * len(spec.points)]
        value_r, value_c, value_p = target.split(split, -1)
        mask_r, mask_c, mask_p = mask.split(split, -1)
        terms: dict[str, Tensor] = {}
        if spec.regressions:
            terms["regression"] = _mean((output.regressions - value_r).abs(), mask_r)
        if spec.classes:
            entropies = [
                functional.cross_entropy(logits, value_c[:, i].long(), reduction="none")
                for i, logits in enumerate(output.class_logits)
            ]
            terms["classes"] = _mean(torch.stack(entropies, -1), mask_c)
        if spec.points:
            rows, columns = self.token_grid
            uv = value_p.unflatten(-1, (-1, 2)).clamp(0.0, 1.0 - 1e-6)
            known = mask_p.unflatten(-1, (-1, 2)).all(-1)
            size = torch.tensor([columns, rows], device=target.device)
            cell = (uv * size).floor().long()
            tokens = cell[..., 1] * columns + cell[..., 0]
            entropy = functional.cross_entropy(
                output.point_logits.flatten(0, 1), tokens.flatten(), reduction="none"
            )
            terms["pointing"] = _mean(entropy.view_as(tokens), known)
            error = (self.points(output, tokens) - uv) * size
            terms["offset"] = _mean(error.abs().mean(-1), known)
        if self._lifts:
            asked = (value_r, mask_r, known)
            terms["lift"] = self._lift_loss(self.late_lifts(output, tokens), *asked)
            terms["early_lift"] = self._lift_loss(self.early_lifts(output, tokens), *asked)
        return terms

    def late_lifts(self, output: GroundingOutput, tokens: Tensor) -> list[Tensor]:
        """Per lift, (F, width), read at the token (F, points) of its point."""
        frame = torch.arange(len(tokens), device=tokens.device)
        read = []
        for lift in self._lifts:
            token = output.visual[frame, lift.camera, tokens[:, lift.point]]
            asked = torch.cat([token, output.point_queries[:, lift.point]], -1)
            read.append(self.lift(asked).float()[:, : lift.width])
        return read

    def early_lifts(self, output: GroundingOutput, tokens: Tensor) -> list[Tensor]:
        """As `late_lifts`, at the early layer; every lift has its own output."""
        frame = torch.arange(len(tokens), device=tokens.device)
        read, start = [], 0
        for lift in self._lifts:
            token = output.early[frame, lift.camera, tokens[:, lift.point]]
            read.append(self.early_lift(token).float()[:, start : start + lift.width])
            start += lift.width
        return read

    def _lift_loss(self, read: list[Tensor], value: Tensor, mask: Tensor, known: Tensor) -> Tensor:
        """Mean L1 error of the lifts where their points and values are known."""
        total, count = value.new_zeros(()), value.new_zeros(())
        for lift, answer in zip(self._lifts, read, strict=True):
            counted = mask[:, lift.slots] & known[:, lift.point, None]
            total = total + ((answer - value[:, lift.slots]).abs() * counted).sum()
            count = count + counted.sum()
        return total / count.clamp_min(1)

    @torch.no_grad()
    def read(self, output: GroundingOutput) -> dict[str, Tensor]:
        """Predictions by name: regressions (F, width), classes (F,), points (F, 2)."""
        found: dict[str, Tensor] = {}
        start = 0
        for name, width in self.spec.regressions:
            found[name] = output.regressions[:, start : start + width]
            start += width
        for (name, _), logits in zip(self.spec.classes, output.class_logits, strict=True):
            found[name] = logits.argmax(-1)
        if self.spec.points:
            located = self.points(output, output.point_logits.argmax(-1))
            for index, (name, camera) in enumerate(self.spec.points):
                found[f"{name}@{camera}"] = located[:, index]
        return found


def _mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp_min(1)
