"""``xr0-sim ablate``: a factorial of anything a condition has, from a file or from factors."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from experiments.options.condition_options import given_options
from experiments.options.network_options import WeightOptions
from experiments.options.task_options import TaskOptions
from experiments.study.study import Study
from experiments.study.study_file import (
    factor_arguments,
    make_study,
    narrowed,
    read_study_file,
    with_factors,
)
from experiments.study.text import study_object, study_text
from experiments.study.until import MOST_SEEDS
from xr0_sim.errors import ConfigError
from xr0_sim.record.runcard import to_json

DEFAULT_EPISODES = 10


@dataclass(frozen=True)
class AblateConfig(TaskOptions, WeightOptions):
    """Runs the same seeds under every combination of the factors; one row an episode.

    A factor is any option below, a field of a plug (strategy.execution_horizon, event.distance_m,
    event.trigger, latency.std_s, env.n_bricks), or one of the file. What is not a factor is the
    same everywhere. Bare numbers as latencies are milliseconds. Rows that are there already are not
    run again.

    Attributes:
        study: TOML file with factors, seeds, exclusions; options given here take precedence.
        factor: NAME=LEVEL,LEVEL,...; may be given several times; levels with commas of their own
            are parted by semicolons: event=none;shove,drop.
        env: Task, or TASK:field=value,... with its arguments; default block_dismantling.
        policy: xr0 (trained; default), oracle (the scripted expert, rehearsed), or one of yours.
        head: sync, prefix, prefix_lambda, rolled or prefix_refreshed; default: the one trained for
            the strategy.
        strategy: prefix_async (default), sync, naive_async, another of `xr0-sim list`, or yours.
        execution_horizon: Executed actions before the next inference starts; default for xr0: what
            the checkpoint was measured best with; else 10.
        prefix_steps: Fixed prefix length; default: as long as the estimated delay.
        alignment: How the prefix is placed: report (default) or readme.
        latency: One that all share; default xr0_4090.
        estimator: What the controller believes about the delay; default oracle.
        delay_error: Error of the estimated delay [ticks]; default 0.
        event: none, or NAME[:field=value,...][@TRIGGER]; default shove.
        max_seconds: Time limit of an episode [simulated s]; default: that of the level, e.g. 40.
        stall_s: End an episode as a failure after so long without progress [simulated s]; default:
            never. Rows say where it happened.
        episodes: Episodes per condition; default 10.
        seed: Seed of the first; the others follow; default 0.
        workers: Processes; the results do not depend on it.
        engine: pool (processes of this machine) or ray.
        address: Address of a Ray cluster; default: one is started on this machine.
        ticks: Keep the tick logs.
        until: Add episodes until intervals are this narrow: "±3 points" of success, "±0.5 s" to
            success, "±3 points paired" of differences; the table then carries intervals that may
            be looked at at any time.
        most_episodes: Bound on the episodes per condition that --until adds.
        out: Folder of the study; if it exists, what is missing is run.
        json: Print the summary as one JSON object.
    """

    study: Annotated[str, tyro.conf.Positional] = ""
    factor: tuple[str, ...] = ()
    env: str = ""
    policy: str = ""
    head: str | None = None
    strategy: str = ""
    execution_horizon: int | None = None
    prefix_steps: int | None = None
    alignment: str | None = None
    latency: str = ""
    estimator: str = ""
    delay_error: int | None = None
    event: str = ""
    max_seconds: float | None = None
    stall_s: float | None = None
    episodes: int | None = None
    seed: int | None = None
    workers: int = 1
    engine: str = "pool"
    address: str | None = None
    ticks: bool = False
    until: str | None = None
    most_episodes: int = MOST_SEEDS
    out: str | None = None
    json: bool = False

    def make(self) -> Study:
        """The study these options and their file stand for."""
        found: dict[str, Any] = dict(read_study_file(self.study)) if self.study else {}
        given = found.get("factors", {})
        found["factors"] = with_factors(given, factor_arguments(self.factor))
        if "exclude" in found:
            found["exclude"] = narrowed(found["exclude"], given, found["factors"])
        for name, value in given_options(self).items():
            if name in found["factors"]:
                raise ConfigError(
                    f"--{name.replace('_', '-')}: expected it as an option or as a factor, got "
                    "both; keep one"
                )
            found[name] = value
        if self.episodes is not None or self.seed is not None or "seeds" not in found:
            first = self.seed or 0
            count = DEFAULT_EPISODES if self.episodes is None else self.episodes
            if count < 1:
                raise ConfigError(f"--episodes: expected at least 1, got {count}")
            found["seeds"] = list(range(first, first + count))
        return make_study(found)


def run(config: AblateConfig) -> int:
    """Runs, prints, returns the exit status."""
    if not config.study and not config.factor:
        raise ConfigError("ablate: expected a STUDY.toml or --factor NAME=LEVEL,..., got neither")
    study = config.make()
    status = 0
    try:
        study.run(
            config.out,
            workers=config.workers,
            engine=config.engine,
            address=config.address,
            ticks=config.ticks,
            until=config.until,
            most_seeds=config.most_episodes,
        )
    except KeyboardInterrupt:
        status = 130
    if config.json:
        print(json.dumps(to_json(study_object(study)), ensure_ascii=False, allow_nan=False))
    else:
        print(study_text(study))
    if status:
        print(
            f"interrupted: what is finished is kept; --out {study.folder} continues",
            file=sys.stderr,
        )
    return status
