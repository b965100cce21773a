"""``xr0-sim realtime``: inference elsewhere, deadlines kept or counted, the same actions again."""

from __future__ import annotations

import json
import os
import time
import weakref
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest

from experiments.cli import main
from experiments.realtime.loop import NS, _wait_until
from experiments.realtime.mailbox import Layout, Mailbox
from experiments.realtime.resources import Resources, gained, resources_of
from xr0_sim.errors import ConfigError
from xr0_sim.record.ticklog import read_ticklog, write_ticklog
from xr0_sim.types import ActionChunk, ChunkRequest, Observation, RobotState

CAMERAS = ("base", "left_wrist", "right_wrist")
WORDS = "realtime --world 0.1 --seconds 0.1 --max-seconds 1.5 --seed 704 --json"


def request(rng, size, prefix):
    robot = RobotState(
        *(rng.random(shape) for shape in ((2, 6), (2, 6), (2,), (2, 3), (2, 4), (14,)))
    )
    images = {name: rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for name in CAMERAS}
    seen = Observation(7, 123, robot, images, "lay it down – gently")
    return ChunkRequest(seen, rng.random((prefix, 14)), (5, 2))


def test_the_mailbox_gives_back_what_was_put_into_it():
    rng = np.random.default_rng(0)
    layout = Layout(3, CAMERAS, 13, 30)
    memory = SharedMemory(create=True, size=layout.slots * layout.slot_bytes)
    try:
        box = Mailbox(memory, layout)
        asked = [request(rng, 13, prefix) for prefix in (0, 4, 30)]
        lines = [json.loads(json.dumps(box.write_request(n, r))) for n, r in enumerate(asked)]
        chunks = [ActionChunk(rng.random((30, 14)), 7) for _ in asked]
        for slot, chunk in enumerate(chunks):
            box.write_answer(slot, chunk)
        for slot, (line, was) in enumerate(zip(lines, asked, strict=True)):
            found = box.read_request(line)
            np.testing.assert_array_equal(found.prefix, was.prefix)
            assert found.observation.instruction == was.observation.instruction
            assert found.noise_seed == (5, 2) and found.observation.tick == 7
            for name in CAMERAS:
                np.testing.assert_array_equal(
                    found.observation.images[name], was.observation.images[name]
                )
            for name in ("joint_pos", "tool_quat", "command"):
                np.testing.assert_array_equal(
                    getattr(found.observation.robot, name), getattr(was.observation.robot, name)
                )
            np.testing.assert_array_equal(box.read_answer(slot, 7).actions, chunks[slot].actions)
        with pytest.raises(ConfigError, match="no more than a prefix"):
            box.write_request(0, ChunkRequest(asked[0].observation, samples=2))
    finally:
        del box, found
        memory.close()
        memory.unlink()


def test_waiting_ends_at_the_deadline():
    deadline = time.monotonic_ns() + NS // 90
    assert _wait_until(deadline) >= deadline
    past = time.monotonic_ns() - 5
    assert _wait_until(past) >= past


@pytest.mark.parametrize("where", ["process", "thread"])
def test_virtual_time_repeats_an_episode_of_real_time(where, tmp_path, capsys):
    out = tmp_path / "run"
    assert main([*WORDS.split(), "--inference", where, "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["repeated"]["value"] == found["repeated"]["n"] == 1
    table = read_ticklog(out / "ticks" / "seed704.parquet")
    assert len(table) == found["rate"]["n"] == 45
    started = table["started"] >= 0
    assert np.isfinite(table["latency_s"][started]).all()
    assert (out / "ticks" / "seed704.csv").read_text().count("\n") == started.sum() + 1
    assert main([*WORDS.split(), "--out", str(out)]) == 2
    assert "holds a run already" in capsys.readouterr().err


def test_what_is_held_is_told_from_the_end_of_the_first_episode():
    held = [Resources(500.0, 40), Resources(530.0, 41), None, Resources(520.0, 41)]
    found = {each.name: each for each in gained(held)}
    assert found["memory"].value == 500
    assert found["memory_gained"].value == 20 and found["memory_gained"].n == 2
    assert (found["memory_gained_late"].value, found["memory_gained_late"].n) == (-10, 1)
    assert found["memory_most"].value == 530
    assert found["descriptors"].value == 1
    assert gained(held[:1]) == gained([None, None]) == []


def test_both_processes_are_counted():
    own, both = resources_of(os.getpid(), None), resources_of(os.getpid(), os.getpid())
    assert own.memory_mb > 10 and own.descriptors > 2
    assert both.memory_mb == pytest.approx(2 * own.memory_mb, rel=0.05)


def test_a_run_keeps_no_log_in_memory(tmp_path, capsys, monkeypatch):
    kept = []

    def watched(table, path):
        kept.append(weakref.ref(table))
        write_ticklog(table, path)

    monkeypatch.setattr("experiments.commands.realtime.write_ticklog", watched)
    alive = []
    monkeypatch.setattr(
        "experiments.commands.realtime.resources_of",
        lambda *who: alive.append(sum(ref() is not None for ref in kept)) or resources_of(*who),
    )
    words = WORDS.replace("--max-seconds 1.5", "--max-seconds 0.2 --no-replay")
    out = ["--seconds", "0.5", "--inference", "thread", "--out", str(tmp_path / "run")]
    assert main([*words.split(), *out]) == 0
    assert alive and not any(alive)
    if len(alive) > 1:
        assert json.loads(capsys.readouterr().out)["memory_gained"]["n"] == len(alive) - 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--policy oracle", "asks the simulator"),
        ("--policy oracle --inference thread", "asks the simulator"),
        ("--estimator oracle --inference thread", "does not know the true delay"),
        ("--seconds 0", "--seconds: expected"),
        ("--strategy rtc --inference thread", "guide"),
    ],
)
def test_what_cannot_run_in_real_time_is_one_line(words, expected, tmp_path, capsys):
    assert main([*WORDS.split(), *words.split(), "--out", str(tmp_path / "run")]) == 2
    assert expected in capsys.readouterr().err
