"""Keys and values of the frozen VLM, computed once per sample and kept on disk.

One float16 array per store shard, ``DIRECTORY/<VLM hash>/<shard>.npy`` of shape
(count, L_dit, 2, K, S, d), written by rename: an interrupted run goes on at the next shard, and new
shards of a growing store are added without touching the old ones. About 110 kB a sample for the
``tiny`` preset.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from xr0_sim.data.chunk_store import ChunkStore, Shard
from xr0_sim.errors import DatasetError
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.cache import VlmCache
from xr0_sim.model.vlm.forward import forward
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.training.parallel import Ranks

BATCH = 64


def weights_hash(module: nn.Module) -> str:
    """16 hex digits that change with any weight."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]


class FeatureStore:
    """Cached VLM features of a sample store; computes what is missing.

    Args:
        directory: Where features of any VLM may lie.
        store: The samples.
        model: Holds the frozen VLM, loaded from its stored (float16) weights.
        processor: Prompts and images.
        show: Receives progress lines.
    """

    def __init__(
        self,
        directory: Path,
        store: ChunkStore,
        model: XR0ForActionGeneration,
        processor: XR0Processor,
        show: Callable[[str], None] = print,
    ) -> None:
        self._directory = Path(directory) / weights_hash(model.vlm)
        self._store = store
        self._processor = processor
        size = (store.meta.image_size, store.meta.image_size)
        prompts = [processor.prompt(text, size) for text in store.instructions]
        self._lengths = np.array([len(prompt.ids) for prompt in prompts])
        self._next = np.array([prompt.positions.max() + 1 for prompt in prompts])
        self._directory.mkdir(parents=True, exist_ok=True)
        with Ranks.present().main_first():
            self._make_missing(model, show)
        self._arrays = [self._open(s) if self._wanted(s) else None for s in store.shards]
        self._starts = np.array([shard.start for shard in store.shards])

    def gather(self, rows: NDArray[np.integer], full_length: bool = False) -> VlmCache:
        """The cache of B samples, float32.

        Args:
            rows: Store rows.
            full_length: Pad to the longest prompt of the store, so that every batch has the same
                shape, instead of to the longest among the rows.
        """
        rows = np.asarray(rows)
        instruction = self._store.column("instruction")[rows]
        lengths = self._lengths[instruction]
        longest = int((self._lengths if full_length else lengths).max())
        shape = next(array for array in self._arrays if array is not None).shape
        batch = np.zeros((len(rows), *shape[1:4], longest, shape[5]), np.float16)
        shard_of = np.searchsorted(self._starts, rows, side="right") - 1
        for shard in np.unique(shard_of):
            here = np.flatnonzero(shard_of == shard)
            array = self._arrays[shard]
            if array is None:
                raise DatasetError(
                    f"features: expected samples with a chunk, got row {rows[here][0]} of a shard "
                    "of sights; leave them out"
                )
            part = array[rows[here] - self._starts[shard]]
            width = min(longest, part.shape[4])
            batch[here, ..., :width, :] = part[..., :width, :]
        key_mask = np.arange(longest) < lengths[:, None]
        return VlmCache.from_stacked(
            torch.from_numpy(batch).float(),
            torch.from_numpy(key_mask),
            torch.from_numpy(self._next[instruction]),
        )

    def _wanted(self, shard: Shard) -> bool:
        """Whether any sample of the shard has a chunk; sights serve the VLM alone."""
        steps = self._store.column("valid_steps")[shard.start : shard.start + shard.count]
        return bool((steps > 0).any())

    def _path(self, shard: Shard) -> Path:
        return self._directory / f"{shard.name}.npy"

    @torch.no_grad()
    def _make_missing(self, model: XR0ForActionGeneration, show: Callable[[str], None]) -> None:
        wanted = [shard for shard in self._store.shards if self._wanted(shard)]
        missing = [shard for shard in wanted if not self._path(shard).exists()]
        total, done, since = sum(shard.count for shard in missing), 0, time.monotonic()
        for shard in missing:
            blocks = []
            rows = np.arange(shard.start, shard.start + shard.count)
            texts = [self._store.instructions[i] for i in self._store.column("instruction")[rows]]
            longest = max(len(self._processor.prompt(t, self._size()).ids) for t in texts)
            for start in range(0, shard.count, BATCH):
                part = slice(start, start + BATCH)
                inputs = self._processor(self._store.images(rows[part]), texts[part])
                layers = model.config.dit_config.num_hidden_layers
                seen = forward(model.vlm, inputs.to(model.device), layers)[1].stacked()
                stacked = seen.to(torch.float16).cpu().numpy()
                block = np.zeros((*stacked.shape[:4], longest, stacked.shape[5]), np.float16)
                block[..., : stacked.shape[4], :] = stacked
                blocks.append(block)
            temporary = self._path(shard).with_suffix(f".{os.getpid()}.tmp.npy")
            np.save(temporary, np.concatenate(blocks))
            os.replace(temporary, self._path(shard))
            done += shard.count
            rate = done / (time.monotonic() - since)
            eta = (total - done) / rate / 60
            show(f"features {done}/{total}  {rate:.0f} frames/s  eta {eta:.1f} min")

    def _size(self) -> tuple[int, int]:
        return (self._store.meta.image_size, self._store.meta.image_size)

    def _open(self, shard: Shard) -> NDArray[np.float16]:
        try:
            array = np.load(self._path(shard), mmap_mode="r")
            if len(array) != shard.count:
                raise ValueError(f"{len(array)} rows for {shard.count} samples")
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"features {self._path(shard)}: expected {shard.count} rows, got "
                f"{type(error).__name__}: {error}; delete the file, it will be made again"
            ) from error
        return array
