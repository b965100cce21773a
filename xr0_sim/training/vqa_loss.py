"""Vision-language data: questions about pictures of the simulator, with exact answers.

XR-0's first stage mixes vision-language data with robot data, about one frame in seven (technical
report, section on synergistic training); without them a VLM forgets how to talk while it learns to
act. Here the answers come from the ground truth of a store: what its grounding vector says about a
frame is asked for in words, or what the vectors of two frames say has happened between them. Tasks
write the questions (`policies.supervision.table.Lesson.questions`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xr0_sim.conventions import CAMERAS
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.model.auxiliary.grounding_spec import GroundingSpec
from xr0_sim.model.auxiliary.vqa import Question, QuestionWriter, Values
from xr0_sim.model.vlm.forward import final_hidden, forward
from xr0_sim.model.vlm.images import normalize_pixels, patchify
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.model.vlm.prompt import EARLIER
from xr0_sim.model.vlm.qwen import Qwen3VL

QUESTION_SHARE = 1 / 7
"""Share of vision-language frames in a batch (XR-0 technical report: about 1 to 6)."""
CHANGE_SHARE = 1 / 6
"""Share of questions that ask what happened, where a frame has an earlier one."""
CHANGE_TICKS = 12
"""Longest time between the two frames of such a question [ticks]."""


@dataclass(frozen=True)
class Asked:
    """A question and the rows of the store it is about; an earlier one only if it asks for both."""

    question: Question
    row: int
    earlier: int | None = None


class VisualQuestions:
    """Questions about frames of a store: their loss, and how many are answered right.

    Args:
        writer: Writes questions.
        store: The frames.
        processor: Tokenises and lays out.
    """

    def __init__(self, writer: QuestionWriter, store: ChunkStore, processor: XR0Processor) -> None:
        self._writer = writer
        self._store = store
        self._spec = GroundingSpec.from_dict(store.meta.grounding)
        self._processor = processor
        self._earlier = earlier_frames(store)

    def write(self, rows: NDArray[np.integer], rng: np.random.Generator) -> list[Asked]:
        """A question per row; rows about which nothing can be asked are left out."""
        asked = (self._write(int(row), rng) for row in rows)
        return [one for one in asked if one is not None]

    def _write(self, row: int, rng: np.random.Generator) -> Asked | None:
        values = self._values(row)
        earlier = int(self._earlier[row])
        change = self._writer.change
        if change is not None and earlier >= 0 and rng.random() < CHANGE_SHARE:
            question = change(self._values(earlier), values, rng)
            if question is not None:
                return Asked(question, row, earlier)
        text = self._store.instructions[self._store.column("instruction")[row]]
        question = self._writer.frame(values, text, rng)
        return None if question is None else Asked(question, row)

    def _values(self, row: int) -> Values:
        grounding, mask = (
            self._store.column(name)[row] for name in ("grounding", "grounding_mask")
        )
        return self._spec.read(grounding, mask)

    def loss(
        self,
        vlm: Qwen3VL,
        rows: NDArray[np.integer],
        rng: np.random.Generator,
    ) -> Tensor:
        """Mean cross entropy of the answers' tokens."""
        asked = self.write(rows, rng)
        if not asked:
            return next(vlm.parameters()).sum() * 0.0
        logits, target, _ = self._ask(vlm, asked)
        return functional.cross_entropy(logits.float(), target)

    @torch.no_grad()
    def answered(
        self,
        vlm: Qwen3VL,
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
            asked = self.write(rows[start : start + batch_size], rng)
            if asked:
                logits, target, owner = self._ask(vlm, asked)
                wrong = owner[logits.argmax(-1) != target]
                right = np.ones(len(asked), bool)
                right[wrong.cpu().numpy()] = False
                out += [(one.question, bool(ok)) for one, ok in zip(asked, right, strict=True)]
        return out

    def _ask(self, vlm: Qwen3VL, asked: list[Asked]) -> tuple[Tensor, Tensor, Tensor]:
        """Logits (N, vocabulary), targets (N,) and questions (N,) of all tokens of answers."""
        pictures, views = self._pictures(asked)
        images = torch.from_numpy(pictures).float()
        inputs, given = self._processor.dialogue(
            patchify(normalize_pixels(images), *self._processor.patching),
            (images.shape[1], images.shape[2]),
            [one.question.text for one in asked],
            [one.question.answer for one in asked],
            views,
        )
        inputs = inputs.to(vlm.device)
        before, _ = forward(vlm, inputs, 1)
        owner, place = (i.to(vlm.device) for i in torch.nonzero(given >= 0, as_tuple=True))
        hidden = final_hidden(vlm, before[-1], inputs)[owner, place]
        return vlm.lm_head(hidden), inputs.input_ids[owner, place + 1], owner

    def _pictures(self, asked: list[Asked]) -> tuple[NDArray[np.uint8], list[tuple[str, ...]]]:
        """All pictures (images, H, W, 3), question by question, and their names per question.

        What happened is asked about two base views, everything else about one view per camera.
        """
        cameras = self._processor.cameras
        base = cameras.index(CAMERAS[0])
        now = self._store.images(np.array([one.row for one in asked]))
        pictures, views = [], []
        for one, seen in zip(asked, now, strict=True):
            if one.earlier is None:
                pictures += list(seen)
                views.append(cameras)
            else:
                pictures += [self._store.images(np.array([one.earlier]))[0, base], seen[base]]
                views.append((EARLIER, CAMERAS[0]))
        return np.stack(pictures), views


def earlier_frames(store: ChunkStore) -> NDArray[np.int64]:
    """Row of the frame of the same episode before each row, (N,); -1 without one so near in time.

    Sightings show the same arms with the task's things elsewhere, at the same tick.
    """
    seed, source, tick = (store.column(name) for name in ("episode_seed", "source", "tick"))
    order = np.lexsort((np.arange(len(store)), tick, source, seed))
    before, after = order[:-1], order[1:]
    same = (seed[before] == seed[after]) & (source[before] == source[after])
    near = tick[after] - tick[before] <= CHANGE_TICKS
    out = np.full(len(store), -1, np.int64)
    out[after] = np.where(same & near, before, -1)
    return out
