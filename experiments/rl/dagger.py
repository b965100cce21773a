"""Learns from a teacher that also labels the situations the agent gets into.

Ross et al. 2011 ("DAgger"): a clone of the demonstrations plays, the teacher says what it would
have decided, the clone is trained on everything, and so on. Every round is a file, so that a
stopped training does not play it again.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize

from experiments.rl.demonstrations import (
    Demonstrations,
    demonstrate,
    load_demonstrations,
    union,
)
from experiments.rl.learner import (
    DemonstratedSAC,
    HalfDemonstrated,
    exported,
    feature_statistics,
)
from experiments.rl.run_folder import DEMO_FILE, ROUND_FILE, cut_curve
from experiments.rl.watch import Watch
from policies.rl.agent import Agent
from policies.rl.staged_env import StagedBlocks

if TYPE_CHECKING:
    from experiments.rl.training import RlTraining

DEMO_SEED = 7_400_000
"""First episode seed of demonstrations; those of the rounds follow."""
FINAL = 4
"""Gradient steps behind the last round over those behind every other. Chosen."""


def labelled(folder: Path) -> list[Demonstrations]:
    """What lies in the folder already, demonstrations first."""
    paths = [folder / DEMO_FILE]
    while paths[-1].is_file():
        paths.append(folder / ROUND_FILE.format(len(paths)))
    return [load_demonstrations(path) for path in paths[:-1]]


def learn_from_teacher(
    config: RlTraining,
    folder: Path,
    model: DemonstratedSAC,
    statistics: VecNormalize,
    watch: Watch,
    say: Callable[[str], None],
) -> None:
    """Demonstrations, clone, rounds; then the critics get to know the clone."""
    env = StagedBlocks(config.stage, **config.env_kwargs)
    known = labelled(folder)
    points = cut_curve(folder, lambda point: point.get("round", len(known)) < len(known))
    watch.counters["best"] = max(([p["success"], p["return"]] for p in points), default=[])
    for number in range(max(0, len(known) - 1), config.rounds + 1):
        if number == len(known):
            agent = exported(model, statistics, {}) if number else None
            known.append(_play(config, folder, env, number, agent, say))
        last = number == config.rounds
        _clone(model, statistics, union(known), config.clone_steps * (FINAL if last else 1), say)
        if not last:
            watch.evaluate(round=number, labelled=sum(map(len, known)))
    env.close()
    model.settle_critics(config.clone_steps, model.batch_size)


def _play(
    config: RlTraining,
    folder: Path,
    env: StagedBlocks,
    number: int,
    agent: Agent | None,
    say: Callable[[str], None],
) -> Demonstrations:
    count = config.demonstrations if number == 0 else config.round_episodes
    before = config.demonstrations + (number - 1) * config.round_episodes if number else 0
    rng = np.random.default_rng([config.seed, number])
    made = demonstrate(env, DEMO_SEED + before, count, rng, say, agent)
    made.save(folder / (ROUND_FILE.format(number) if number else DEMO_FILE))
    return made


def _clone(
    model: DemonstratedSAC,
    statistics: VecNormalize,
    shown: Demonstrations,
    steps: int,
    say: Callable[[str], None],
) -> None:
    buffer = model.replay_buffer
    assert isinstance(buffer, HalfDemonstrated)
    buffer.demonstrations = shown
    seen = feature_statistics(statistics)
    seen.mean, seen.var = shown.features.mean(0, np.float64), shown.features.var(0, np.float64)
    seen.count = len(shown)
    loss = model.clone(steps, model.batch_size, settles=True)
    say(f"clone of {len(shown)} decisions: mean squared error {loss:.4f}")
