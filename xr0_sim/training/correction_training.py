"""Training of a correction head: what the expert did in place of the planned row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from xr0_sim.data.correction_store import read_episodes
from xr0_sim.errors import DatasetError
from xr0_sim.model.compute.default_dtype import float32_default
from xr0_sim.model.correction.features import (
    correction_features,
    joined_targets,
    measured_targets,
    rows_ahead,
    stored_targets,
)
from xr0_sim.model.correction.files import save_correction
from xr0_sim.model.correction.head import CorrectionConfig, CorrectionHead
from xr0_sim.model.correction.residual import RESIDUAL_DIM, anchored, bounded
from xr0_sim.training.schedule import SampleOrder, step_generator
from xr0_sim.training.trainer import Trainer, TrainerConfig
from xr0_sim.types import ROBOT_SHAPES, RobotState

SCALE = np.tile([*[0.005] * 3, *[0.05] * 3, 0.2], 2)
"""(14,) residuals that weigh as much as each other: 5 mm, 0.05 rad, a fifth of a jaw. Chosen."""
LEAST_STD = 1e-3
BRIGHTNESS = 0.15
"""Largest relative change of brightness and contrast of a sample's views; chosen."""
EVALUATED_AT_ONCE = 512


@dataclass(frozen=True)
class CorrectionStageConfig:
    """Settings of a training.

    Attributes:
        trainer: Loop settings.
        head: Sizes of the head.
        validation_fraction: Share of episodes held out.
        magnitude_weight: Weight of the squared residual itself, in units of `SCALE`: where nothing
            speaks for a correction there shall be none.
    """

    trainer: TrainerConfig
    head: CorrectionConfig = field(default_factory=CorrectionConfig)
    validation_fraction: float = 0.1
    magnitude_weight: float = 0.01


@dataclass(frozen=True)
class CorrectionSamples:
    """Samples of a store, as the head takes them.

    Attributes:
        features: (N, F).
        targets: (N, 14) bounded residuals in physical units.
        now: (N, V, S, S, 3) uint8.
        then: (M, V, S, S, 3) uint8, one of a chunk.
        chunk: (N,) its place there.
        seed: (N,) episode.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    now: NDArray[np.uint8]
    then: NDArray[np.uint8]
    chunk: NDArray[np.int64]
    seed: NDArray[np.int64]

    @classmethod
    def of_store(cls, folder: Path) -> CorrectionSamples:
        """Reads a store of `xr0_sim.data.correction_store`."""
        arrays, seed = read_episodes(folder)
        chunk, index = arrays["chunk"], arrays["index"].astype(np.int64)
        robot, captured = _robot(arrays, ""), _robot(arrays, "chunk_", chunk)
        horizon = arrays["chunk_rows"].shape[1]
        ahead = rows_ahead(index, horizon)
        rows = stored_targets(
            arrays["chunk_rows"][chunk[:, None], ahead],
            arrays["chunk_rows_tools"][chunk[:, None], ahead],
        )
        planned = stored_targets(
            arrays["chunk_rows"][chunk, index][:, None],
            arrays["chunk_rows_tools"][chunk, index][:, None],
        )
        expert = stored_targets(arrays["expert"], arrays["expert_tools"])
        commanded = stored_targets(arrays["commanded"], arrays["commanded_tools"])
        residual = (anchored(expert, robot) - anchored(planned, robot))[:, 0]
        places = joined_targets(commanded, measured_targets(captured), rows)
        features = correction_features(robot, places, index, arrays["age_ticks"], horizon)
        targets = bounded(residual).astype(np.float32)
        return cls(features, targets, arrays["views"], arrays["chunk_views"], chunk, seed)

    def split(self, fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Samples to learn from and held-out ones, whole episodes: every k-th by its seed."""
        seeds = np.unique(self.seed)
        every = max(2, round(1.0 / fraction)) if fraction else len(seeds) + 1
        held = np.isin(self.seed, seeds[every - 1 :: every])
        return np.flatnonzero(~held), np.flatnonzero(held)

    def batch(self, rows: NDArray[np.integer]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features, views now, views at the capture, and targets of some samples."""
        then = self.then[self.chunk[rows]]
        parts = (self.features[rows], self.now[rows], then, self.targets[rows])
        features, now, before, targets = (torch.from_numpy(part) for part in parts)
        return features, now, before, targets


def train_correction(
    store: Path,
    checkpoint: Path,
    stage: CorrectionStageConfig,
    directory: Path,
    show: Callable[[str], None] = print,
) -> bool:
    """Trains a head and writes it into a checkpoint.

    Args:
        store: Samples.
        checkpoint: Policy whose rows are corrected.
        stage: Settings.
        directory: Run directory.
        show: Receives progress lines.

    Returns:
        True when finished, False when interrupted.
    """
    samples = CorrectionSamples.of_store(store)
    learn, held = samples.split(stage.validation_fraction)
    if not len(learn):
        raise DatasetError(f"store {store}: expected episodes to learn from, got held-out ones")
    show(f"{len(learn)} samples to learn from, {len(held)} held out")
    seed = stage.trainer.seed
    with float32_default(), torch.random.fork_rng():
        torch.manual_seed(seed)
        head = CorrectionHead(stage.head)
    head.feature_mean.copy_(torch.from_numpy(samples.features[learn].mean(0)))  # type: ignore[operator]
    spread = samples.features[learn].std(0).clip(LEAST_STD)
    head.feature_std.copy_(torch.from_numpy(spread))  # type: ignore[operator]
    order = SampleOrder(learn, np.ones(len(learn)), stage.trainer.batch_size, seed)
    scale = torch.tensor(SCALE, dtype=torch.float32)

    def loss(step: int, micro: int) -> Mapping[str, Tensor]:
        features, now, then, targets = samples.batch(order.batch(step, micro))
        generator = step_generator(seed, step, micro, 1)
        now, then = _relit(now, then, generator)
        with torch.random.fork_rng():
            torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
            residual = head(features, now, then) / scale
        error = functional.smooth_l1_loss(residual, targets / scale)
        size = residual.square().mean()
        return {"loss": error + stage.magnitude_weight * size, "error": error, "size": size}

    def evaluate() -> Mapping[str, float]:
        return correction_errors(head, samples, held) if len(held) else {}

    trainer = Trainer(stage.trainer, head, loss, directory, evaluate, show)
    if not trainer.run():
        return False
    with trainer.averaged():
        save_correction(checkpoint, head)
    return True


def correction_errors(
    head: CorrectionHead, samples: CorrectionSamples, rows: NDArray[np.integer]
) -> dict[str, float]:
    """How far plan and corrected plan are from what the expert did, means over both arms.

    Returns:
        ``planned_mm``, ``corrected_mm`` of the tools, ``planned_jaw``, ``corrected_jaw`` and
        ``correction_mm``, the length of the corrections; targets are bounded.
    """
    found = []
    with torch.inference_mode():
        for start in range(0, len(rows), EVALUATED_AT_ONCE):
            features, now, then, _ = samples.batch(rows[start : start + EVALUATED_AT_ONCE])
            found.append(head(features, now, then).numpy())
    residual = np.concatenate(found).reshape(-1, 2, RESIDUAL_DIM // 2)
    wanted = samples.targets[rows].reshape(residual.shape)

    def tools(rows: NDArray[np.floating]) -> float:
        return float(1e3 * np.linalg.norm(rows[..., :3], axis=-1).mean())

    return {
        "planned_mm": tools(wanted),
        "corrected_mm": tools(wanted - residual),
        "correction_mm": tools(residual),
        "planned_jaw": float(np.abs(wanted[..., -1]).mean()),
        "corrected_jaw": float(np.abs(wanted - residual)[..., -1].mean()),
    }


def _robot(
    arrays: Mapping[str, NDArray[Any]], prefix: str, rows: NDArray[np.integer] | None = None
) -> RobotState:
    columns = (arrays[f"{prefix}{name}"] for name in ROBOT_SHAPES)
    picked = (column if rows is None else column[rows] for column in columns)
    return RobotState(*(column.astype(np.float64) for column in picked))


def _relit(now: Tensor, then: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Views under another light and contrast, the same for both moments of a sample."""
    shape = (len(now), 1, 1, 1, 1)
    gain, shift = (
        BRIGHTNESS * (2.0 * torch.rand(shape, generator=generator) - 1.0) for _ in range(2)
    )
    first, second = (
        views.float().mul_(1.0 + gain).add_(255.0 * shift).clamp_(0.0, 255.0)
        for views in (now, then)
    )
    return first, second
