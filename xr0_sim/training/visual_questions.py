"""Vision-language data: questions about pictures of the simulator, with exact answers.

XR-0's first stage mixes vision-language data with robot data, about one frame in seven (technical
report, section on synergistic training); without them a VLM forgets how to talk while it learns to
act. Here the answers come from the ground truth of a store: what its grounding vector says about a
frame is asked for in words. Tasks write the questions (`experiments.lessons.Lesson.question`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import Qwen3VLForConditionalGeneration

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.model.brain import finish, think
from xr0_sim.model.grounding_spec import GroundingSpec
from xr0_sim.model.images import normalize_pixels, patchify
from xr0_sim.model.processor import XR0Processor
from xr0_sim.model.question import Question, QuestionSource

QUESTION_SHARE = 1 / 7
"""Share of vision-language frames in a batch (XR-0 technical report: about 1 to 6)."""


class VisualQuestions:
    """Questions about frames of a store: their loss, and how many are answered right.

    Args:
        source: Writes questions.
        store: The frames.
        processor: Tokenises and lays out.
    """

    def __init__(self, source: QuestionSource, store: ChunkStore, processor: XR0Processor) -> None:
        self._source = source
        self._store = store
        self._spec = GroundingSpec.from_dict(store.meta.grounding)
        self._processor = processor

    def write(
        self, rows: NDArray[np.integer], rng: np.random.Generator
    ) -> tuple[NDArray[np.integer], list[Question]]:
        """A question per row; rows about which nothing can be asked are left out."""
        vectors = self._store.column("grounding")[rows]
        masks = self._store.column("grounding_mask")[rows]
        texts = self._store.column("instruction")[rows]
        kept, questions = [], []
        for row, vector, mask, text in zip(rows, vectors, masks, texts, strict=True):
            values = self._spec.read(vector, mask)
            question = self._source(values, self._store.instructions[text], rng)
            if question is not None:
                kept.append(row)
                questions.append(question)
        return np.asarray(kept, dtype=np.int64), questions

    def loss(
        self,
        vlm: Qwen3VLForConditionalGeneration,
        rows: NDArray[np.integer],
        rng: np.random.Generator,
    ) -> Tensor:
        """Mean cross entropy of the answers' tokens."""
        kept, questions = self.write(rows, rng)
        if not questions:
            return next(vlm.parameters()).sum() * 0.0
        logits, target, _ = self._ask(vlm, kept, questions)
        return functional.cross_entropy(logits.float(), target)

    @torch.no_grad()
    def answered(
        self,
        vlm: Qwen3VLForConditionalGeneration,
        rows: NDArray[np.integer],
        rng: np.random.Generator,
        batch_size: int = 32,
    ) -> list[tuple[Question, bool]]:
        """Questions about rows, and whether greedy decoding gives exactly the right answer.

        Every token of the answer must be the likeliest one after the right tokens before it, which
        is what greedy decoding does up to its first mistake.
        """
        out = []
        for start in range(0, len(rows), batch_size):
            kept, questions = self.write(rows[start : start + batch_size], rng)
            if questions:
                logits, target, owner = self._ask(vlm, kept, questions)
                wrong = owner[logits.argmax(-1) != target]
                right = np.ones(len(questions), bool)
                right[wrong.cpu().numpy()] = False
                out += [(q, bool(ok)) for q, ok in zip(questions, right, strict=True)]
        return out

    def _ask(
        self,
        vlm: Qwen3VLForConditionalGeneration,
        rows: NDArray[np.integer],
        questions: list[Question],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, vocabulary), targets (N,) and questions (N,) of all tokens of answers."""
        images = torch.from_numpy(self._store.images(rows)).flatten(0, 1).float()
        patches = patchify(normalize_pixels(images), *self._processor.patching)
        inputs, given = self._processor.dialogue(
            patches,
            tuple(images.shape[1:3]),
            [question.text for question in questions],
            [question.answer for question in questions],
        )
        inputs = inputs.to(vlm.device)
        before, _ = think(vlm, inputs, 1)
        owner, place = (i.to(vlm.device) for i in torch.nonzero(given >= 0, as_tuple=True))
        hidden = finish(vlm, before[-1], inputs)[owner, place]
        return vlm.lm_head(hidden), inputs.input_ids[owner, place + 1], owner
