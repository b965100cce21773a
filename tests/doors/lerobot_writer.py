"""Stock `lerobot` records a set with this robot's names; part of `lerobot_check.py`.

The frames are those of an exported set, decoded and handed to lerobot's own writer and encoder:
what a recording of others looks like to ``dataset import``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lerobot.datasets.lerobot_dataset import LeRobotDataset

RECORDED = ("observation.state", "action")


def main(source: Path, target: Path) -> None:
    given = LeRobotDataset("local/source", root=source, video_backend="pyav")
    kept = [*RECORDED, *given.meta.video_keys]
    features = {name: {**given.meta.features[name]} for name in kept}
    for feature in features.values():
        feature.pop("info", None)
        feature["shape"] = tuple(feature["shape"])
    made = LeRobotDataset.create("local/made", fps=given.fps, features=features, root=target)
    for episode in given.meta.episodes:
        for k in range(episode["dataset_from_index"], episode["dataset_to_index"]):
            frame = given[k]
            values = {name: frame[name].numpy() for name in RECORDED}
            views = {name: frame[name].permute(1, 2, 0).numpy() for name in given.meta.video_keys}
            made.add_frame({**values, **views, "task": frame["task"]})
        made.save_episode()
    made.finalize()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
