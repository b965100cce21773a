"""Several processes under torchrun train what one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from xr0_sim.errors import ConfigError
from xr0_sim.training.parallel import Ranks
from xr0_sim.training.run_log import read_metrics

SCRIPT = Path(__file__).with_name("rank_script.py")


def train(directory, processes, stop_at=-1):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    launcher += ["--standalone", "--local-addr", "127.0.0.1"]
    launcher = launcher if processes > 1 else [sys.executable]
    command = [*launcher, str(SCRIPT), str(directory), str(stop_at)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((directory / "weights.json").read_text())


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(tmp_path_factory.mktemp("alone"), 1)


def test_two_processes_reach_the_weights_of_one(alone, tmp_path):
    together = train(tmp_path, 2)
    assert together["step"] == alone["step"] == 8
    torch.testing.assert_close(
        torch.tensor(together["weights"]), torch.tensor(alone["weights"]), rtol=1e-5, atol=1e-6
    )
    steps = [row["step"] for row in read_metrics(tmp_path)]
    assert steps == [4, 8, 8], "one process writes, once"


@pytest.mark.slow
def test_a_stop_of_one_process_stops_all_and_the_run_goes_on(alone, tmp_path):
    stopped = train(tmp_path, 2, stop_at=3)
    assert stopped["step"] == 4
    resumed = train(tmp_path, 2)
    torch.testing.assert_close(
        torch.tensor(resumed["weights"]), torch.tensor(alone["weights"]), rtol=1e-5, atol=1e-6
    )


def test_micro_batches_are_shared_out_evenly():
    shares = [Ranks(rank, 3).micros(6) for rank in range(3)]
    assert sorted(micro for share in shares for micro in share) == list(range(6))
    with pytest.raises(ConfigError, match="multiple of the 4 processes, got 6"):
        Ranks(0, 4).micros(6)
