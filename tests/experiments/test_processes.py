"""Interrupts, parents that die, and standard streams that cannot be written."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from experiments.runner import interruption
from experiments.runner.interruption import hurried_by, interruptible, shielded
from experiments.runner.streams import DroppingStream, standard_streams

POOL = """
import sys, time
from pathlib import Path
import experiments.runner.pool as pool
def stubborn(number):
    Path(sys.argv[1], f"{number}").write_text(str(__import__("os").getpid()))
    time.sleep(60)
if __name__ == "__main__":
    from experiments.runner.interruption import interruptible
    try:
        with interruptible(), pool.TaskPool(2) as workers:
            list(workers.run(stubborn, [0, 1]))
    except KeyboardInterrupt:
        print("in good order", flush=True)
        sys.exit(130)
"""


@pytest.fixture
def stubborn_pool(tmp_path):
    """A process with two workers that never look up, and the workers' ids."""
    script = tmp_path / "script.py"
    script.write_text(POOL)
    (tmp_path / "pids").mkdir()
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "pids"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    signal.signal(signal.SIGINT, previous)
    deadline = time.monotonic() + 60
    while True:
        found = [p.read_text() for p in (tmp_path / "pids").iterdir()]
        if len(found) == 2 and all(found):
            break
        assert process.poll() is None and time.monotonic() < deadline, process.stderr
        time.sleep(0.02)
    yield process, [int(pid) for pid in found]
    process.kill()
    process.communicate()


def gone(pid):
    """Whether a process has ended within 10 s; one that nobody waits for counts as ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as file:
                if file.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_workers_end_with_a_parent_that_is_killed(stubborn_pool):
    process, workers = stubborn_pool
    process.kill()
    process.wait()
    assert all(gone(pid) for pid in workers)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_interrupt_ends_at_once_and_in_good_order(stubborn_pool, first):
    process, workers = stubborn_pool
    process.send_signal(first)
    time.sleep(0.3)
    assert process.poll() is None  # the workers are given time
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "in good order\n"), err
    assert "Traceback" not in err and all(gone(pid) for pid in workers)


def test_the_first_interrupt_raises_and_the_second_hurries():
    hurried = []
    with interruptible(), hurried_by(lambda: hurried.append(1)):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
        assert hurried == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):  # also if a library had swallowed the first
            interruption.check_interrupted()
    interruption.check_interrupted()


def test_a_shielded_block_is_not_cut_off():
    done = []
    with interruptible():
        with pytest.raises(KeyboardInterrupt), shielded():
            signal.raise_signal(signal.SIGTERM)
            done.append("written")
        with shielded():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            done.append("again")
    assert done == ["written", "again"]


def test_an_ignored_hangup_stays_ignored():
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, previous)


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_full_standard_error_drops_messages_and_nothing_else():
    stream = DroppingStream(Full())
    print("message", file=stream, flush=True)
    stream.writelines(["a", "b"])
    assert stream.isatty() is False


ASK = "import sys; from experiments.cli import main; sys.exit(main(['nothing-of-the-kind']))"
SAY = """
import json, sys
from experiments.runner.streams import standard_streams
with standard_streams():
    print(json.dumps({"label": "Δ m/s³ 😀"}, ensure_ascii=False))
    print("progress", file=sys.stderr, flush=True)
"""


@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-", "<&- 2>&-"])
def test_results_come_without_standard_error(redirect):
    done = subprocess.run(
        f"\"{sys.executable}\" -c '{SAY}' {redirect}", shell=True, capture_output=True, check=False
    )
    assert done.returncode == 0 and json.loads(done.stdout)["label"] == "Δ m/s³ 😀"


def test_messages_never_end_up_in_standard_output():
    done = subprocess.run(
        f'"{sys.executable}" -c "{ASK}" 2>&-', shell=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_full_standard_output_is_said_in_one_line():
    done = subprocess.run(
        f'"{sys.executable}" -m experiments.cli --help >/dev/full',
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "free some room" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_terminal_without_our_signs_gets_them_escaped_as_json_does():
    plain = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [sys.executable, "-c", SAY], capture_output=True, env={**os.environ, **plain}, check=False
    )
    assert done.returncode == 0 and b"\\u0394 m/s\\u00b3 \\ud83d\\ude00" in done.stdout
    assert json.loads(done.stdout)["label"] == "Δ m/s³ 😀"


def test_streams_are_put_back(capsys):
    before = sys.stderr
    with standard_streams():
        print("x", file=sys.stderr)
    assert sys.stderr is before and capsys.readouterr().err == "x\n"
