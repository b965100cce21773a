"""World 0.1 stays what figures were published with: the same motion, bit for bit on one platform.

``first_world.json`` keeps what it was. Floating-point results differ between processors and
versions of the libraries, in the last digits at first; so digests are compared where the platform
is the one that is written down, and positions to a tolerance everywhere. To write the file anew,
run this module; there is no reason to, unless MuJoCo's version changes.
"""

from __future__ import annotations

import contextlib
import io
import json
import platform
from hashlib import sha256
from pathlib import Path

import mujoco
import numpy as np
import pytest

from envs.snapshot import physics_state
from envs.tasks import make_env, task_spec
from experiments.cli import main
from policies.scripted.experts import make_expert

STORED = Path(__file__).with_name("first_world.json")
MOTIONS = {"block_dismantling": 70, "towel_folding": 20}
"""Task -> control ticks of the expert; with blocks, the first grasp is among them."""
RUNS = {
    "blocks": "--env block_dismantling --episodes 4",
    "towel": "--env towel_folding --episodes 3",
}
TOLERANCE = 1e-6
"""[rad], [m]; what the last digits grow to in the ticks above stays far below."""


def this_platform():
    """What floating-point results depend on."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "simd": [*simd["baseline"], *simd["found"]],
        "numpy": np.__version__,
        "mujoco": mujoco.__version__,
    }


def motion(task, ticks):
    """Digest of all states of the expert's first ticks, and where they end."""
    env = make_env(task, **task_spec(task).complete({"world": "0.1"}))
    expert = make_expert(env)
    env.reset_scene(0)
    sha = sha256()
    for _ in range(ticks):
        env.advance(expert.action(env.robot_state(), env.privileged()))
        sha.update(physics_state(env.model, env.data).tobytes())
    return {"digest": sha.hexdigest(), "end": env.data.qpos[:24].tolist()}


def rollout_digest(words):
    """Joint digest of a run of the oracle."""
    out = io.StringIO()
    run = ["rollout", "--policy", "oracle", "--no-video", "--world", "0.1", "--json"]
    with contextlib.redirect_stdout(out):
        assert main([*run, *words.split()]) == 0
    return json.loads(out.getvalue())["digest"]


@pytest.fixture(scope="module")
def stored():
    return json.loads(STORED.read_text())


@pytest.mark.parametrize("task", MOTIONS)
def test_the_experts_first_ticks_are_those_of_the_first_release(task, stored):
    found, kept = motion(task, MOTIONS[task]), stored["motions"][task]
    assert found["end"] == pytest.approx(kept["end"], abs=TOLERANCE)
    if stored["platform"] == this_platform():
        assert found["digest"] == kept["digest"]


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_runs_of_the_oracle_have_the_digests_of_the_first_release(name, stored):
    if stored["platform"] != this_platform():
        pytest.skip("the digests were written on another platform")
    assert rollout_digest(RUNS[name])[:16] == stored["runs"][name]


if __name__ == "__main__":
    kept = {
        "platform": this_platform(),
        "motions": {task: motion(task, ticks) for task, ticks in MOTIONS.items()},
        "runs": {name: rollout_digest(words)[:16] for name, words in RUNS.items()},
    }
    STORED.write_text(json.dumps(kept, indent=1) + "\n")
