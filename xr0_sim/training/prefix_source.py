"""What a head sees as its committed prefix during post-training: a union of named choices.

`NoPrefix` trains the synchronous head. The others give, with some probability, the first d rows of
the chunk as clean input: as recorded (`CleanPrefix`, report and code), with an offset and jitter
while the labels stay clean (`CorruptedPrefix`, against trusting the prefix blindly), or the rows
the policy had really committed when a relabelled sample carries them (`OwnPrefix`). Samples whose
first rows are a policy's commitment teach only with `OwnPrefix`: those rows are no labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

REPORT_PROBABILITY = 6 / 7
"""With lengths uniform in 1..6 this makes them uniform in 0..6."""


@dataclass(frozen=True)
class NoPrefix:
    """No prefix; samples with committed rows are left out."""


@dataclass(frozen=True)
class CleanPrefix:
    """Recorded rows, length uniform in 1..longest with the given probability.

    Half of the samples get one in the post-training code; `REPORT_PROBABILITY` makes the length
    uniform in 0..longest, as the report has it.
    """

    probability: float = 0.5
    longest: int = 6


@dataclass(frozen=True)
class CorruptedPrefix:
    """Recorded rows with errors.

    Attributes:
        probability: Share of samples with a prefix.
        longest: Longest prefix.
        corrupted: Share of prefixes that get errors.
        offset: Constant error over the whole prefix, in spreads of the row after the longest
            prefix.
        jitter: Independent error per row, in the same unit.
    """

    probability: float = 0.5
    longest: int = 6
    corrupted: float = 0.7
    offset: float = 0.25
    jitter: float = 0.05


@dataclass(frozen=True)
class OwnPrefix:
    """Committed rows of relabelled samples; recorded rows for samples without."""

    probability: float = 0.5
    longest: int = 6


PrefixSource = NoPrefix | CleanPrefix | CorruptedPrefix | OwnPrefix


def longest_prefix(source: PrefixSource) -> int:
    """Longest prefix a source gives, rows."""
    return 0 if isinstance(source, NoPrefix) else source.longest


def draw_prefix(
    source: PrefixSource,
    actions: Tensor,
    committed: Tensor,
    action_std: Tensor,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Draws prefix lengths and the rows to feed.

    Args:
        source: The choice.
        actions: (F, T, 32) normalised chunks.
        committed: (F,) leading rows that are the policy's own.
        action_std: (T, 32) spreads the chunks were normalised with.
        generator: Source of the draws.

    Returns:
        Rows (F, T, 32) to feed where clean, and lengths (F,).
    """
    frames = len(actions)
    lengths = torch.zeros(frames, dtype=torch.long)
    if isinstance(source, NoPrefix):
        return actions, lengths
    drawn = torch.randint(1, source.longest + 1, (frames,), generator=generator)
    given = torch.rand(frames, generator=generator) < source.probability
    lengths = torch.where(given, drawn, lengths)
    if isinstance(source, OwnPrefix):
        own = (committed > 0) & (committed <= source.longest)
        return actions, torch.where(own, committed, lengths)
    if isinstance(source, CleanPrefix):
        return actions, lengths
    unit = action_std[source.longest] / action_std[: actions.shape[1]]
    offset = torch.randn(frames, 1, actions.shape[2], generator=generator) * source.offset
    jitter = torch.randn(actions.shape, generator=generator) * source.jitter
    hit = torch.rand(frames, 1, 1, generator=generator) < source.corrupted
    meaningful = (action_std[source.longest] > action_std.min()).float()
    return actions + hit * (offset + jitter) * unit * meaningful, lengths
