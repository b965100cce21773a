"""``xr0-sim collect``: demonstrations, or corrections of a policy, into a sample store."""

from __future__ import annotations

import functools
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.control_rate import check_recorded_rate
from envs.tasks import make_env, own_presets, register_events, task_spec
from envs.world import DEFAULT_WORLD
from experiments.options.task_options import TaskOptions
from experiments.runner.condition import choose_events
from experiments.runner.pool import TaskPool, check_stop
from experiments.runner.progress import Progress
from policies.xr0.checkpoints import checkpoint_heads
from xr0_sim.conventions import CONTROL_HZ
from xr0_sim.errors import ConfigError, SimulationError, unknown_name

if TYPE_CHECKING:
    from experiments.datagen.dagger import RelabelConfig
    from experiments.datagen.takeovers import TakeoverConfig
    from policies.scripted.oracle import ChunkOracle
    from policies.xr0.chunk_model import XR0ChunkModel
    from xr0_sim.data.chunk_schema import StoreMeta

EXPERT_SOURCES = (
    "demo",
    "counterfactual",
    "sighting",
    "late_look",
    "first_look",
    "first_reach",
    "recovery",
    "start_anywhere",
)
BLOCK = 10
"""Episodes per task and shard prefix."""


@dataclass(frozen=True)
class CollectConfig(TaskOptions):
    """Collects training samples; an interrupted collection goes on where it stopped.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        out: Store directory.
        episodes: Number of episodes.
        seed: Seed of the first; the others follow.
        image_size: Side of the pictures [px]; the model preset must have the same.
        checkpoint: Policy to correct (DAgger); empty records demonstrations of the expert.
        heads: Heads of the policy, with commas; each episode draws one.
        events: Event presets to draw from, with commas, e.g. where a policy is weak; empty takes
            those of the task's lesson.
        event_share: Share of episodes with one random event; default 0.35 of demonstrations, 0.7
            of takeovers, 0.3 of corrections, and none of the other kinds.
        source: Name of this data in the store: "demo" for demonstrations, "counterfactual" for
            the expert's arms with the bricks or the towel elsewhere, "sighting" for the same
            without chunks; "late_look", "first_look", "first_reach", "recovery" and
            "start_anywhere" for the expert where a plan for the old scene, hands gone astray or a
            new scene have led; with --checkpoint "takeover..." for the expert where the policy
            has led, and any other name for corrections.
        policy_turn: Shortest and longest turn of a policy that drives, A-B [ticks].
        expert_turn: How long samples are taken after a takeover, or the longest turn of the
            expert between those of a policy that is corrected [ticks].
        max_ticks: Tick limit of an episode with --checkpoint, e.g. where a policy is weak early in
            the task; default 360 of corrections, 750 of takeovers.
        no_own_prefix: Corrections without those behind the policy's own committed actions, from
            which only heads with a prefix learn.
        workers: Worker processes; the samples do not depend on it.
    """

    env: str = "block_dismantling"
    out: str = "data/blocks"
    episodes: int = 1000
    seed: int = 1_000_000
    image_size: int = 128
    checkpoint: str = ""
    heads: str = "sync"
    source: str = "demo"
    events: str = ""
    event_share: float | None = None
    policy_turn: str = ""
    expert_turn: int | None = None
    max_ticks: int | None = None
    no_own_prefix: bool = False
    workers: int = 2


@dataclass(frozen=True)
class CollectTask:
    """A block of episodes that one worker records."""

    config: CollectConfig
    first: int
    count: int

    @property
    def prefix(self) -> str:
        """Shard prefix, unique in the store."""
        return f"{self.config.source}_{self.first:09d}"


def run(config: CollectConfig) -> int:
    """Collects; returns the exit status."""
    config.env_kwargs()
    if config.episodes < 1 or config.seed < 0:
        raise ConfigError(
            f"collect: expected --episodes >= 1 and --seed >= 0, got {config.episodes} and "
            f"{config.seed}"
        )
    if bool(config.checkpoint) == (config.source in EXPERT_SOURCES):
        raise ConfigError(
            f"--source {config.source!r}: expected one of {', '.join(EXPERT_SOURCES)} without "
            "--checkpoint, and another name with it"
        )
    if config.checkpoint:
        _check_heads(config.checkpoint, config.heads)
    check_recorded_rate(task_spec(config.task).rate(config.env_kwargs()), CONTROL_HZ, "collect")
    _check_events(config)
    turns_of(config)
    ends = range(config.seed, config.seed + config.episodes, BLOCK)
    last = config.seed + config.episodes
    tasks = [CollectTask(config, first, min(BLOCK, last - first)) for first in ends]
    solved = played = samples = 0
    with TaskPool(config.workers) as pool, Progress(config.episodes, "collecting") as progress:
        for _, result in pool.run(collect_block, tasks):
            for seed, success in result["episodes"]:
                outcome = "invalid" if success is None else "success" if success else "failure"
                progress.advance(f"seed {seed}", outcome)
                solved, played = solved + bool(success), played + (success is not None)
            samples += result["samples"]
    print(f"{samples} samples from {played} episodes, {solved} of them solved", file=sys.stderr)
    return 0


def _check_heads(checkpoint: str, heads: str) -> None:
    """Refuses a policy or heads that there are not, before a store is begun."""
    known = checkpoint_heads(checkpoint)
    for head in heads.split(","):
        if head not in known:
            raise unknown_name(f"head of {checkpoint}", head, known)


def _check_events(config: CollectConfig) -> None:
    """Refuses what an episode would refuse later, and options that would do nothing."""
    from experiments.datagen.detours import AFTER_EVENTS, RECOVERY, START_ANYWHERE
    from experiments.datagen.rearranged_scenes import KINDS

    if config.events:
        world = config.env_kwargs().get("world", DEFAULT_WORLD)
        events = choose_events(config.task, config.events, world=world)
        if not events:
            raise ConfigError("--events: expected presets, got none; use --event-share 0")
    share = config.event_share
    if share is not None and not 0.0 <= share <= 1.0:
        raise ConfigError(f"--event-share: expected 0 .. 1, got {share}")
    quiet = (*KINDS, RECOVERY, START_ANYWHERE)
    if config.source in quiet and (config.events or share is not None):
        raise ConfigError(
            f"--source {config.source!r}: expected neither --events nor --event-share, got "
            f"{config.events!r} and {share}; nothing happens there, leave them out"
        )
    if config.source in AFTER_EVENTS and share is not None:
        raise ConfigError(
            f"--source {config.source!r}: expected no --event-share, got {share}; each of its "
            "looks follows an event, leave it out"
        )


def takes_over(source: str) -> bool:
    """Whether a source is of takeovers."""
    from experiments.datagen.takeovers import TAKEOVER

    return source.startswith(TAKEOVER)


def turns_of(config: CollectConfig) -> TakeoverConfig | RelabelConfig:
    """How policy and expert take turns in takeovers and corrections.

    Raises:
        ConfigError: A turn that there is not, or one of a source in which no policy drives.
    """
    from experiments.datagen.dagger import RelabelConfig
    from experiments.datagen.takeovers import TakeoverConfig

    given: dict[str, Any] = {}
    if config.event_share is not None:
        given["event_share"] = config.event_share
    of_policies = (config.policy_turn or None, config.expert_turn, config.max_ticks)
    if not config.checkpoint and any(value is not None for value in of_policies):
        raise ConfigError(
            f"--source {config.source!r}: expected none of --policy-turn, --expert-turn and "
            "--max-ticks, which sources with --checkpoint have; leave them out"
        )
    kind = TakeoverConfig if takes_over(config.source) else RelabelConfig
    if config.no_own_prefix:
        if not config.checkpoint or kind is TakeoverConfig:
            raise ConfigError(
                f"--source {config.source!r}: expected no --no-own-prefix, which corrections have; "
                "leave it out"
            )
        given["longest_prefix"] = 0
    if config.policy_turn:
        ends = config.policy_turn.split("-")
        if len(ends) != 2 or not all(end.isdecimal() for end in ends):
            raise ConfigError(
                f"--policy-turn: expected A-B in ticks, got {config.policy_turn!r}; give the "
                "shortest and the longest turn, such as 40-160"
            )
        shortest, longest = map(int, ends)
        least = TakeoverConfig.longest_prefix
        if not least <= shortest <= longest:
            raise ConfigError(
                f"--policy-turn: expected {least} <= A <= B, got {config.policy_turn!r}; give "
                f"turns of {least} ticks or more, the longer one last"
            )
        given["policy_turn"] = (shortest, longest + (kind is RelabelConfig))
    if config.max_ticks is not None:
        if config.max_ticks < 1:
            raise ConfigError(f"--max-ticks: expected 1 tick or more, got {config.max_ticks}")
        given["max_ticks"] = config.max_ticks
    if config.expert_turn is not None:
        if config.expert_turn < 1:
            raise ConfigError(f"--expert-turn: expected 1 tick or more, got {config.expert_turn}")
        turn = config.expert_turn
        # Turns of corrections are drawn from below their end.
        given["expert_turn"] = turn if kind is TakeoverConfig else (0, turn + 1)
    return kind(**given)


@functools.lru_cache(maxsize=1)
def _stage(task: str, env_kwargs: tuple[tuple[str, Any], ...], image_size: int) -> ChunkOracle:
    from policies.scripted.oracle import ChunkOracle

    register_events(task)
    return ChunkOracle(make_env(task, image_size=image_size, **dict(env_kwargs)))


@functools.lru_cache(maxsize=1)
def _models(checkpoint: str, heads: str) -> dict[str, XR0ChunkModel]:
    import torch

    from policies.xr0.loading import load_chunk_model

    torch.set_num_threads(1)
    return {head: load_chunk_model(checkpoint, head) for head in heads.split(",")}


def store_meta(config: CollectConfig) -> StoreMeta:
    """Identity of the store a configuration writes."""
    from policies.scripted.oracle import HORIZON
    from policies.supervision.table import lesson
    from xr0_sim.data.chunk_schema import StoreMeta

    spec = lesson(config.task).spec()
    return StoreMeta(
        horizon=HORIZON,
        image_size=config.image_size,
        grounding_dim=spec.width,
        grounding=spec.to_dict(),
        provenance={
            "command": "xr0-sim collect",
            **asdict(config),
            "env": config.task,
            "env_kwargs": config.env_kwargs(),
        },
    )


def origin_of(config: CollectConfig) -> dict[str, Any]:
    """What a shard keeps of where its samples come from: code and options, defaults left out."""
    from xr0_sim.record.runcard import source_commit

    plain = CollectConfig()
    given = {name: value for name, value in asdict(config).items() if value != getattr(plain, name)}
    return {"command": "xr0-sim collect", "commit": source_commit(), "config": given}


def collect_block(task: CollectTask) -> dict[str, Any]:
    """Records the episodes of one block that its store does not hold yet."""
    from experiments.datagen.dagger import RelabelConfig, record_corrections
    from experiments.datagen.demonstrations import DemoConfig, SampleRecorder, record_demonstration
    from experiments.datagen.detours import DETOURS, record_detours
    from experiments.datagen.rearranged_scenes import KINDS, record_counterfactuals
    from experiments.datagen.takeovers import record_takeovers
    from policies.supervision.table import lesson
    from xr0_sim.data.chunk_writer import ChunkWriter

    config = task.config
    env_kwargs, taught = config.env_kwargs(), lesson(config.task)
    if config.events:
        taught = replace(taught, events=tuple(own_presets(config.task, config.events)))
    share: dict[str, Any] = {}
    if config.event_share is not None:
        share["event_share"] = config.event_share
    oracle = _stage(config.task, tuple(env_kwargs.items()), config.image_size)
    env = oracle.env
    meta = store_meta(config)
    writer = ChunkWriter(
        Path(config.out), meta, task.prefix, shard_samples=10**9, origin=origin_of(config)
    )
    if writer.finished_seeds():
        return {"episodes": [], "samples": 0}
    recorder = SampleRecorder(oracle, taught, writer)

    def record(seed: int) -> bool:
        if config.checkpoint:
            models = _models(config.checkpoint, config.heads)
            turns, told = turns_of(config), (seed, config.source)
            if isinstance(turns, RelabelConfig):
                return record_corrections(env, recorder, oracle, taught, models, turns, *told)
            return record_takeovers(env, recorder, oracle, taught, models, turns, *told)
        if config.source in KINDS:
            return record_counterfactuals(env, recorder, oracle, taught, config.source, seed)
        if config.source in DETOURS:
            return record_detours(env, recorder, oracle, taught, config.source, seed)
        return record_demonstration(env, recorder, oracle, taught, DemoConfig(**share), seed)

    episodes = []
    for seed in range(task.first, task.first + task.count):
        check_stop()
        count = recorder.count
        try:
            success: bool | None = record(seed)
        except SimulationError:
            # The physics broke: what was recorded of the episode is not to be learned from.
            writer.drop_episode(seed)
            recorder.count, success = count, None
        writer.end_episode()
        episodes.append((seed, success))
    writer.flush()
    return {"episodes": episodes, "samples": recorder.count}
