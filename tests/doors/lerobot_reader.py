"""Stock `lerobot` reads an exported set; part of `lerobot_check.py`, which starts it.

Runs in an environment of its own with ``lerobot[dataset]`` and nothing of this project. Loads the
set with ``delta_timestamps``, iterates a DataLoader, compares every action, state and logged column
with the tick logs of the run, and decoded pictures with pictures drawn anew.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

HORIZON = 30
FPS = 30
CAMERA = "observation.images.base"
BATCH = 16
SAME = 1e-6
"""Largest difference of a float32 number from the log's, in its unit; chosen."""


def opened(root: Path, **options) -> LeRobotDataset:
    return LeRobotDataset("local/check", root=root, video_backend="pyav", **options)


def check_tables(data: LeRobotDataset, root: Path, run: Path) -> None:
    """Actions and joints of every frame against the tick logs."""
    columns = data.hf_dataset.with_format("numpy")
    seen = 0
    for episode in data.meta.episodes:
        log = pd.read_parquet(run / "ticks" / f"seed{episode['seed']}.parquet")
        rows = columns[episode["dataset_from_index"] : episode["dataset_to_index"]]
        assert len(log) == episode["length"] == len(rows["action"])
        assert np.abs(rows["action"] - np.stack(log["action"])).max() < SAME
        joints = rows["observation.state"].reshape(-1, 2, 7)[:, :, :6].reshape(-1, 12)
        assert np.abs(joints - np.stack(log["joint_pos"])).max() < SAME
        assert list(rows["event"]) == list(log["events"])
        assert np.array_equal(rows["latency_s"], np.float32(log["latency_s"]), equal_nan=True)
        assert rows["next.done"].tolist() == [False] * (len(log) - 1) + [True]
        seen += len(log)
    assert (
        seen == data.num_frames == json.loads((root / "meta/info.json").read_text())["total_frames"]
    )


def check_windows(root: Path) -> None:
    """Chunks of actions and a pair of pictures by `delta_timestamps`."""
    deltas = {"action": [k / FPS for k in range(HORIZON)], CAMERA: [-1 / FPS, 0.0]}
    windows, plain = opened(root, delta_timestamps=deltas), opened(root)
    for place in (1, len(plain) * 3 // 4, len(plain) - 1):
        item = windows[place]
        assert item["action"].shape == (HORIZON, 14)
        whole = [plain.hf_dataset[k]["action"] for k in range(place, len(plain))][:HORIZON]
        real = ~item["action_is_pad"]
        assert torch.equal(item["action"][real], torch.stack(whole)[: int(real.sum())])
        assert item[CAMERA].shape[:2] == (2, 3)
        # The same frame, found by another way.
        assert torch.equal(item[CAMERA][1], plain[place][CAMERA])
        assert torch.equal(item[CAMERA][0], plain[place - 1][CAMERA])


def check_loader(root: Path) -> None:
    """A batch of a shuffling DataLoader."""
    loader = torch.utils.data.DataLoader(opened(root), batch_size=BATCH, shuffle=True)
    batch = next(iter(loader))
    assert batch["action"].shape == (BATCH, 14)
    assert batch[CAMERA].shape[:2] == (BATCH, 3) and 0 <= batch[CAMERA].min()
    assert len(batch["task"]) == BATCH


def check_pictures(data: LeRobotDataset, drawn: Path) -> float:
    """Of some ticks of all episodes, each decoded picture is closest to its own drawn anew.

    Returns:
        Largest mean difference of a picture from its own [shades of 255].
    """
    pictures = {tuple(name.split(" ")): picture for name, picture in np.load(drawn).items()}
    worst = 0.0
    for episode, tick, key in pictures:
        frame = data.meta.episodes[int(episode)]["dataset_from_index"] + int(tick)
        found = data[frame][key].permute(1, 2, 0).numpy() * 255
        losses = {
            other: float(np.abs(found - picture).mean())
            for other, picture in pictures.items()
            if other[2] == key
        }
        assert min(losses, key=losses.__getitem__) == (episode, tick, key), losses
        worst = max(worst, losses[episode, tick, key])
    return worst


def main(root: Path, run: Path, drawn: Path) -> None:
    data = opened(root)
    check_tables(data, root, run)
    check_windows(root)
    check_loader(root)
    worst = check_pictures(data, drawn)

    print(
        f"lerobot {version('lerobot')}: {data.num_episodes} episodes, {data.num_frames} frames, "
        f"{len(data.meta.tasks)} tasks, {len(data.meta.features)} features; tables equal the tick "
        f"logs, pictures differ by at most {worst:.2f} of 255 shades on average"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
