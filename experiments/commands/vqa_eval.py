"""``xr0-sim vl-eval``: what a VLM answers about held-out pictures, by kind of question."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import wilson

if TYPE_CHECKING:
    from xr0_sim.model.auxiliary.vqa import Question

STREAM = 0x766C7161


@dataclass(frozen=True)
class VlEvalConfig:
    """Asks a VLM questions about episodes it was not trained on; exact answers count.

    Attributes:
        checkpoint: Shipped checkpoint or path; its VLM is asked.
        data: Sample store of ``xr0-sim collect``.
        questions: Number of frames asked about, at most.
        validation: Share of episodes held out, as in training.
        seed: Seed of frames and questions.
        threads: Threads of the matrix products.
        json: Print one JSON object.
    """

    checkpoint: str | None = None
    data: str = "data/blocks"
    questions: int = 1000
    validation: float = 0.05
    seed: int = 0
    threads: int = 2
    json: bool = False


def run(config: VlEvalConfig) -> int:
    """Asks; returns the exit status."""
    if config.questions < 1 or config.seed < 0:
        raise ConfigError(
            f"vl-eval: expected --questions >= 1 and --seed >= 0, got {config.questions} and "
            f"{config.seed}"
        )
    if not 0.0 < config.validation < 1.0:
        raise ConfigError(f"--validation: expected 0 .. 1, got {config.validation}")
    answered = _answered(config)
    if not answered:
        raise ConfigError(
            f"--data {config.data}: expected held-out frames to ask about, found none; raise "
            "--validation"
        )
    rows = table(answered)
    if config.json:
        print(json.dumps({"n": len(answered), "kinds": rows}))
        return 0
    print(f"{'kind':<10} {'n':>5}  right                 commonest answer")
    for row in rows:
        right = f"{row['right']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        print(f"{row['kind']:<10} {row['n']:>5}  {right:<21} {row['commonest']:.3f}")
    return 0


def table(answered: list[tuple[Question, bool]]) -> list[dict[str, Any]]:
    """Per kind and for all: n, rate of right answers with its interval, share of the commonest."""
    kinds = sorted({question.kind for question, _ in answered})
    rows = []
    for kind in ("all", *kinds):
        part = [(q, ok) for q, ok in answered if kind in ("all", q.kind)]
        rate = wilson(sum(ok for _, ok in part), len(part))
        guesses = 0
        for name in kinds if kind == "all" else (kind,):
            counts = Counter(q.answer for q, _ in part if q.kind == name)
            guesses += counts.most_common(1)[0][1]
        rows.append(
            {
                "kind": kind,
                "n": len(part),
                "right": rate.value,
                "low": rate.low,
                "high": rate.high,
                "commonest": guesses / len(part),
            }
        )
    return rows


def _answered(config: VlEvalConfig) -> list[tuple[Question, bool]]:
    import torch

    from policies.supervision.table import lesson
    from policies.xr0.checkpoints import find_checkpoint
    from xr0_sim.data.chunk_store import ChunkStore
    from xr0_sim.model.checkpoints.shipped import load_config, load_vlm
    from xr0_sim.model.vla import XR0ForActionGeneration
    from xr0_sim.model.vlm.processor import XR0Processor
    from xr0_sim.training.vqa_loss import VisualQuestions

    torch.set_num_threads(config.threads)
    store = ChunkStore(Path(config.data))
    path = find_checkpoint(config.checkpoint)
    model_config = load_config(path)
    if model_config.image_size != store.meta.image_size:
        raise ConfigError(
            f"--data {config.data}: expected pictures of {model_config.image_size} px for {path}, "
            f"got {store.meta.image_size}"
        )
    vlm = XR0ForActionGeneration(model_config).eval().vlm
    load_vlm(path, vlm)
    asking = VisualQuestions(
        lesson(store.meta.provenance.get("env", "block_dismantling")).questions,
        store,
        XR0Processor(model_config, cameras=store.meta.cameras),
    )
    rng = np.random.default_rng([config.seed, STREAM])
    held_out = store.split(config.validation)[1]
    rows = rng.permutation(held_out)[: config.questions]
    print(f"{len(rows)} of {len(held_out)} held-out frames of {config.data}", file=sys.stderr)
    return asking.answered(vlm, rows, rng)
