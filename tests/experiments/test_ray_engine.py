"""The Ray engine: equal digests on one node and on two, also when nodes and workers are lost."""

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec

import pytest
from studies import ROOT, WORDS, small_study

from experiments.study.engines import engine_of
from experiments.study.ray_engine import RayEngine
from xr0_sim.errors import ConfigError

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs the package ray")


@pytest.fixture(scope="module", autouse=True)
def token():
    """A token of its own, so that the one of a user stays as it is; Ray reads it when imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "5f" * 32)
        yield


def digests(study):
    return {(row["condition"], row["seed"]): row["digest"] for row in study.rows}


def test_engines_are_chosen_by_name():
    with pytest.raises(ConfigError, match="unknown engine"):
        engine_of("slurm", 1)
    with pytest.raises(ConfigError, match="--engine ray"):
        engine_of("pool", 1, "10.0.0.1:6379")
    with pytest.raises(ConfigError, match="--workers"):
        RayEngine(0)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    return small_study().run(tmp_path_factory.mktemp("study") / "pool")


@pytest.mark.slow
def test_a_cluster_of_this_machine_gives_the_digests_of_the_pool(pooled, tmp_path):
    found = small_study().run(tmp_path / "ray", workers=2, engine="ray")
    assert digests(found) == digests(pooled)


@pytest.fixture
def cluster():
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    yield made
    made.shutdown()


@pytest.mark.slow
def test_two_nodes_give_the_digests_of_the_pool(pooled, cluster, tmp_path):
    found = small_study().run(tmp_path / "ray", workers=2, engine="ray", address=cluster.address)
    assert digests(found) == digests(pooled)


@pytest.mark.slow
def test_a_cluster_refuses_another_token(cluster, tmp_path):
    words = ["--engine", "ray", "--address", cluster.address, "--out", str(tmp_path / "ray")]
    wrong = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_TOKEN": "00" * 32}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *WORDS, *words],
        capture_output=True,
        text=True,
        env=wrong,
        timeout=300,
    )
    assert done.returncode == 2 and "expected a Ray cluster" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_cluster_without_a_token_gets_one_line(tmp_path):
    words = ["--engine", "ray", "--address", "127.0.0.1:1", "--out", str(tmp_path / "ray")]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, "-m", "experiments.cli", *WORDS, *words],
        capture_output=True,
        text=True,
        env={**bare, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        timeout=300,
    )
    assert done.returncode == 2 and "RAY_AUTH_TOKEN" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "ray").exists()


@pytest.mark.slow
def test_a_node_and_workers_that_are_lost_cost_nothing(pooled, cluster, tmp_path):
    import ray

    cluster.add_node(num_cpus=1)
    lost = []

    def lose():
        rows = tmp_path / "ray" / "rows.jsonl"
        for wanted in (1, 7):
            while not rows.exists() or rows.read_bytes().count(b"\n") < wanted:
                time.sleep(0.01)
            if wanted == 1:
                # All nodes stand on one machine: this process hangs on one of them.
                own = ray.get_runtime_context().get_node_id()
                others = (node for node in cluster.worker_nodes if node.node_id != own)
                cluster.remove_node(next(others))
                lost.append("node")
            else:
                os.kill(worker_pids()[0], signal.SIGKILL)
                lost.append("worker")

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    found = small_study().run(tmp_path / "ray", workers=2, engine="ray", address=cluster.address)
    thread.join(10)
    assert lost == ["node", "worker"]
    assert digests(found) == digests(pooled) and len(found.rows) == 36
    lines = (tmp_path / "ray" / "rows.jsonl").read_text().splitlines()
    assert len(lines) == 36


def worker_pids():
    """Processes of this cluster that run tasks, the busy ones first."""
    import psutil

    found = {child.pid: " ".join(child.cmdline()) for child in psutil.Process().children(True)}
    workers = [pid for pid, words in found.items() if words.startswith("ray::")]
    return sorted(workers, key=lambda pid: "IDLE" in found[pid])
