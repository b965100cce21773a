"""Statistics and file layout of a LeRobotDataset."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.data.lerobot import layout
from xr0_sim.data.lerobot.statistics import QUANTILES, number_stats, picture_stats, shade_counts


def test_picture_statistics_are_those_of_all_pixels():
    rng = np.random.default_rng(3)
    frames = rng.integers(20, 200, (5, 9, 7, 3), dtype=np.uint8)
    counts = np.sum([shade_counts(frame) for frame in frames], axis=0)
    found = picture_stats(counts, len(frames))
    pixels = frames.reshape(-1, 3) / 255
    for name, value in {
        "min": pixels.min(0),
        "max": pixels.max(0),
        "mean": pixels.mean(0),
        "std": pixels.std(0),
        **{name: np.quantile(pixels, q, axis=0) for name, q in QUANTILES.items()},
    }.items():
        assert np.shape(found[name]) == (3, 1, 1)
        assert np.ravel(found[name]) == pytest.approx(value, abs=1.01 / 255), name
    assert np.ravel(found["mean"]) == pytest.approx(pixels.mean(0), abs=1e-12)
    assert found["count"] == [5]


def test_numbers_that_are_not_finite_do_not_count():
    values = np.array([[1.0, np.nan], [3.0, np.nan]])
    found = number_stats(values)
    assert found["mean"] == [2.0, 0.0] and found["std"] == [1.0, 0.0]
    assert found["min"] == [1.0, 0.0] and found["q50"] == [2.0, 0.0] and found["count"] == [2]
    assert number_stats(np.array([True, False]))["mean"] == [0.5]


def test_large_sets_are_cut_into_files_and_folders(tmp_path):
    assert layout.file_numbers([3, 3, 3, 9, 1], 6) == [0, 0, 1, 2, 3]
    path = layout.path(tmp_path, layout.VIDEO, 1002, "observation.images.base")
    assert path == tmp_path / "videos/observation.images.base/chunk-001/file-002.mp4"


def test_the_names_of_a_state_are_in_the_order_of_an_action():
    names = layout.motor_names()
    assert len(names) == 14
    assert (names[0], names[6], names[7], names[13]) == (
        "left_joint_1",
        "left_jaw",
        "right_joint_1",
        "right_jaw",
    )
