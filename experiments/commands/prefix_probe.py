"""``xr0-sim probe``: what a head does when its prefix and its pictures disagree."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.tasks import make_env, register_events
from envs.world import DEFAULT_WORLD, find_world
from experiments.runner.pool import TaskPool, check_stop
from experiments.runner.progress import Progress
from experiments.runner.runner import seed_range
from policies.xr0.checkpoints import default_checkpoint
from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.prefix_reliance import offset_carry, picture_follow, picture_followed
from xr0_sim.metrics.statistics import Interval, mean_interval, wilson
from xr0_sim.record.runcard import to_json
from xr0_sim.types import ChunkRequest, Observation

if TYPE_CHECKING:
    from policies.scripted.oracle import ChunkOracle
    from policies.xr0.chunk_model import XR0ChunkModel

TASK = "block_dismantling"
ORACLE = "perfect planner"
PHASES = ("approach", "reach")
FIRST_TICKS = (8, 60)
LAST_TICK = 200
SMALLEST_CHANGE_M = 0.02
"""A state in which the move changes the right plan by less says nothing and is left out."""


@dataclass(frozen=True)
class ProbeConfig:
    """Asks heads about states of the expert, with the prefix or the assembly moved.

    Attributes:
        checkpoint: Shipped checkpoint or path.
        heads: Heads with a prefix, with commas.
        lengths: Prefix lengths, with commas [ticks].
        states: Number of states, one per seed.
        seed: Seed of the first state.
        n_bricks: Bricks in the assembly.
        world: World of the states: 0.1 or 0.2.
        offset_rad: Size of the offset on every joint of the prefix, random sign [rad].
        shove_m: How far the assembly moves in the pictures [m].
        workers: Worker processes; the results do not depend on it.
        json: Print one JSON object.
    """

    checkpoint: str | None = None
    heads: str = "prefix,prefix_lambda"
    lengths: str = "2,3,4,5,6"
    states: int = 200
    seed: int = 500_000
    n_bricks: int = 2
    world: str = DEFAULT_WORLD
    offset_rad: float = 0.03
    shove_m: float = 0.06
    workers: int = 2
    json: bool = False


@dataclass(frozen=True)
class ProbeTask:
    """One state."""

    config: ProbeConfig
    seed: int


@dataclass(frozen=True)
class State:
    """A moment of the expert, as it is and with the assembly moved.

    Attributes:
        seen: Observation as it is.
        moved: The same robot, the assembly moved.
        plan: The expert's chunk (T, 14) as it is.
        moved_plans: Prefix length -> its chunk after the move, through the same prefix.
        offset: (14,) offset of the prefix [rad].
        offset_plans: Prefix length -> its chunk as it is, through the prefix with the offset.
    """

    seen: Observation
    moved: Observation
    plan: NDArray[np.float64]
    moved_plans: dict[int, NDArray[np.float64]]
    offset: NDArray[np.float64]
    offset_plans: dict[int, NDArray[np.float64]]


def run(config: ProbeConfig) -> int:
    """Asks, prints, returns the exit status."""
    lengths = prefix_lengths(config.lengths)
    checkpoint = config.checkpoint or default_checkpoint(TASK, find_world(config.world).name)
    seeds = seed_range(config.seed, config.states)
    rows: dict[int, list[dict[str, Any]]] = {}
    with TaskPool(config.workers) as pool, Progress(len(seeds), "probe") as progress:
        tasks = [ProbeTask(_named(config, checkpoint), seed) for seed in seeds]
        for task, found in pool.run(probe_state, tasks):
            rows[task.seed] = found
            progress.advance(f"seed {task.seed}", "asked" if found else "no fitting state")
    flat = [row for seed in seeds for row in rows[seed]]
    _show(config, checkpoint, flat, lengths)
    return 0


def prefix_lengths(text: str) -> tuple[int, ...]:
    """Reads "2,3,4" as prefix lengths within 1..15."""
    try:
        lengths = tuple(int(word) for word in text.split(","))
    except ValueError:
        lengths = ()
    if not lengths or min(lengths) < 1 or max(lengths) > 15:
        raise ConfigError(f"--lengths: expected numbers 1 .. 15 with commas, got {text!r}")
    return lengths


def _named(config: ProbeConfig, checkpoint: str) -> ProbeConfig:
    from dataclasses import replace

    return replace(config, checkpoint=checkpoint)


@functools.lru_cache(maxsize=1)
def _stage(n_bricks: int, world: str, image_size: int) -> ChunkOracle:
    from policies.scripted.oracle import ChunkOracle

    register_events(TASK)
    return ChunkOracle(make_env(TASK, n_bricks=n_bricks, world=world, image_size=image_size))


@functools.lru_cache(maxsize=4)
def _model(checkpoint: str, head: str) -> XR0ChunkModel:
    import torch

    from policies.xr0.loading import load_chunk_model

    torch.set_num_threads(1)
    return load_chunk_model(checkpoint, head)


def capture_state(oracle: ChunkOracle, config: ProbeConfig, seed: int) -> State | None:
    """Plays the expert to a random approach and moves the assembly in a rehearsal.

    Returns:
        The state, or None if the expert never approaches any more or the move changes nothing.
    """
    from envs.block_dismantling.events import Teleport

    env = oracle.env
    rng = np.random.default_rng([seed, 0x70726F62])
    env.reset_scene(seed)
    wanted = int(rng.integers(*FIRST_TICKS))
    while env.tick < wanted or env.phase not in PHASES:
        action = oracle.expert.action(env.robot_state(), env.privileged())
        if env.advance(action)[1] or env.tick > LAST_TICK:
            return None
    lengths = prefix_lengths(config.lengths)
    plan = oracle.next_actions(np.zeros((0, ENV_ACTION_DIM)))
    offset = config.offset_rad * rng.choice([-1.0, 1.0], ENV_ACTION_DIM)
    offset[[6, 13]] = 0.0
    offset_plans = {d: oracle.next_actions(plan[:d] + offset) for d in lengths}
    seen = env.observe(images=True)
    with env.rehearsal():
        Teleport(config.shove_m).apply(env, rng)
        moved = env.observe(images=True)
        moved_plans = {d: oracle.next_actions(plan[:d]) for d in lengths}
    change = _ends(env, moved_plans[lengths[0]]) - _ends(env, plan)
    if np.linalg.norm(change) < SMALLEST_CHANGE_M:
        return None
    return State(seen, moved, plan, moved_plans, offset, offset_plans)


def probe_state(task: ProbeTask) -> list[dict[str, Any]]:
    """Rows of head, prefix length, carry, follow, followed for one state."""
    check_stop()
    config = task.config
    heads = config.heads.split(",")
    models = {head: _model(config.checkpoint, head) for head in heads}
    oracle = _stage(config.n_bricks, config.world, next(iter(models.values())).image_size)
    state = capture_state(oracle, config, task.seed)
    if state is None:
        return []
    env, noise = oracle.env, (task.seed, 0)
    before = _ends(env, state.plan)
    rows = []
    for d in prefix_lengths(config.lengths):
        prefix, after = state.plan[:d], _ends(env, state.moved_plans[d])
        requests = [
            ChunkRequest(state.seen, prefix, noise),
            ChunkRequest(state.seen, prefix + state.offset, noise),
            ChunkRequest(state.moved, prefix, noise),
        ]
        answers = {
            head: [chunk.actions for chunk in model.infer_batch(requests)]
            for head, model in models.items()
        }
        answers[ORACLE] = [state.plan, state.offset_plans[d], state.moved_plans[d]]
        for head, (plain, shifted, moved) in answers.items():
            end = _ends(env, moved)
            rows.append(
                {
                    "seed": task.seed,
                    "head": head,
                    "prefix": d,
                    "carry": offset_carry(plain, shifted, state.offset, d),
                    "follow": picture_follow(end, before, after),
                    "followed": picture_followed(end, before, after),
                }
            )
    return rows


def _ends(env: Any, actions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions (6,) of both tools at the end of a chunk [m]."""
    from envs.robot.actions import split_arms

    return env.kinematics.forward(split_arms(actions[-1])[0])[0].ravel()


def _show(
    config: ProbeConfig, checkpoint: str, rows: list[dict[str, Any]], lengths: tuple[int, ...]
) -> None:
    table: list[dict[str, Any]] = []
    for head in [*config.heads.split(","), ORACLE]:
        for d in lengths:
            here = [row for row in rows if row["head"] == head and row["prefix"] == d]
            table.append(
                {
                    "head": head,
                    "prefix": d,
                    "n": len(here),
                    "carry": mean_interval([row["carry"] for row in here]),
                    "follow": mean_interval([row["follow"] for row in here]),
                    "followed": wilson(sum(row["followed"] for row in here), len(here)),
                }
            )
    if config.json:
        found = {"checkpoint": checkpoint, "config": to_json(config), "rows": to_json(table)}
        print(json.dumps(found, ensure_ascii=False))
        return
    print(f"{checkpoint}: offset {config.offset_rad} rad, assembly moved {config.shove_m} m")
    print(f"{'head':<18}{'prefix':>7}{'n':>6}  {'offset carried':<22}", end="")
    print(f"{'way followed':<22}{'new goal nearer':<22}")
    for row in table:
        conditions = "".join(f"{_cell(row[name]):<22}" for name in ("carry", "follow", "followed"))
        print(f"{row['head']:<18}{row['prefix']:>7}{row['n']:>6}  {conditions}")
    if len(rows) < len(table) * 2:
        print("too few states for intervals; use more --states", file=sys.stderr)


def _cell(interval: Interval) -> str:
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"
