"""Stage 3: the heads that an ablation of asynchronous execution compares.

All start from the same stage 2 expert and train for the same number of steps on the same samples in
the same order; they differ only in the values below. Heads that know nothing of a policy's own
commitments leave out samples that begin with one. Differences between `prefix` and `prefix_lambda`
are those of the mask, the position offset and the random prefix mask, and further heads take the
switches one at a time.

The public post-training code also trains the VLM here, all but its input embedding; ours keeps it
frozen, so that one VLM and one set of features serve every head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.errors import unknown_name
from xr0_sim.model.compute.devices import DEFAULT_DEVICE
from xr0_sim.training.body_source import RolledBody
from xr0_sim.training.expert_training import BASE_HEAD, ExpertStageConfig, HeadConfig, train_head
from xr0_sim.training.look_source import EarlierLook
from xr0_sim.training.prefix_source import (
    REPORT_PROBABILITY,
    CleanPrefix,
    CorruptedPrefix,
    OwnPrefix,
)

LAMBDA_WINDOW = 4
POSITION_OFFSET = 10

_PREFIX = HeadConfig(prefix=OwnPrefix())
_LAMBDA = replace(
    _PREFIX, action_window=LAMBDA_WINDOW, noisy_position_offset=POSITION_OFFSET, hide_prefix=True
)

HEADS: dict[str, HeadConfig] = {
    BASE_HEAD: HeadConfig(),
    "sync": HeadConfig(),
    "rolled": HeadConfig(body=RolledBody()),
    "prefix": _PREFIX,
    "prefix_lambda": _LAMBDA,
    "prefix_window": replace(_PREFIX, action_window=LAMBDA_WINDOW),
    "prefix_offset": replace(_PREFIX, noisy_position_offset=POSITION_OFFSET),
    "prefix_hidden": replace(_PREFIX, hide_prefix=True),
    "prefix_rolled": replace(_PREFIX, body=RolledBody(probability=0.5)),
    "prefix_refreshed": replace(_PREFIX, look=EarlierLook()),
    "prefix_recorded": HeadConfig(prefix=CleanPrefix()),
    "prefix_corrupted": HeadConfig(prefix=CorruptedPrefix()),
    "prefix_lambda_recorded": replace(_LAMBDA, prefix=CleanPrefix()),
    "prefix_lambda_report": replace(_LAMBDA, prefix=CleanPrefix(REPORT_PROBABILITY)),
    "prefix_lambda_reweight": replace(_LAMBDA, reweight="published"),
    "prefix_lambda_reweight_per_frame": replace(_LAMBDA, reweight="per_frame"),
    "prefix_lambda_frequency": replace(_LAMBDA, frequency="published"),
    "prefix_lambda_frequency_unitary": replace(_LAMBDA, frequency="unitary"),
    "prefix_lambda_published": replace(
        _LAMBDA, prefix=CleanPrefix(), reweight="published", frequency="published"
    ),
}
"""Head name -> switches.

`sync`, `prefix` and `prefix_lambda` are the main comparison. `rolled` is for `RollForward`, which
asks from the body of the estimated arrival, `prefix_refreshed` for `TwoRate`, whose refreshes ask
from the newest body with a cache of earlier pictures; `prefix_rolled` learns that from bodies that
are assumed, not recorded. ``window``, ``offset`` and ``hidden`` add one of
the three that tell `prefix_lambda` from `prefix`; ``recorded`` heads learn from recorded prefixes
alone, ``report`` with the lengths of the report; ``reweight`` and ``frequency`` change the loss, in
the published form unless the name says ours (`xr0_sim.model.action_expert.loss_terms`);
`prefix_lambda_published` has all switches of the public post-training code.
"""


def head_config(name: str) -> HeadConfig:
    """A named head's switches; an unknown name lists what there is."""
    if name not in HEADS:
        raise unknown_name("head", name, HEADS)
    return HEADS[name]


def posttrain(
    store: ChunkStore,
    checkpoint: Path,
    names: tuple[str, ...],
    stage: ExpertStageConfig,
    directory: Path,
    features_dir: Path,
    start: str | None = BASE_HEAD,
    show: Callable[[str], None] = print,
    device: str = DEFAULT_DEVICE,
) -> bool:
    """Trains several heads from one base for equal steps.

    Args:
        store: Samples.
        checkpoint: Directory with VLM and base head.
        names: Heads to train, keys of `HEADS`.
        stage: Settings; its ``head`` is replaced by each named one.
        directory: Run directory; every head gets a sub-directory.
        features_dir: Cache of VLM features.
        start: Head all of them continue from, None = fresh weights.
        show: Receives progress lines.
        device: Where to train, see `xr0_sim.model.compute.devices`.

    Returns:
        True when all are finished, False when interrupted.
    """
    for name in names:
        head_config(name)
    for name in names:
        finished = train_head(
            store,
            checkpoint,
            name,
            replace(stage, head=head_config(name)),
            Path(directory) / name,
            features_dir,
            start,
            show,
            device=device,
        )
        if not finished:
            return False
    return True
