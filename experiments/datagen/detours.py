"""Detours: the expert takes over in states that a 30 Hz demonstrator never visits.

A chunk policy looks seldom. When the scene changes, it goes on for a while with a plan made for the
old scene, and then has to know what to do from where that has led. An expert that reacts in every
tick is never there. So the expert's undisturbed episode, the trunk, is left at random moments; on a
detour something else acts for some ticks, then the expert takes over again, and what it does from
there labels what is seen. Five kinds:

* ``late_look``: an event changes the scene, and the plan from before it runs on;
* ``first_look``: the same, often, and only the moments in which a policy first sees it;
* ``first_reach``: late looks on the way to the first grasp, and nothing of the episode behind it;
* ``recovery``: hands wander off and open or close at the wrong time;
* ``start_anywhere``: bricks or towel lie elsewhere, and hands are moved at random.

Labels are what the expert did, so they cost no rehearsal. The trunk itself is kept as ``demo``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from envs.events import in_world
from experiments.datagen.demonstrations import Frame, SampleRecorder
from policies.scripted.disturbance import Disturbance, DisturbanceConfig
from policies.scripted.oracle import HORIZON
from xr0_sim.perturb.registry import parse_events

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv
    from envs.snapshot import Snapshot
    from policies.scripted.oracle import ChunkOracle
    from policies.supervision.table import Lesson

STREAM = 0x6465746F
LATE_LOOK, RECOVERY, START_ANYWHERE = "late_look", "recovery", "start_anywhere"
FIRST_LOOK, FIRST_REACH = "first_look", "first_reach"
DETOURS = (LATE_LOOK, RECOVERY, START_ANYWHERE, FIRST_LOOK, FIRST_REACH)
AFTER_EVENTS = (LATE_LOOK, FIRST_LOOK, FIRST_REACH)
"""Kinds that follow an event."""

Actions = list[NDArray[np.float64]]

STRAYS = DisturbanceConfig(
    rate_hz=1.5, offset_m=0.05, turn_rad=0.3, jaw_share=0.35, longest_ticks=20
)
"""How hands are led astray; chosen."""


@dataclass(frozen=True)
class DetourConfig:
    """Where detours leave the trunk, how long they are, and what is kept. All in ticks.

    Attributes:
        trunk_stride: Shortest and longest gap between two samples of the trunk.
        gap: Shortest and longest way along the trunk between two detours.
        before_event: Most ticks of the old plan before the event.
        stale: Most ticks of the old plan after the event.
        astray: Least and most ticks in which the hands are led astray.
        stride: Shortest and longest gap between two samples after the expert took over.
        watched: How long after that samples are taken.
        longest_prefix: Most rows of the old plan that a sample with a committed prefix has left.
        max_ticks: Tick limit of the trunk.
        phases: The trunk ends where the task leaves these; empty for its end.
        strays: How hands are led astray.
    """

    trunk_stride: tuple[int, int] = (6, 12)
    gap: tuple[int, int] = (20, 45)
    before_event: int = 6
    stale: int = 25
    astray: tuple[int, int] = (6, 24)
    stride: tuple[int, int] = (2, 5)
    watched: int = 32
    longest_prefix: int = 10
    max_ticks: int = 450
    phases: tuple[str, ...] = ()
    strays: DisturbanceConfig = field(default_factory=lambda: STRAYS)


CONFIGS = {
    FIRST_LOOK: DetourConfig(trunk_stride=(15, 25), gap=(6, 14), stride=(3, 5), watched=8),
    FIRST_REACH: DetourConfig(
        trunk_stride=(6, 12),
        gap=(3, 6),
        stride=(3, 6),
        watched=24,
        phases=("approach", "reach", "grasp"),
    ),
}
"""Kind -> its settings, where they are not the usual ones; chosen."""


@dataclass
class _Trunk:
    """The expert's episode, and where it can be left."""

    actions: Actions
    ends: int
    frames: list[Frame]
    forks: list[Snapshot]
    success: bool


def record_detours(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    lesson: Lesson,
    source: str,
    seed: int,
    config: DetourConfig | None = None,
) -> bool:
    """Plays one episode of the expert with its detours and records both.

    Args:
        env: Environment with pictures.
        recorder: Where samples go.
        oracle: Oracle of `env`.
        lesson: What the task teaches.
        source: One of `DETOURS`.
        seed: Episode seed.
        config: Settings instead of those of the kind.

    Returns:
        Whether the expert got to the end of the trunk.
    """
    config = config or CONFIGS.get(source, DetourConfig())
    rng = np.random.default_rng([seed, STREAM, DETOURS.index(source)])
    env.reset_scene(seed)
    trunk = _play_trunk(env, recorder, oracle, config, rng)
    for frame in trunk.frames:
        window = slice(frame.tick, frame.tick + HORIZON)
        recorder.store(frame, np.stack(trunk.actions[window]), 0, seed, "demo")
    names = in_world(lesson.events, env.world)
    for number, fork in enumerate(trunk.forks):
        if source in AFTER_EVENTS:
            # Events that never fire keep their places, so that every detour draws its own.
            first = fork.tick + int(rng.integers(0, config.before_event + 1))
            first = min(first, len(trunk.actions) - 1)
            unused = [f"{names[0]}@never"] * number
            env.branch(fork, parse_events([*unused, f"{rng.choice(names)}@tick:{first}"]))
            end = first + 1 + int(rng.integers(0, config.stale + 1))
            plan = trunk.actions[fork.tick : end]
        else:
            env.branch(fork, ())
            if source == START_ANYWHERE and not lesson.scatter(env, rng):
                continue
            plan = _stray(env, oracle, config, rng)
        _record_detour(env, recorder, oracle, plan, source, seed, config, rng)
    return trunk.success


def _play_trunk(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    config: DetourConfig,
    rng: np.random.Generator,
) -> _Trunk:
    trunk = _Trunk([], config.max_ticks, [], [], False)
    due = int(rng.integers(0, config.trunk_stride[1]))
    leave = int(rng.integers(0, config.gap[1]))
    done = False
    # Behind its end the expert goes on for a chunk: its rest is what the last samples show.
    while env.tick < trunk.ends + (HORIZON if done else 0):
        if not done and env.tick >= due:
            trunk.frames.append(recorder.frame())
            due = env.tick + int(rng.integers(config.trunk_stride[0], config.trunk_stride[1] + 1))
        if not done and env.tick >= leave:
            trunk.forks.append(env.snapshot())
            leave = env.tick + int(rng.integers(config.gap[0], config.gap[1] + 1))
        action = oracle.expert.action(env.robot_state(), env.privileged())
        _, terminated, _, info = env.advance(action)
        trunk.actions.append(action)
        left = bool(config.phases) and info["phase"] not in config.phases
        if (terminated or left) and not done:
            done, trunk.success, trunk.ends = True, left or bool(info["success"]), env.tick
    last = len(trunk.actions) - HORIZON
    trunk.frames = [frame for frame in trunk.frames if frame.tick <= last]
    return trunk


def _stray(
    env: DualArmEnv, oracle: ChunkOracle, config: DetourConfig, rng: np.random.Generator
) -> Actions:
    """Leads the hands astray; nothing of it is left to be played."""
    strays = Disturbance(config.strays, env.kinematics, rng)
    for _ in range(int(rng.integers(config.astray[0], config.astray[1] + 1))):
        robot = env.robot_state()
        env.advance(strays.apply(oracle.expert.action(robot, env.privileged()), robot.command))
    return []


def _record_detour(
    env: DualArmEnv,
    recorder: SampleRecorder,
    oracle: ChunkOracle,
    plan: Actions,
    source: str,
    seed: int,
    config: DetourConfig,
    rng: np.random.Generator,
) -> None:
    """Plays the old plan, lets the expert take over, and labels what was seen by what it did."""
    start = env.tick
    takeover = start + len(plan)
    committed = int(rng.integers(1, config.longest_prefix + 1))
    due = {takeover - committed} if plan else set()
    tick = takeover
    while tick <= takeover + config.watched:
        due.add(tick)
        tick += int(rng.integers(config.stride[0], config.stride[1] + 1))
    frames, actions = [], []
    for tick in range(start, max(due) + HORIZON):
        if tick in due:
            frames.append(recorder.frame())
        if tick < takeover:
            action = plan[tick - start]
        else:
            action = oracle.expert.action(env.robot_state(), env.privileged())
        env.advance(action)
        actions.append(action)
    for frame in frames:
        first = frame.tick - start
        rows = np.stack(actions[first : first + HORIZON])
        recorder.store(frame, rows, max(0, takeover - frame.tick), seed, source)
