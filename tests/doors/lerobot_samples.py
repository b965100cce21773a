"""Stock `lerobot` reads an exported sample store; part of `lerobot_check.py`, which starts it.

The second argument holds the store's columns as this project reads them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

BATCH = 4


def main(root: Path, stored: Path) -> None:
    data = LeRobotDataset("local/samples", root=root, video_backend="pyav")
    wanted = np.load(stored)
    columns = data.hf_dataset.with_format("numpy")[:]
    for name, column in wanted.items():
        found = np.asarray(columns[name]).reshape(column.shape)
        assert np.array_equal(found, column), name
    batch = next(iter(torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)))
    chunk = batch["action_chunk"].reshape(BATCH, -1, 14)
    assert torch.equal(chunk[:, 0], batch["action"])
    assert batch["observation.images.base"].shape[:2] == (BATCH, 3)
    print(
        f"lerobot reads a sample store: {len(data)} samples, {len(wanted)} columns equal, "
        f"chunks {tuple(chunk.shape[1:])}"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
