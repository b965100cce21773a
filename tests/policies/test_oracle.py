"""The chunk oracle: it answers exactly, foresees nothing and leaves no trace."""

from __future__ import annotations

import numpy as np
import pytest

import envs.block_dismantling.events  # noqa: F401
from envs.block_dismantling.env import BlockDismantlingEnv
from policies.scripted.blocks.expert import BlockExpert
from policies.scripted.oracle import (
    HORIZON,
    ChunkOracle,
    OracleChunkModel,
    RedrawnMode,
    SameMode,
)
from xr0_sim.conventions import ENV_ACTION_DIM
from xr0_sim.errors import ConfigError
from xr0_sim.runtime import Constant, Executor, PrefixAsync

NOTHING = np.zeros((0, ENV_ACTION_DIM))
SEED = 4


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


@pytest.fixture(scope="module")
def oracle(env):
    return ChunkOracle(env)


def play(env, ticks, expert=None):
    """Actions (ticks, 14) of the expert and the infos that followed."""
    expert = expert or BlockExpert(env.kinematics)
    actions, infos = [], []
    for _ in range(ticks):
        actions.append(expert.action(env.robot_state(), env.privileged()))
        infos.append(env.advance(actions[-1])[3])
    return np.array(actions), infos


def state_bytes(env):
    """Everything that decides the future, as bytes."""
    kept = env.snapshot()
    model = b"".join(value.tobytes() for value in kept.model.values())
    rest = repr((kept.tick, kept.instruction, kept.rng, kept.assessment, kept.task, kept.schedule))
    return kept.physics.tobytes() + model + kept.command.tobytes() + rest.encode()


@pytest.mark.parametrize("events", [[], ["shove", "change_instruction@tick:60"]])
def test_asking_leaves_the_episode_bit_identical(env, oracle, events):
    traces, fired = [], []
    for asks in (False, True):
        env.reset_scene(SEED, {"events": events})
        trace = []
        for tick in range(100):
            if asks and tick % 7 == 0:
                oracle.next_actions(NOTHING)
                oracle.next_actions(np.tile(env.robot_state().command + 0.1, (9, 1)), tempo=0.6)
            actions, (info,) = play(env, 1, oracle.expert)
            trace.append((actions.tobytes(), state_bytes(env), repr(info)))
            fired += [(asks, event) for event in info["events"]]
        traces.append(trace)
    assert traces[0] == traces[1]
    assert len(fired) == 2 * len(events)


def test_the_executed_ticks_of_a_run_do_not_depend_on_who_asks(env, oracle):
    logs = []
    for asks in (False, True):
        env.reset_scene(SEED, {"events": ["shove"]})
        executor = Executor(OracleChunkModel(env), PrefixAsync(), Constant(0.1))
        executor.reset(SEED, env.robot_state().command)
        log = []
        for _ in range(60):
            record = executor.tick(lambda: env.observe(images=False))
            if asks and record.tick % 3 == 0:
                oracle.next_actions(executor.committed(3))
            env.advance(record.action)
            log.append((repr(record), env.data.qpos.tobytes(), env.data.qvel.tobytes()))
        logs.append(log)
    assert logs[0] == logs[1]


@pytest.mark.parametrize("length", [1, 6, HORIZON])
def test_the_committed_prefix_is_repeated_exactly(env, oracle, length):
    env.reset_scene(SEED)
    play(env, 10)
    rng = np.random.default_rng(length)
    prefix = env.robot_state().command + rng.normal(0, 0.05, (length, ENV_ACTION_DIM))
    chunk = OracleChunkModel(env).infer(env.observe(images=False), prefix, (0, 0))
    assert chunk.first_tick == 10 and chunk.actions.shape == (HORIZON, ENV_ACTION_DIM)
    assert np.array_equal(chunk.actions[:length], prefix)


@pytest.mark.parametrize("ticks", [0, 25, 70])
def test_the_chunk_is_what_the_expert_then_does(env, oracle, ticks):
    env.reset_scene(SEED)
    play(env, ticks)
    chunk = oracle.next_actions(NOTHING)
    actions, _ = play(env, HORIZON)
    assert chunk.tobytes() == actions.tobytes()
    assert np.abs(np.diff(chunk, axis=0)).max() > 1e-3


def test_the_chunk_goes_on_from_where_the_prefix_leads(env, oracle):
    env.reset_scene(SEED)
    play(env, 20)
    plain = oracle.next_actions(NOTHING)
    prefix = plain[:6] + 0.03
    chunk = oracle.next_actions(prefix)
    for action in prefix:
        env.advance(action)
    actions, _ = play(env, HORIZON - 6)
    assert chunk[6:].tobytes() == actions.tobytes()
    assert not np.allclose(chunk[6:], plain[6:], atol=1e-3)


def test_scheduled_events_are_not_foreseen(env, oracle):
    chunks = []
    for events in ([], ["shove@tick:25"]):
        env.reset_scene(SEED, {"events": events})
        play(env, 20)
        chunks.append(oracle.next_actions(NOTHING))
    assert chunks[0].tobytes() == chunks[1].tobytes()
    actions, infos = play(env, HORIZON)
    assert [len(info["events"]) for info in infos] == [i == 5 for i in range(HORIZON)]
    assert actions[:6].tobytes() == chunks[1][:6].tobytes()
    assert not np.allclose(actions[6:], chunks[1][6:], atol=1e-3)


def test_events_of_the_past_are_known(env, oracle):
    env.reset_scene(SEED, {"events": ["shove@tick:5"]})
    play(env, 6)
    chunk = oracle.next_actions(NOTHING)
    actions, _ = play(env, HORIZON)
    assert chunk.tobytes() == actions.tobytes()


def test_the_expert_goes_on_beyond_the_end_of_the_episode(env, oracle):
    env.reset_scene(SEED)
    _, infos = play(env, 300)
    end = next(tick for tick, info in enumerate(infos) if info["success"])
    env.reset_scene(SEED)
    _, infos = play(env, end - HORIZON // 2)
    assert not infos[-1]["success"]
    chunk = oracle.next_actions(NOTHING)
    actions, infos = play(env, HORIZON)
    assert infos[-1]["success"] and not infos[0]["success"]
    assert chunk.tobytes() == actions.tobytes()


def test_a_chunk_of_another_length_is_the_start_of_the_long_one(env, oracle):
    env.reset_scene(SEED)
    assert OracleChunkModel(env, horizon=8).horizon == 8
    short = OracleChunkModel(env, horizon=8).infer(env.observe(images=False), NOTHING, (0, 0))
    assert short.actions.tobytes() == oracle.next_actions(NOTHING)[:8].tobytes()
    with pytest.raises(ConfigError, match="expected at most 8 rows, got 9"):
        oracle.next_actions(np.zeros((9, ENV_ACTION_DIM)), steps=8)


def test_an_observation_of_another_tick_is_refused(env):
    env.reset_scene(SEED)
    model, seen = OracleChunkModel(env), env.observe(images=False)
    play(env, 2)
    with pytest.raises(ConfigError, match="at tick 0, it stands at 2; ask at the capture tick"):
        model.infer(seen, NOTHING, (0, 0))


def test_redrawn_tempo_follows_the_noise_seed(env):
    env.reset_scene(SEED)
    seen = env.observe(images=False)
    same, redrawn = OracleChunkModel(env, SameMode()), OracleChunkModel(env, RedrawnMode())
    answers = [
        [model.infer(seen, NOTHING, noise).actions for noise in ((1, 0), (1, 0), (1, 1))]
        for model in (same, redrawn)
    ]
    assert np.array_equal(answers[0][0], answers[0][2])
    assert np.array_equal(answers[1][0], answers[1][1])
    assert not np.allclose(answers[1][0], answers[1][2], atol=1e-3)
    tempos = [RedrawnMode().tempo((s, n)) for s in range(20) for n in range(20)]
    assert 0.55 <= min(tempos) < 0.6 and 1.05 < max(tempos) <= 1.1
