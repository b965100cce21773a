"""``xr0-sim bench first-look``: what a policy does when it first sees a changed scene.

The cheapest check of a policy before long evaluations. The policy drives until its first look
behind an event; there its chunk is compared with what the expert would do from that very state.
The undisturbed twin is asked at the same tick. How exact a policy can be is told by the expert
itself: with ``misread_mm``, it plans for bricks or a towel read that far off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from envs.tasks import make_env, register_events
from envs.world import world_name
from experiments.benchmarks.report import Measure, report
from experiments.options.task_options import TaskOptions
from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import wilson
from xr0_sim.types import ChunkRequest

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from policies.scripted.oracle import ChunkOracle, Player
    from policies.xr0.chunk_model import XR0ChunkModel
    from xr0_sim.types import RobotState

ROWS = (10, 20)
"""Rows of the chunk that are compared, counted from one."""
WRONG_JAW = 0.3
"""Jaws further apart than this, of 0 (closed) .. 1 (open), count as wrong; chosen."""
CLOSING, OPEN = 0.25, 0.4
"""A hand closes early if it goes below the first where the expert's stays above the second."""
MISREADINGS = 3
"""Directions in which things are misread at each look."""
LATEST_TICK = 240
"""Seeds whose event has not fired by then say nothing."""


@dataclass(frozen=True)
class BenchFirstLookConfig(TaskOptions):
    """Compares a policy's first chunk behind an event with the expert's, by row and by hand.

    Attributes:
        env: Task, or TASK:field=value,... with its arguments.
        checkpoint: Shipped checkpoint or path; default the task's.
        head: Action expert that answers.
        event: Event preset, with a trigger or without.
        execution_horizon: Ticks between two looks.
        episodes: Seeds.
        seed: The first of them.
        misread_mm: Also compare the expert with itself where it reads what it handles this far off,
            in a drawn direction along the table [mm]; 0 leaves that out.
        json: Print one JSON object.
    """

    checkpoint: str | None = None
    head: str = "sync"
    event: str = "shove"
    execution_horizon: int = 20
    episodes: int = 40
    seed: int = 700
    misread_mm: float = 0.0
    json: bool = False


@dataclass(frozen=True)
class Misreading:
    """An expert that takes what it handles to lie elsewhere, as long as no hand holds it.

    Attributes:
        expert: The expert of the task.
        offset: (3,) how far off [m].
    """

    expert: Player
    offset: NDArray[np.float64]

    def action(self, robot: RobotState, state: Any, tempo: float = 1.0) -> NDArray[np.float64]:
        """Joint action (14,) of the coming tick."""
        held, places = _handled(state)
        if (getattr(state, held) < 0).all():
            state = replace(state, **{places: getattr(state, places) + self.offset})
        return self.expert.action(robot, state, tempo)


def _handled(state: Any) -> tuple[str, str]:
    """Fields of a state that tell what each hand holds, and where the things are."""
    for held, places in (("gripped", "pos"), ("held", "points")):
        if hasattr(state, held) and hasattr(state, places):
            return held, places
    raise ConfigError(
        "--misread-mm: expected a state that tells places and what is held, as of bricks or a "
        f"towel, got {type(state).__name__}; leave the option out"
    )


@dataclass(frozen=True)
class Look:
    """One chunk against the expert's, both hands.

    Attributes:
        error_m: Distance of the tools at `ROWS`, (2 hands, rows) [m].
        wrong_jaw: Hands (2,) whose jaw at the last of `ROWS` is wrong.
        closes_early: Hands (2,) that close where the expert's stay open.
    """

    error_m: NDArray[np.float64]
    wrong_jaw: NDArray[np.bool_]
    closes_early: NDArray[np.bool_]


def run(config: BenchFirstLookConfig) -> int:
    """Measures and prints."""
    from policies.scripted.oracle import ChunkOracle
    from policies.xr0.checkpoints import default_checkpoint
    from policies.xr0.loading import load_chunk_model

    if config.episodes < 1 or not 1 <= config.execution_horizon <= 30:
        raise ConfigError(
            "bench first-look: expected --episodes >= 1 and --execution-horizon 1 .. 30, got "
            f"{config.episodes} and {config.execution_horizon}"
        )
    if not 0.0 <= config.misread_mm <= 100.0:
        raise ConfigError(f"--misread-mm: expected 0 .. 100, got {config.misread_mm:g}")
    register_events(config.task)
    env_kwargs = config.env_kwargs()
    checkpoint = config.checkpoint or default_checkpoint(config.task, world_name(env_kwargs))
    model = load_chunk_model(checkpoint, config.head, task=config.task)
    env = make_env(config.task, image_size=model.image_size, **env_kwargs)
    oracle = ChunkOracle(env)
    found: dict[str, list[Look]] = {"undisturbed": [], config.event: []}
    misread = f"expert behind {config.event}, misread by {config.misread_mm:g} mm"
    if config.misread_mm:
        found[misread] = []
    try:
        for seed in range(config.seed, config.seed + config.episodes):
            tick = drive(env, model, config.execution_horizon, seed, config.event)
            if tick is None:
                continue
            found[config.event].append(compare(oracle, model, seed))
            if config.misread_mm:
                found[misread] += misreadings(oracle, config.misread_mm / 1e3, seed)
            drive(env, model, config.execution_horizon, seed, "", until=tick)
            found["undisturbed"].append(compare(oracle, model, seed))
    finally:
        env.close()
    if not found[config.event]:
        raise ConfigError(
            f"bench first-look: event {config.event!r} never fired within {LATEST_TICK} ticks; "
            "give it an earlier trigger or name more --episodes"
        )
    measures = [measure for name, looks in found.items() for measure in _measures(name, looks)]
    title = (
        f"{checkpoint}, head {config.head}: first look behind {config.event}, every "
        f"{config.execution_horizon} ticks, {len(found[config.event])} of {config.episodes} seeds"
    )
    report(title, measures, as_json=config.json, config=config)
    return 0


def drive(
    env: DualArmEnv,
    model: XR0ChunkModel,
    execution_horizon: int,
    seed: int,
    event: str,
    until: int | None = None,
) -> int | None:
    """Lets the policy act without latency up to a look.

    Args:
        env: Environment with pictures; stands at the look afterwards.
        model: The policy.
        execution_horizon: Ticks between two looks.
        seed: Episode seed.
        event: Event preset; empty for none.
        until: Tick of the look; None for the first one behind the event.

    Returns:
        Tick of the look; None if the episode ended or `LATEST_TICK` came first.
    """
    env.reset_scene(seed, {"events": [event] if event else []})
    model.reset(seed)
    fired = False
    while True:
        if env.tick == until or (until is None and fired):
            return env.tick
        actions = model.infer_batch([_request(env, seed)])[0].actions
        for action in actions[:execution_horizon]:
            _, done, _, info = env.advance(action)
            fired |= bool(info["events"])
            if done or (until is None and env.tick >= LATEST_TICK):
                return None


def compare(oracle: ChunkOracle, model: XR0ChunkModel, seed: int) -> Look:
    """The policy's chunk against the expert's where the environment stands."""
    mine = model.infer_batch([_request(oracle.env, seed)])[0].actions
    return _look(oracle.env, mine, _expert_chunk(oracle, len(mine)))


def misreadings(oracle: ChunkOracle, offset_m: float, seed: int) -> list[Look]:
    """The expert against itself where the environment stands, misread in `MISREADINGS` ways."""
    from policies.scripted.oracle import HORIZON, ChunkOracle

    env = oracle.env
    rng = np.random.default_rng([seed, env.tick])
    best = _expert_chunk(oracle, HORIZON)
    looks = []
    for heading in rng.uniform(0.0, 2.0 * np.pi, MISREADINGS):
        offset = offset_m * np.array([np.cos(heading), np.sin(heading), 0.0])
        wrong = ChunkOracle(env, Misreading(oracle.expert, offset))
        looks.append(_look(env, _expert_chunk(wrong, HORIZON), best))
    return looks


def _expert_chunk(oracle: ChunkOracle, rows: int) -> NDArray[np.float64]:
    return oracle.next_actions(np.zeros((0, ENV_ACTION_DIM)), steps=rows)


def _look(env: DualArmEnv, mine: NDArray[np.float64], best: NDArray[np.float64]) -> Look:
    rows = [row - 1 for row in ROWS]
    (tools, jaws), (best_tools, best_jaws) = _split(env, mine), _split(env, best)
    error = np.linalg.norm(tools - best_tools, axis=-1)[rows].T
    wrong = np.abs(jaws - best_jaws)[rows[-1]] > WRONG_JAW
    early = (jaws[: ROWS[-1]].min(0) < CLOSING) & (best_jaws[: ROWS[-1]].min(0) > OPEN)
    return Look(error, wrong, early)


def _request(env: DualArmEnv, seed: int) -> ChunkRequest:
    return ChunkRequest(env.observe(images=True), np.zeros((0, ENV_ACTION_DIM)), (seed, env.tick))


def _split(
    env: DualArmEnv, actions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Tool positions (T, 2, 3) [m] and jaws (T, 2) of a chunk."""
    arms = actions.reshape(len(actions), 2, 7)
    return env.kinematics.forward(arms[..., :6])[0], arms[..., 6]


def _measures(name: str, looks: list[Look]) -> list[Measure]:
    errors = np.concatenate([look.error_m for look in looks]) * 1e3
    hands = len(errors)
    found = []
    for column, row in enumerate(ROWS):
        low, middle, high = np.quantile(errors[:, column], [0.25, 0.5, 0.75])
        label = f"{name}: tool error at row {row}, median and quartiles"
        found.append(Measure(f"{name}.row{row}", label, middle, "mm", low, high, hands))
    for field, label in (
        ("wrong_jaw", f"jaw wrong at row {ROWS[-1]}"),
        ("closes_early", "closes where the expert stays open"),
    ):
        count = int(sum(getattr(look, field).sum() for look in looks))
        rate = wilson(count, hands)
        found.append(
            Measure(
                f"{name}.{field}", f"{name}: {label}", rate.value, "", rate.low, rate.high, hands
            )
        )
    return found
