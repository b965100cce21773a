"""``xr0-sim dataset show``: what a sample store holds, and which code and policy it comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from xr0_sim.data.chunk_store import ChunkStore, Shard
from xr0_sim.errors import ConfigError

COLUMNS = ("source", "commit", "policy", "samples", "episodes", "seeds", "shards")


@dataclass(frozen=True)
class DatasetShowConfig:
    """Prints one line for each source, commit and policy whose samples a store holds.

    A store is filled by several programs over time, and an expert that was changed in between
    labels the same sight in another way: ``xr0-sim train --source-weights SOURCE@COMMIT=WEIGHT``
    draws its samples more or less often, or not at all.

    Attributes:
        store: Store directory.
        json: Print one JSON object.
    """

    store: Annotated[str, tyro.conf.Positional] = ""
    json: bool = False


def run(config: DatasetShowConfig) -> int:
    """Prints, returns the exit status."""
    if not config.store:
        raise ConfigError(
            "dataset show: expected the directory of a sample store, got nothing; name one, e.g. "
            "xr0-sim dataset show data/blocks"
        )
    store = ChunkStore(Path(config.store))
    lines = described(store)
    task = store.meta.provenance.get("env")
    if config.json:
        print(json.dumps({"task": task, "samples": len(store), "parts": lines}))
        return 0
    print(f"{config.store}: {task or 'task unknown'}, {len(store)} samples, ", end="")
    print(f"{store.meta.image_size} px, {store.meta.horizon} rows a chunk")
    table = [COLUMNS, *(tuple(str(line[name]) for name in COLUMNS) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).strip())
    return 0


def described(store: ChunkStore) -> list[dict[str, Any]]:
    """Samples, episodes and range of seeds by source, commit and policy, in order of names.

    ``policy`` is the checkpoint that drove where one did, else ``-``; both are ``unknown`` for
    shards of before origins were kept.
    """
    source, seed = store.column("source"), store.column("episode_seed")
    found: dict[tuple[str, str, str], list[np.ndarray]] = {}
    for shard in store.shards:
        rows = np.arange(shard.start, shard.start + shard.count)
        for number in np.unique(source[rows]):
            key = (store.sources[number], shard.commit, _policy(shard))
            found.setdefault(key, []).append(rows[source[rows] == number])
    lines = []
    for key, parts in sorted(found.items()):
        seeds = np.unique(seed[np.concatenate(parts)])
        lines.append(
            {
                **dict(zip(COLUMNS, key, strict=False)),
                "samples": sum(map(len, parts)),
                "episodes": len(seeds),
                "seeds": f"{seeds[0]} - {seeds[-1]}",
                "shards": len(parts),
            }
        )
    return lines


def _policy(shard: Shard) -> str:
    if not shard.origin:
        return "unknown"
    options = shard.origin.get("config")
    checkpoint = options.get("checkpoint") if isinstance(options, dict) else None
    return str(checkpoint) if checkpoint else "-"
