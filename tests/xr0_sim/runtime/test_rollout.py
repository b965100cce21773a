import numpy as np
import pytest
from toys import Detour, DoubleIntegrator, Wave

from xr0_sim.errors import ConfigError
from xr0_sim.perturb import AtTick, FreezeCamera
from xr0_sim.runtime import Constant, Executor, PrefixAsync, Sync, run_episode


class Watcher:
    def __init__(self, fail_at=None, error=RuntimeError):
        self.calls, self.samples, self.fail_at, self.error = [], [], fail_at, error

    def on_reset(self, start):
        self.calls.append("reset")
        self.start = start

    def on_tick(self, sample):
        self.calls.append("tick")
        self.samples.append(sample)
        if sample.record.tick == self.fail_at:
            raise self.error("stop")

    def on_event(self, event):
        self.calls.append("event")
        self.event = event

    def on_end(self, result):
        self.calls.append("end")
        self.result = result


class Freezable(DoubleIntegrator):
    frozen = None

    def freeze_camera(self, camera, duration_s):
        self.frozen = (self.tick, camera, duration_s)


def executor():
    return Executor(Detour(), PrefixAsync(10, 6), Constant(0.08))


def test_an_episode_runs_to_success_and_tells_everyone():
    watcher = Watcher()
    plant = DoubleIntegrator()
    result = run_episode(plant, executor(), [watcher], seed=4, max_ticks=300)
    assert result.success and result.terminated and not result.truncated
    assert result.progress == pytest.approx(1, abs=0.02)
    assert result.seed == watcher.start.seed == 4
    assert result.duration_s == pytest.approx(result.ticks / 30)
    assert watcher.calls == ["reset", *["tick"] * result.ticks, "end"]
    assert watcher.result is result
    assert [s.record.tick for s in watcher.samples] == list(range(result.ticks))


def test_the_tick_limit_truncates():
    result = run_episode(DoubleIntegrator(), executor(), seed=0, max_ticks=20)
    assert (result.outcome, result.ticks, result.truncated) == ("failure", 20, True)
    assert 0 < result.progress < 0.5


def test_samples_carry_the_robot_the_decision_was_taken_for():
    watcher = Watcher()
    plant = DoubleIntegrator(start=Wave.at(0.2))
    run_episode(plant, Executor(Wave(), Sync(10)), [watcher], seed=0, max_ticks=20)
    first, second = watcher.samples[:2]
    assert np.array_equal(first.robot.command, Wave.at(0.2))
    assert np.array_equal(second.robot.command, first.record.action)


def test_events_come_before_their_tick_and_end_up_in_the_result():
    watcher, plant = Watcher(), Freezable()
    options = {"events": [FreezeCamera("base", 0.5, trigger=AtTick(3))]}
    result = run_episode(plant, executor(), [watcher], seed=0, options=options, max_ticks=10)
    assert plant.frozen == (3, "base", 0.5)
    assert watcher.calls[:7] == ["reset", "tick", "tick", "tick", "event", "tick", "tick"]
    assert [e.kind for e in result.events] == ["freeze_camera"]
    assert watcher.event.tick == 3
    assert watcher.start.options == options


@pytest.mark.parametrize(
    ("error", "outcome"), [(RuntimeError, "error"), (KeyboardInterrupt, "interrupted")]
)
def test_an_interrupted_episode_is_still_ended_for_all(error, outcome):
    first, second = Watcher(), Watcher(fail_at=5, error=error)
    with pytest.raises(error, match="stop"):
        run_episode(DoubleIntegrator(), executor(), [first, second], seed=0, max_ticks=50)
    assert first.calls[-1] == second.calls[-1] == "end"
    assert first.result.outcome == outcome and first.result.ticks == 6


def test_a_subscriber_that_fails_at_the_end_does_not_rob_the_others():
    class Broken(Watcher):
        def on_end(self, result):
            raise OSError("disk full")

    last = Watcher()
    with pytest.raises(OSError, match="disk full"):
        run_episode(DoubleIntegrator(), executor(), [Broken(), last], seed=0, max_ticks=5)
    assert last.calls[-1] == "end"


def test_the_first_error_is_the_one_to_see():
    class Broken(Watcher):
        def on_end(self, result):
            raise OSError("disk full")

    with pytest.raises(RuntimeError, match="stop") as caught:
        run_episode(DoubleIntegrator(), executor(), [Broken(fail_at=2)], seed=0, max_ticks=9)
    assert "disk full" in caught.value.__notes__[0]


def test_images_can_be_left_out():
    seen = []

    class Looking(Wave):
        def begin(self, observation, prefix, rng):
            seen.append(dict(observation.images))

    run_episode(DoubleIntegrator(), Executor(Looking(), Sync(10)), seed=0, max_ticks=1)
    run_episode(
        DoubleIntegrator(), Executor(Looking(), Sync(10)), seed=0, max_ticks=1, images=False
    )
    assert [len(images) for images in seen] == [1, 0]


def test_misuse_is_refused():
    with pytest.raises(ConfigError, match="max_ticks: expected >= 1"):
        run_episode(DoubleIntegrator(), executor(), seed=0, max_ticks=0)
    slow = Executor(Detour(), Sync(10), control_hz=10)
    with pytest.raises(ConfigError, match="expected the executor at the plant's 30 Hz, got 10 Hz"):
        run_episode(DoubleIntegrator(), slow, seed=0, max_ticks=1)
