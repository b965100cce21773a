"""Studies whose driver or workers are killed: nothing is lost, nothing doubled, nothing differs."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest
from studies import ROOT, WORDS, small_study

from experiments.runner.pool import TaskPool
from experiments.study import Study
from experiments.study.folder import ROWS
from xr0_sim.errors import Xr0SimError


def start(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *WORDS, "--out", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def digests(folder):
    lines = (folder / ROWS).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    count = Counter((row["condition"], row["seed"]) for row in rows)
    assert set(count.values()) <= {1}
    return {(row["condition"], row["seed"]): (row["digest"], row["twin_digest"]) for row in rows}


def rows_there(folder):
    path = folder / ROWS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def killed_again_and_again(folder, kills, seed, workers):
    """Runs the study, killing its driver after it has written a few more rows each time."""
    chosen = random.Random(seed)
    for _ in range(kills):
        driver = start(folder, "--workers", str(workers))
        wanted = rows_there(folder) + chosen.randrange(0, 3)
        while driver.poll() is None and rows_there(folder) < wanted:
            time.sleep(0.005)
        time.sleep(chosen.uniform(0.0, 0.2))
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
        assert rows_there(folder) <= 36
    driver = start(folder, "--workers", str(workers), "--json")
    told, errors = driver.communicate()
    assert driver.returncode == 0, errors
    return json.loads(told)["digest"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    study = small_study().run(tmp_path_factory.mktemp("study") / "whole")
    return digests(study.folder)


def test_a_driver_that_is_killed_goes_on(undisturbed, tmp_path):
    killed_again_and_again(tmp_path / "a", kills=2, seed=1, workers=1)
    assert digests(tmp_path / "a") == undisturbed
    assert Study.load(tmp_path / "a").complete


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_driver_that_is_killed_twenty_times_goes_on(undisturbed, tmp_path, workers):
    killed_again_and_again(tmp_path / "a", kills=20, seed=workers, workers=workers)
    assert digests(tmp_path / "a") == undisturbed


def children(process):
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(process.pid)], capture_output=True, text=True
    ).stdout.splitlines()
    return [int(line.split()[0]) for line in listed if "spawn_main" in line]


def workers_killed(folder, kills, seed):
    """Runs the study over two workers and kills one of them now and then."""
    chosen = random.Random(seed)
    driver = start(folder, "--workers", "2")
    for _ in range(kills):
        wanted = rows_there(folder) + chosen.randrange(1, 4)
        while driver.poll() is None and rows_there(folder) < wanted:
            time.sleep(0.005)
        found = children(driver)
        if found:
            os.kill(chosen.choice(found), signal.SIGKILL)
    errors = driver.communicate()[1]
    assert driver.returncode == 0, errors


def test_a_worker_that_is_killed_costs_nothing(undisturbed, tmp_path):
    workers_killed(tmp_path / "a", kills=1, seed=0)
    assert digests(tmp_path / "a") == undisturbed


@pytest.mark.slow
def test_five_workers_that_are_killed_cost_nothing(undisturbed, tmp_path):
    workers_killed(tmp_path / "a", kills=5, seed=1)
    assert digests(tmp_path / "a") == undisturbed


def dies(task):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_always_kills_its_worker_ends_the_run():
    with TaskPool(2, deaths=1) as pool, pytest.raises(Xr0SimError, match="worker process died"):
        list(pool.run(dies, [1, 2]))
