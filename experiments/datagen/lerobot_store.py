"""The samples of a store, to be exported as a LeRobotDataset: one frame a sample.

Samples of a store lie several ticks apart, so frame k at ``k / fps`` seconds is an address, not a
time; the time is the column ``tick``. What follows a frame is in the frame, ``action_chunk``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.datagen.lerobot_films import appearing, films
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.tables import TASK, store_episode
from xr0_sim.errors import ConfigError


class StoreSource:
    """What is exported of a sample store; samples of one source and seed are an episode.

    Args:
        store: The store.

    Attributes:
        columns: Columns of the set.
        episodes: Folder name of each episode, in order.

    Raises:
        ConfigError: Other cameras than this project's, or pictures that cannot be filmed.
    """

    def __init__(self, store: ChunkStore) -> None:
        meta = store.meta
        if tuple(meta.cameras) != CAMERAS or meta.image_size % 2:
            raise ConfigError(
                f"store {store.root}: expected the views {', '.join(CAMERAS)} with an even side, "
                f"got {', '.join(meta.cameras)} of {meta.image_size} px"
            )
        self._store = store
        self.columns = layout.sample_columns(meta.horizon, meta.grounding_dim)
        keys = np.stack([store.column("source"), store.column("episode_seed")], axis=1)
        _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        self._rows = [np.flatnonzero(group.ravel() == member) for member in order]
        self.episodes = [f"episode-{k:06d}" for k in range(len(self._rows))]

    def told(self) -> dict[str, Any]:
        """Identity of the set, JSON values."""
        shards = {shard.name: shard.count for shard in self._store.shards}
        return {"store": asdict(self._store.meta), "shards": shards}

    def record(self, scratch: Path, say: Callable[[str], None]) -> int:
        """Stores the episodes that are missing; returns the side of the pictures [px]."""
        store = self._store
        for number, (name, rows) in enumerate(zip(self.episodes, self._rows, strict=True), start=1):
            source = store.sources[store.column("source")[rows[0]]]
            seed = int(store.column("episode_seed")[rows[0]])
            if not (scratch / name).is_dir():
                facts = {"seed": seed, "source": source}
                self._export(rows, facts, scratch / name)
            say(f"{number}/{len(self.episodes)} {source} seed {seed}: {len(rows)} samples")
        return store.meta.image_size

    def _export(self, rows: NDArray[np.int64], facts: dict[str, Any], folder: Path) -> None:
        store = self._store
        with appearing(folder) as partial:
            with films(partial, store.meta.image_size, folder) as filmed:
                for row in rows:
                    filmed.write(list(store.images(np.array([row]))[0]))
            columns = self._columns(rows)
            store_episode(partial, facts, columns, self.columns, filmed.shades)

    def _columns(self, rows: NDArray[np.int64]) -> dict[str, NDArray]:
        store, count = self._store, len(rows)
        frames = np.arange(count)
        arms = [store.column("joint_pos")[rows], store.column("jaw")[rows][..., None]]
        same = [name for name in self.columns if name in store.meta.fields()]
        found = {name: store.column(name)[rows].reshape(count, -1) for name in same}
        return {
            **{
                name: values[:, 0] if values.shape[1] == 1 else values
                for name, values in found.items()
            },
            layout.STATE: np.concatenate(arms, axis=-1).reshape(count, -1),
            layout.ACTION: store.column("actions")[rows][:, 0],
            layout.CHUNK: store.column("actions")[rows].reshape(count, -1),
            "source": np.array(store.sources, dtype=object)[store.column("source")[rows]],
            "next.done": frames == count - 1,
            "timestamp": frames / CONTROL_HZ,
            "frame_index": frames,
            TASK: np.array(store.instructions, dtype=object)[store.column("instruction")[rows]],
        }
