"""Corrections within the tick: what is executed, what the head is told, what it costs."""

from __future__ import annotations

import numpy as np
import pytest

from envs.block_dismantling.env import BlockDismantlingEnv
from policies.scripted.oracle import OracleChunkModel
from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.compute import compute_figures
from xr0_sim.metrics.reaction import earliest_reaction_ticks
from xr0_sim.metrics.schedule import schedule_figures
from xr0_sim.record.ticklog import TickLog
from xr0_sim.runtime.episode_ports import EpisodeStart, TickSample
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.strategies.corrected import Corrected
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.types import ActionChunk, Observation, RobotState

HORIZON = 30
EVENT = 17
FLOPS = 5e6


class Planner:
    """Row i is the tick it is meant for; the head adds 1000 from the tick after the event on."""

    capabilities = frozenset({"prefix", "correct"})
    horizon = HORIZON

    def reset(self, episode_seed):
        self.asked = []

    def infer(self, observation, prefix, noise_seed):
        rows = np.arange(observation.tick, observation.tick + HORIZON, dtype=float)
        return ActionChunk(np.repeat(rows[:, None], ENV_ACTION_DIM, axis=1), observation.tick)

    def flops(self, request):
        return 1e9

    def correct(self, request):
        self.asked.append(request)
        return request.planned + 1000.0 * (request.observation.tick > EVENT)

    def correction_flops(self, request):
        return FLOPS


def play(strategy, ticks=60, delay=0, model=None):
    """Tick records of a robot that only looks at the clock, their log, and the model."""
    model = model or Planner()
    executor = Executor(model, strategy, Constant(delay / CONTROL_HZ))
    executor.reset(0, np.full(ENV_ACTION_DIM, -1.0))
    log = TickLog()
    log.on_reset(EpisodeStart(0, {}, CONTROL_HZ))
    robot = RobotState(*(np.zeros(n) for n in (12, 12, 2, 6, 8, 14)))
    records = []
    for tick in range(ticks):
        seen = Observation(tick, tick_ns(tick), robot, {}, "go")
        records.append(executor.tick(lambda seen=seen: seen))
        log.on_tick(TickSample(records[-1], robot, 0.0, {}))
    return records, log.table().columns, model


@pytest.fixture(scope="module")
def env():
    return BlockDismantlingEnv(n_bricks=2, observation="state")


@pytest.mark.parametrize("delay", range(13))
def test_an_exact_head_executes_what_the_oracle_does_now(env, delay):
    """Through a shove, and whatever the delay: every row becomes the expert's fresh action."""
    env.reset_scene(3, {"events": ["shove@tick:12"]})
    model = OracleChunkModel(env)
    executor = Executor(model, Corrected(10), Constant(delay / CONTROL_HZ))
    executor.reset(3, env.robot_state().command)
    changed = 0
    for tick in range(36):
        fresh = model._oracle.expert.action(env.robot_state(), env.privileged())
        record = executor.tick(lambda: env.observe(images=False))
        assert record.hold == (tick < delay)
        if not record.hold:
            np.testing.assert_array_equal(record.action, fresh)
            planned = executor._last_slot
            changed += not np.array_equal(planned.chunk.actions[planned.index], fresh)
        env.advance(record.action)
    # The plan of before the shove is another one, unless it is made anew in every tick.
    assert changed >= 3


@pytest.mark.parametrize("delay", range(13))
def test_ages_periods_and_chunks_are_those_of_naive_asynchrony(delay):
    corrected, _, _ = play(Corrected(10), delay=delay)
    naive, _, _ = play(NaiveAsync(10), delay=delay)
    for name in ("started", "delivered", "chunk_id", "index", "age_ticks", "hold", "seam"):
        assert [getattr(r, name) for r in corrected] == [getattr(r, name) for r in naive], name


@pytest.mark.parametrize("delay", [0, 3, 12])
def test_an_event_is_answered_in_the_next_tick(delay):
    records, columns, _ = play(Corrected(10), delay=delay)
    wanted = [1000.0 * (r.tick > EVENT) * (not r.hold) for r in records]
    offsets = [r.action[0] - (r.tick if not r.hold else -1.0) for r in records]
    late = [r.age_ticks - r.index if not r.hold else 0 for r in records]
    np.testing.assert_array_equal(np.add(offsets, late), wanted)
    told = [columns[name] for name in ("started", "d_ceil", "prefix_steps")]
    mended = ~np.isnan(columns["correction_s"])
    assert earliest_reaction_ticks(EVENT, *told, corrected=mended) == 1
    assert earliest_reaction_ticks(EVENT, *told) >= 1 + delay
    settled = {name: values[12:] for name, values in columns.items()}
    law = schedule_figures(settled, CONTROL_HZ)
    assert law["worst_reaction_s"] * CONTROL_HZ == pytest.approx(1.0)
    assert law["stale_share"] == 0.0
    assert law["serial_floor_s"] == pytest.approx(1.5 * delay / CONTROL_HZ)


def test_the_head_is_told_row_position_age_and_both_observations():
    records, _, model = play(Corrected(10), delay=4)
    assert len(model.asked) == sum(not r.hold for r in records)
    for request in model.asked:
        record = records[request.observation.tick]
        assert (request.index, request.age_ticks) == (record.index, record.age_ticks)
        assert request.captured.tick == record.tick - record.age_ticks
        np.testing.assert_array_equal(request.planned, request.rows[request.index])
        assert not request.rows.flags.writeable
    # The first chunk is captured at a standstill and starts on arrival, 4 ticks old.
    assert (model.asked[0].index, model.asked[0].age_ticks) == (0, 4)


def test_gain_executes_a_share_of_the_correction():
    half, _, _ = play(Corrected(10, gain=0.5))
    none, _, _ = play(Corrected(10, gain=0.0))
    assert half[EVENT + 1].action[0] == EVENT + 1 + 500.0
    assert none[EVENT + 1].action[0] == EVENT + 1


def test_corrections_count_in_calls_operations_and_load():
    delay, head_s = 3, 0.004
    records, columns, _ = play(Corrected(10, head_s=head_s), ticks=600, delay=delay)
    mended = sum(not r.hold for r in records)
    calls = sum(r.started >= 0 for r in records)
    told = compute_figures(columns, CONTROL_HZ)
    plain = compute_figures(play(NaiveAsync(10), ticks=600, delay=delay)[1], CONTROL_HZ)
    assert (told["corrections"], plain["corrections"]) == (mended, 0)
    assert told["compute_tflop"] == pytest.approx((calls * 1e9 + mended * FLOPS) / 1e12)
    extra = told["device_load"] - plain["device_load"]
    assert extra == pytest.approx(head_s * CONTROL_HZ * mended / 600)


def test_a_branch_corrects_by_its_own_captures():
    model = Planner()
    executor = Executor(model, Corrected(6), Constant(2 / CONTROL_HZ))

    def run(runner, ticks):
        for tick in ticks:
            seen = Observation(tick, tick_ns(tick), None, {}, "go", None)
            runner.tick(lambda seen=seen: seen)

    executor.reset(0, np.zeros(ENV_ACTION_DIM))
    run(executor, range(9))
    branch, before = executor.branch(), len(model.asked)
    run(executor, range(9, 25))
    middle = len(model.asked)
    run(branch, range(9, 25))
    own = [(r.observation.tick, r.captured.tick) for r in model.asked[before:middle]]
    assert own == [(r.observation.tick, r.captured.tick) for r in model.asked[middle:]]


def test_a_model_without_a_head_is_refused_in_one_line():
    class Plain(Planner):
        capabilities = frozenset({"prefix"})

    with pytest.raises(ConfigError, match="expected a chunk model that can do correct"):
        Executor(Plain(), Corrected())

    class Boast:
        capabilities = Planner.capabilities
        horizon, reset, infer = HORIZON, Planner.reset, Planner.infer

    with pytest.raises(ConfigError, match=r"Boast: expected a chunk model with correct\(\)"):
        play(Corrected(10), model=Boast())


@pytest.mark.parametrize("answer", [np.zeros(13), np.full(ENV_ACTION_DIM, np.nan)])
def test_an_answer_that_is_no_action_is_refused(answer):
    class Wrong(Planner):
        def correct(self, request):
            return answer

    with pytest.raises(ConfigError, match=r"Wrong\.correct: expected a finite action"):
        play(Corrected(10), model=Wrong())


@pytest.mark.parametrize(
    ("fields", "told"),
    [({"gain": 1.5}, "gain"), ({"head_s": 0.1}, "head_s"), ({"head_s": -0.1}, "head_s")],
)
def test_settings_without_sense_are_refused(fields, told):
    with pytest.raises(ConfigError, match=told):
        Corrected(**fields)


def test_a_head_fits_into_the_tick_of_every_control_rate():
    model = OracleChunkModel(BlockDismantlingEnv(observation="state"))
    slow = Corrected(10, head_s=0.03)
    Executor(model, slow, control_hz=30)
    with pytest.raises(ConfigError, match=r"at most 1/50 s, the tick .*, got 0\.03 s"):
        Executor(model, slow, control_hz=50)
