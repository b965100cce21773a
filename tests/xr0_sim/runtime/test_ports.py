"""What the strategy port carries beyond a prefix: overlap, samples, guides, several in flight."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
from toys import DoubleIntegrator

from xr0_sim.errors import ConfigError
from xr0_sim.runtime import Constant, Executor, PrefixAsync, Strategy
from xr0_sim.runtime.strategies.base import Placement
from xr0_sim.types import ActionChunk, ChunkRequest, Guide, capabilities_of, infer_chunks

HORIZON = 12


class Numbered:
    """Chunk n, sample s holds n + s / 10 in every row."""

    horizon = HORIZON
    capabilities = frozenset({"prefix", "samples", "guide", "refresh"})

    def reset(self, seed):
        self.requests = []

    def infer(self, observation, prefix, noise_seed):
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]

    def infer_request(self, request):
        self.requests.append(request)
        number = request.noise_seed[1]
        rows = [np.full((HORIZON, 14), number + s / 10) for s in range(request.samples)]
        return [ActionChunk(actions, request.observation.tick) for actions in rows]


@dataclass(frozen=True)
class Every(Strategy):
    """An inference every `ticks`, up to two at a time."""

    max_in_flight: ClassVar[int] = 2
    ticks: int = 2

    def due(self, situation):
        return situation.tick % self.ticks == 0


def play(strategy, latency_s, ticks, model=None):
    plant, model = DoubleIntegrator(), model or Numbered()
    executor = Executor(model, strategy, Constant(latency_s))
    plant.reset(0)
    executor.reset(0, plant.robot_state().command)
    records = []
    for _ in range(ticks):
        record = executor.tick(plant.observe)
        plant.step(record.action)
        records.append((record, executor.inferences()))
    return records, model


def test_two_inferences_are_in_flight_and_arrive_in_their_ticks():
    records, _ = play(Every(2), 3 / 30, 12)
    assert [len(flying) for _, flying in records[:6]] == [1, 1, 2, 1, 2, 1]
    assert [r.delivered for r, _ in records[:8]] == [-1, -1, -1, 0, -1, 1, -1, 2]
    assert [m.due_tick - m.capture_tick for m in records[2][1]] == [3, 3]


def test_overlapping_chunks_are_selected_from_oldest_first():
    seen = []

    @dataclass(frozen=True)
    class Mean(Every):
        def select(self, slots):
            seen.append([slot.chunk.chunk_id for slot in slots])
            return np.mean([slot.chunk.actions[slot.index] for slot in slots], axis=0)

    records, _ = play(Mean(2), 0.0, 6)
    assert seen == [[0], [0], [0, 1], [0, 1], [0, 1, 2], [0, 1, 2]]
    assert [r.action[0] for r, _ in records] == [0, 0, 0.5, 0.5, 1, 1]


def test_samples_are_chosen_when_they_arrive():
    chosen = []

    @dataclass(frozen=True)
    class Last(Every):
        needs: ClassVar[frozenset[str]] = frozenset({"samples"})

        def request(self, timeline, tick, estimated_ticks, observation):
            return ChunkRequest(observation, samples=3)

        def choose(self, timeline, chunks):
            chosen.append(timeline.remaining(chunks[0].first_tick + 2))
            return chunks[-1]

    records, _ = play(Last(2), 2 / 30, 8)
    assert [round(float(r.action[0]), 1) for r, _ in records[2:6]] == [0.2, 0.2, 1.2, 1.2]
    assert chosen[0] == 0 and chosen[1] > 0, "the second is chosen beside the first"


def test_guides_and_refreshes_reach_the_model_as_they_were_asked():
    @dataclass(frozen=True)
    class Guided(Every):
        def request(self, timeline, tick, estimated_ticks, observation):
            soft = Guide(np.ones((2, 14)), np.array([1.0, 0.5]))
            return ChunkRequest(observation, guide=soft, refresh=0 if tick else None)

    _, model = play(Guided(2), 0.0, 4)
    assert [r.refresh for r in model.requests] == [None, 0]
    assert [r.noise_seed for r in model.requests] == [(0, 0), (0, 1)]
    assert model.requests[0].guide.weights.tolist() == [1.0, 0.5]


def test_a_chunk_older_than_one_that_has_arrived_is_dropped():
    @dataclass(frozen=True)
    class Falling:
        label: str = "falling"
        delays: tuple = field(default=(5, 1, 1, 1))

        def sample(self, rng, context):
            return self.delays[min(context.number, 3)] / 30

    plant, executor = DoubleIntegrator(), Executor(Numbered(), Every(2), Falling())
    plant.reset(0)
    executor.reset(0, plant.robot_state().command)
    ids = []
    for _ in range(8):
        record = executor.tick(plant.observe)
        plant.step(record.action)
        ids.append(record.chunk_id)
    assert 0 not in ids and ids[3] == 1


def test_what_a_model_cannot_do_is_one_line():
    class Plain(Numbered):
        capabilities = frozenset({"prefix"})

    @dataclass(frozen=True)
    class Needy(Every):
        needs: ClassVar[frozenset[str]] = frozenset({"gradient"})

    with pytest.raises(ConfigError, match="expected a chunk model that can do gradient"):
        Executor(Plain(), Needy())
    model = Plain()
    model.reset(0)
    with pytest.raises(ConfigError, match="expected a model with samples"):
        infer_chunks(model, ChunkRequest(None, samples=2))
    model.capabilities = frozenset({"fly"})
    with pytest.raises(ConfigError, match="got fly"):
        capabilities_of(model)


@pytest.mark.parametrize(
    ("shape", "weights"), [((2, 13), [1, 1]), ((2, 14), [1]), ((2, 14), [1, 1.5])]
)
def test_a_guide_that_is_none_is_refused(shape, weights):
    with pytest.raises(ConfigError, match="guide: expected"):
        Guide(np.zeros(shape), np.array(weights, float))


def test_a_selection_that_is_no_action_is_refused():
    @dataclass(frozen=True)
    class Wrong(Every):
        def select(self, slots):
            return np.full(14, np.nan)

        def place(self, arrival):
            return Placement(arrival.tick)

    with pytest.raises(ConfigError, match="expected a finite action"):
        play(Wrong(2), 0.0, 2)


def test_an_overrun_is_told_once_however_many_episodes(caplog, monkeypatch):
    monkeypatch.setattr("xr0_sim.runtime.executor._overruns_told", set())
    for _ in range(3):
        play(PrefixAsync(4, 1), 4 / 30, 20, Pasting())
    told = [record for record in caplog.records if "said once" in record.getMessage()]
    assert len(told) == 1


class Pasting(Numbered):
    """Repeats its prefix, as a chunk model has to."""

    def infer(self, observation, prefix, noise_seed):
        actions = np.full((HORIZON, 14), float(noise_seed[1]))
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, observation.tick)
