import os
import pickle
import signal
import time

import numpy as np
import pytest
from fake_simulator import DIES, DIES_IN_RESET, HANGS, RAISES, SOUND_STEPS
from outside_toys import HERE, fake_process

from xr0_sim.errors import ConfigError, PlantLostError
from xr0_sim.outside.client import OutsideProcess, finite


@pytest.fixture
def fake():
    process = fake_process(answer_s=2.0)
    yield process
    process.close()


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_it_answers_and_ends_with_its_channel(fake):
    assert not fake.alive
    assert fake.ask("describe")["target"] == "cube"
    reading = fake.ask("reset", seed=3)
    assert reading["objects"]["cube"].shape == (3,)
    pid = fake.pid
    assert fake.alive and not gone(pid)
    fake.close()
    fake.close()
    assert not fake.alive and gone(pid)


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (DIES, "process is gone, exit status 3: numpy is tired"),
        (RAISES, "FloatingPointError: the solver diverged"),
        (HANGS, "no answer within 2 s"),
    ],
)
def test_a_breakdown_is_one_line_and_the_next_question_starts_another(fake, seed, words):
    fake.ask("reset", seed=seed)
    for _ in range(SOUND_STEPS):
        fake.ask("step", action=np.zeros(7))
    pid = fake.pid
    started = time.monotonic()
    with pytest.raises(PlantLostError, match=words) as caught:
        fake.ask("step", action=np.zeros(7))
    assert "\n" not in str(caught.value) and not fake.alive
    assert time.monotonic() - started < 12 and gone(pid)
    assert fake.ask("reset", seed=1)["success"] is False


def test_a_killed_process_is_lost(fake):
    fake.ask("reset", seed=1)
    os.kill(fake.pid, signal.SIGKILL)
    with pytest.raises(PlantLostError, match="exit status -9"):
        fake.ask("step", action=np.zeros(7))


def test_one_that_dies_at_once_ends_the_run_with_its_last_line(fake):
    with pytest.raises(ConfigError, match="exit status 4: out of meshes"):
        fake.ask("reset", seed=DIES_IN_RESET)


def test_refusals_leave_it_alive(fake):
    fake.ask("reset", seed=1)
    pid = fake.pid
    for call in ("__init__", "kept", "os.system", ""):
        with pytest.raises(ConfigError, match="expected one of describe"):
            fake.ask(call)
    with pytest.raises(ConfigError, match="another one than blind"):
        fake.ask("pictures", cameras=["blind"], height=4, width=4)
    assert fake.pid == pid and fake.ask("describe")


@pytest.mark.parametrize(
    ("python", "name", "words"),
    [
        ("/nowhere/python", "FakeSimulator", "expected a python interpreter"),
        ("/bin/true", "FakeSimulator", "expected it to start, got exit status 0"),
        (None, "Missing", "AttributeError"),
    ],
)
def test_what_cannot_start_is_one_line(python, name, words):
    import sys

    process = OutsideProcess(python or sys.executable, HERE / "fake_simulator.py", name, {})
    with pytest.raises(ConfigError, match=words) as caught:
        process.ask("describe")
    assert "\n" not in str(caught.value) and not process.alive


def test_it_travels_to_workers_without_its_process(fake):
    fake.ask("reset", seed=1)
    copy = pickle.loads(pickle.dumps(fake))
    assert not copy.alive
    assert copy.ask("reset", seed=1)["opening"] == 1.0
    copy.close()
    assert fake.alive


def test_arrays_of_answers_are_checked():
    assert finite([1, 2], (-1,), "x").tolist() == [1.0, 2.0]
    for values, shape in (([1, np.nan], (-1,)), ([1, 2], (3,)), (1.0, (1,)), ([1, 2], ())):
        with pytest.raises(PlantLostError, match="x: expected finite numbers"):
            finite(values, shape, "x")
