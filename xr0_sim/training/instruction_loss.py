"""Text without pictures: what an instruction means, drilled on sentences drawn without end.

A store holds one sentence per episode, too few and too far from any loss for a small VLM to learn
who belongs where. A drill draws fresh sentences with their meaning, as values of the grounding
classes, and asks for them behind the sentence alone; a few hundred steps of it are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xr0_sim.model.auxiliary.grounding import GroundingHead
from xr0_sim.model.vlm.forward import forward
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.model.vlm.qwen import Qwen3VL

SentenceSource = Callable[[np.random.Generator], tuple[str, Mapping[str, int]]]
"""Draws one instruction and the grounding classes it decides, by name."""


class LanguageDrill:
    """Classes of a grounding head, asked for sentences without pictures.

    Args:
        source: Draws sentences.
        processor: Tokenises them.
        sentences: Sentences per step.
    """

    def __init__(self, source: SentenceSource, processor: XR0Processor, sentences: int) -> None:
        self._source = source
        self._processor = processor
        self._sentences = sentences

    def loss(
        self,
        vlm: Qwen3VL,
        head: GroundingHead,
        rng: np.random.Generator,
        cached_layers: int,
    ) -> Tensor:
        """Mean cross entropy of the classes the drawn sentences decide."""
        drawn = [self._source(rng) for _ in range(self._sentences)]
        inputs = self._processor.text_only([text for text, _ in drawn]).to(vlm.device)
        before, _ = forward(vlm, inputs, cached_layers)
        logits = head.classify(inputs.last_tokens(before[-1]))
        names = [name for name, _ in head.spec.classes]
        terms = []
        for name in drawn[0][1]:
            target = torch.tensor([meaning[name] for _, meaning in drawn], device=vlm.device)
            terms.append(functional.cross_entropy(logits[names.index(name)].float(), target))
        return torch.stack(terms).mean()
