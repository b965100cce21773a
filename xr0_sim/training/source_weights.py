"""How often training draws samples, by their source and the code that labelled them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.errors import ConfigError

DEMO_SOURCE = "demo"


def weigh_sources(store: ChunkStore, weight: float, single: str) -> None:
    """Multiplies the sampling weights of a store by factors of where its samples come from.

    Args:
        store: Its column ``weight`` is changed in memory.
        weight: Factor for everything that is no demonstration.
        single: SOURCE=WEIGHT or SOURCE@COMMIT=WEIGHT with commas; factors in its place. A commit
            goes before a source alone, and may be cut short.

    Raises:
        ConfigError: A source or commit that the store does not have, or a weight that is none.
    """
    source = store.column("source")
    factors = np.array(
        [1.0 if name == DEMO_SOURCE else weight for name in store.sources], np.float32
    )[source]
    parts = [_parsed(part, store.sources) for part in filter(None, single.split(","))]
    for name, commit, value in sorted(parts, key=lambda part: part[1] is not None):
        rows = source == store.sources.index(name)
        if commit is not None:
            rows &= _labelled_by(store, name, commit, rows)
        factors[rows] = value
    store.column("weight")[:] *= factors


def _parsed(part: str, sources: list[str]) -> tuple[str, str | None, float]:
    """Source, commit if one is named, and weight of one entry."""
    told, _, text = part.partition("=")
    name, at, commit = told.partition("@")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if name not in sources or (at and not commit) or not 0.0 <= value < np.inf:
        raise ConfigError(
            f"--source-weights: expected SOURCE=WEIGHT or SOURCE@COMMIT=WEIGHT with a source of "
            f"the store, {', '.join(sources)}, and a weight >= 0, got {part!r}"
        )
    return name, commit if at else None, value


def _labelled_by(
    store: ChunkStore, name: str, commit: str, rows: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    commits = store.commits()
    own = sorted(set(commits[rows].tolist()))
    matching = [known for known in own if known.startswith(commit)]
    if not matching:
        raise ConfigError(
            f"--source-weights: expected a commit of {name}, {', '.join(own)}, got {commit!r}; "
            "see xr0-sim dataset show"
        )
    return np.isin(commits, matching)
