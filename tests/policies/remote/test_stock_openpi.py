"""Stock openpi-client against our server, our client against a server of stock parts.

The package openpi-client wants another numpy than ours, so it runs in an environment of its own,
named by ``XR0_SIM_OPENPI_PYTHON``; ``make openpi-check`` makes one and runs this file.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from remote_toys import HORIZON, server

from envs.plant import EnvPlant
from envs.tasks import make_env
from policies.remote.policy import Remote
from xr0_sim.errors import ConfigError
from xr0_sim.runtime import Executor, PrefixAsync, Sync, run_episode
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.wire import pack, unpack

PYTHON = os.environ.get("XR0_SIM_OPENPI_PYTHON", "")
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PYTHON, reason="XR0_SIM_OPENPI_PYTHON names no python; run make openpi-check"
    ),
]


@pytest.fixture(scope="module")
def stock():
    """Port of a server of stock parts, and frames of the stock packer."""
    process = subprocess.Popen(
        [PYTHON, "-P", str(HERE / "stock_server.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ.get("PATH", "")},
    )
    port, *frames = process.stdout.readline().split()
    yield int(port), [bytes.fromhex(frame) for frame in frames]
    process.stdin.close()
    assert process.wait(20) == 0


@pytest.mark.parametrize("key", [None, "open sesame"])
def test_the_stock_client_talks_to_our_server(key):
    with server(api_key=key) as serving:
        words = [PYTHON, "-P", str(HERE / "stock_client.py"), str(serving.port)]
        done = subprocess.run(
            words + [key] * bool(key),
            capture_output=True,
            text=True,
            timeout=60,
            env={"PATH": os.environ.get("PATH", "")},
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["horizon"] == HORIZON and found["dtype"] == "<f8" and found["prefix_kept"]
    for number, chunk in enumerate(found["chunks"]):
        expected = np.tile(np.linspace(-1, 1, 14) + 1e-3 * number, (HORIZON, 1))
        assert np.array_equal(chunk, expected)
    assert "refused: 'robot': expected a map" in found["refused"] and found["infer_ms"] >= 0


def test_our_frames_are_those_of_the_stock_packer_byte_for_byte(stock):
    _, frames = stock
    assert len(frames) == 11
    for frame in frames:
        assert pack(unpack(frame)) == frame


def test_our_client_runs_an_episode_with_a_server_of_stock_parts(stock):
    port, _ = stock
    env = make_env("block_dismantling")
    loaded = Remote(url=f"ws://127.0.0.1:{port}", horizon=10).load(None)
    assert loaded.looks
    model = loaded.bind(env)
    result = run_episode(
        EnvPlant(env), Executor(model, Sync(5), Constant(0.08)), seed=0, max_ticks=30
    )
    assert result.outcome == "failure" and result.ticks == 30
    with pytest.raises(ConfigError, match="can do prefix"):
        Executor(model, PrefixAsync(5), Constant(0.08))
