"""Figures of a disturbed episode against its twins, with runs whose right answer is known."""

from dataclasses import replace

import numpy as np
import pytest

from experiments.runner import seed_run
from experiments.runner.condition import make_condition
from experiments.runner.episode_figures import against_twin, reactions_of
from experiments.runner.episode_run import EpisodeTask, Ran
from xr0_sim.metrics.reaction import Reaction
from xr0_sim.perturb.triggers import Never
from xr0_sim.runtime.episode_ports import EpisodeResult
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.types import EventRecord

HZ = 30


class Table(dict):
    meta = {"control_hz": HZ}  # noqa: RUF012
    columns = property(lambda self: self)


def table(differ_at, length=60):
    actions = np.zeros((length, 14))
    for tick in differ_at:
        actions[tick:] += 1.0
    quiet = np.full(length, -1)
    return Table(action=actions, started=quiet, d_ceil=quiet, prefix_steps=quiet)


def result(duration_s, events=(), outcome="success"):
    return EpisodeResult(0, outcome, 1.0, 60, duration_s, 0.0, True, False, events)


EVENTS = (EventRecord("drop", 10, 0, {}, 1), EventRecord("shove", 30, 0, {}, 0))


def test_every_event_has_its_own_reaction_and_the_figures_are_those_of_the_first():
    run = result(12.0, EVENTS)
    found = reactions_of(run, table([14, 37]), [table([]), table([14])])
    assert [r.seconds for r in found] == [pytest.approx(4 / HZ), pytest.approx(7 / HZ)]
    figures = against_twin(run, result(10.0), found)
    assert figures["reaction_s"] == pytest.approx(4 / HZ) and figures["event_fired"]


def test_extra_time_is_what_the_episode_took_beyond_its_twin():
    slow, quick = result(12.0, EVENTS), result(10.0)
    reactions = (Reaction(0.1, 1.0, None),) * 2
    assert against_twin(slow, quick, reactions)["extra_time_s"] == 2.0
    faster = replace(slow, duration_s=9.0)
    assert against_twin(faster, quick, reactions)["extra_time_s"] == -1.0
    for run, twin in (
        (replace(slow, outcome="failure"), quick),
        (slow, result(9.0, (), "failure")),
    ):
        assert against_twin(run, twin, reactions)["extra_time_s"] is None
    assert against_twin(quick, quick, ())["event_fired"] is False


def test_the_twin_of_a_later_event_has_the_earlier_ones_in_their_place(monkeypatch):
    condition = make_condition(
        env="block_dismantling",
        env_kwargs={"n_bricks": 2, "layout": "random"},
        policy="oracle",
        weights=None,
        strategy=Sync(),
        latency="none",
        delay_error=0,
        event="shove@tick:30,drop@tick:10",
        max_seconds=2.0,
    )
    ran = []
    monkeypatch.setattr(
        seed_run,
        "run_whole",
        lambda condition, task: (ran.append(condition.events), Ran(None, table([14])))[1],
    )
    twins = seed_run.later_twins(EpisodeTask(condition, 0), result(1.0, EVENTS))
    ((shove, drop),) = ran
    assert len(twins) == 1 and shove.trigger == Never() and drop == condition.events[1]
