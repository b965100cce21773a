"""``xr0-sim bench cost``: what a study is made of, and what it would take elsewhere.

One model, see ``docs/scaling.md``: an episode costs its beginning and end, its ticks, its pictures
and its inferences; an episode with an event goes on from its undisturbed twin, so that it costs
only what follows the event.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from experiments.benchmarks.report import Measure, report
from experiments.benchmarks.start import CODE, WORKER, ratio_measure, time_command
from experiments.options.condition_options import ConditionOptions
from experiments.runner.condition import Condition
from experiments.runner.episode_run import EpisodeSetup
from experiments.runner.runner import seed_range
from xr0_sim.errors import ConfigError
from xr0_sim.record import TickLog

STRATEGIES, LATENCIES, PAIRS = 14, 6, 2048
"""The study of the plan: every strategy at every latency, so many scenes with and without event."""
CORES = 16


@dataclass(frozen=True)
class Constants:
    """What one thing costs on one core [s].

    Attributes:
        start_s: A worker, once.
        episode_s: Beginning and end of an episode.
        tick_s: A control tick without pictures and inferences.
        pictures_s: All views of a capture.
        inference_s: One chunk.
    """

    start_s: float
    episode_s: float
    tick_s: float
    pictures_s: float
    inference_s: float


@dataclass(frozen=True)
class Amounts:
    """How much of each an episode has.

    Attributes:
        ticks: Control ticks.
        captures: Of all views.
        inferences: Chunks.
        total_s: CPU time of the episode [s], where it was run.
    """

    ticks: float
    captures: float
    inferences: float
    total_s: float = float("nan")


def episode_s(constants: Constants, amounts: Amounts) -> float:
    """CPU time of one episode [s]."""
    return (
        constants.episode_s
        + amounts.ticks * constants.tick_s
        + amounts.captures * constants.pictures_s
        + amounts.inferences * constants.inference_s
    )


def pair_s(constants: Constants, amounts: Amounts, event_at: float) -> float:
    """CPU time of an undisturbed episode and of the one that goes on from it [s].

    Args:
        constants: Of the machine.
        amounts: Of an undisturbed episode.
        event_at: Share of the ticks before the event.
    """
    after = 1.0 - event_at
    rest = Amounts(*(after * getattr(amounts, f.name) for f in fields(Amounts)))
    return episode_s(constants, amounts) + episode_s(constants, rest)


def wall_s(constants: Constants, cpu_s: float, workers: int) -> float:
    """Wall time of so much work over workers that each have a core [s]."""
    return constants.start_s + cpu_s / workers


@dataclass(frozen=True)
class BenchCostConfig(ConditionOptions):
    """Measures the constants of the cost model on whole episodes and foretells others from them.

    Attributes:
        event: Left out: its part is a twin's from the event on.
        episodes: Episodes the constants are from; as many others are foretold.
        seed: Seed of the first.
        starts: How often the start of a worker is timed.
        event_at: Share of an episode before its event.
        card_chunk_ms: Time of a chunk on a graphics card [ms], for what a machine with one would
            take; default: leave that out.
        json: Print one JSON object.
    """

    event: str = "none"
    episodes: int = 3
    seed: int = 700
    starts: int = 3
    event_at: float = 0.4
    card_chunk_ms: float | None = None
    json: bool = False


def run(config: BenchCostConfig) -> int:
    """Measures and prints; exit status 0."""
    if config.episodes < 1 or config.starts < 1 or not 0.0 <= config.event_at <= 1.0:
        raise ConfigError("--episodes, --starts, --event-at: expected 1, 1 and 0 .. 1 or more")
    condition = config.condition()
    seeds = seed_range(config.seed, 2 * config.episodes)
    # The first episode pays for what is loaded on the way.
    list(measured([seeds[0]], condition))
    known = list(measured(seeds[: config.episodes], condition))
    starts = [time_command(("-c", WORKER), CODE)[0] for _ in range(config.starts)]
    constants = replace(_constants(known), start_s=float(np.median(starts)))
    others = list(measured(seeds[config.episodes :], condition))
    ratios = np.array([amounts.total_s / episode_s(constants, amounts) for amounts, _ in others])
    measures = [
        Measure(f.name, WORDS[f.name], 1e3 * getattr(constants, f.name), "ms")
        for f in fields(Constants)
    ]
    measures.append(ratio_measure("episode measured / foretold", ratios))
    report(
        f"{condition.label}, {len(known)} episodes, CPU time of one core",
        measures,
        as_json=config.json,
        config=config,
        tables={"a study of the plan": plan(constants, [a for a, _ in known], config)},
    )
    return 0


WORDS = {
    "start_s": "start of a worker",
    "episode_s": "beginning and end of an episode",
    "tick_s": "tick without pictures and inference",
    "pictures_s": "all views of a capture",
    "inference_s": "one chunk",
}


def measured(
    seeds: Sequence[int], condition: Condition
) -> Iterator[tuple[Amounts, dict[str, float]]]:
    """Runs episodes; amounts, and what ticks, pictures and inferences took of them [s]."""
    setup = EpisodeSetup(condition)
    model = setup.executor.model
    for seed in seeds:
        log = TickLog()
        with (
            _watched(setup.env, ("camera_images",)) as pictures,
            _watched(model, ("infer", "infer_request")) as inference,
            _watched(setup.env, ("advance",)) as ticks,
        ):
            start = time.process_time()
            setup.run(seed, [log])
            log.table().digest()
            total = time.process_time() - start
        amounts = Amounts(ticks[1], pictures[1], inference[1], total)
        yield amounts, {"pictures": pictures[0], "inference": inference[0], "ticks": ticks[0]}


def _constants(known: Sequence[tuple[Amounts, dict[str, float]]]) -> Constants:
    """Ratios of sums; what is in no part belongs to the ticks, but for the reset."""
    total = sum(amounts.total_s for amounts, _ in known)
    ticks, captures, inferences = (
        sum(getattr(amounts, name) for amounts, _ in known)
        for name in ("ticks", "captures", "inferences")
    )
    parts = {name: sum(p[name] for _, p in known) for name in ("pictures", "inference", "ticks")}
    rest = max(0.0, total - sum(parts.values()))
    return Constants(
        start_s=0.0,
        episode_s=rest / len(known),
        tick_s=parts["ticks"] / max(ticks, 1),
        pictures_s=parts["pictures"] / max(captures, 1),
        inference_s=parts["inference"] / max(inferences, 1),
    )


@contextmanager
def _watched(owner: Any, names: Sequence[str]) -> Iterator[list[float]]:
    """CPU time in methods of an object [s] and number of calls, while the block runs."""
    found = [0.0, 0.0]

    def timed(method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                found[0] += time.process_time() - start
                found[1] += 1

        return call

    known = [name for name in names if hasattr(owner, name)]
    for name in known:
        setattr(owner, name, timed(getattr(owner, name)))
    try:
        yield found
    finally:
        for name in known:
            delattr(owner, name)


def plan(
    constants: Constants, known: Sequence[Amounts], config: BenchCostConfig
) -> list[dict[str, Any]]:
    """The study of the plan on several machines, from the mean episode."""
    mean = Amounts(*(float(np.mean([getattr(a, f.name) for a in known])) for f in fields(Amounts)))
    conditions = STRATEGIES * LATENCIES
    rows = []
    cases = {
        "1 core": (1, constants),
        "2 cores": (2, constants),
        f"{CORES} cores": (CORES, constants),
        f"10 machines of {CORES} cores": (10 * CORES, constants),
    }
    if config.card_chunk_ms is not None:
        # The card answers all workers of its machine; its own time is in the last column.
        served = replace(constants, inference_s=0.0)
        cases |= {
            f"{CORES} cores and a card": (CORES, served),
            f"10 machines of {CORES} cores and a card": (10 * CORES, served),
        }
    for name, (cores, at) in cases.items():
        cpu = conditions * PAIRS * pair_s(at, mean, config.event_at)
        row: dict[str, Any] = {
            "machine": name,
            "CPU h": cpu / 3600.0,
            "wall h": wall_s(at, cpu, cores) / 3600.0,
            "card h": "–",
        }
        if at.inference_s == 0.0 and config.card_chunk_ms is not None:
            chunks = conditions * PAIRS * (2.0 - config.event_at) * mean.inferences
            row["card h"] = 1e-3 * config.card_chunk_ms * chunks / (cores / CORES) / 3600.0
        rows.append(row)
    return rows
