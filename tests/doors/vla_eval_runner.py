"""Run by vla-eval's own Python: its harness, its client and its server base against our two halves.

PYTHON vla_eval_runner.py WEIGHTS CALVIN_WEIGHTS OUT
"""

import json
import sys
from pathlib import Path

import anyio
import numpy as np
from vla_eval.api import evaluate, run, serve_background
from vla_eval.benchmarks.calvin.benchmark import CALVINBenchmark
from vla_eval.connection import Connection
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.specs import LANGUAGE, check_specs

from xr0_sim.outside.vla_eval.benchmark import JOINT_TARGETS, XR0SimBenchmark
from xr0_sim.outside.vla_eval.server import XR0SimServer

OURS = "xr0_sim.outside.vla_eval.benchmark:XR0SimBenchmark"
PARAMS = {"env": "block_dismantling:n_bricks=2", "world": "0.1", "seed": 3}
STEPS = 45


class Still(PredictModelServer):
    """A model server of stock parts: the arms stay where they were first commanded to."""

    def predict(self, obs, ctx):
        return {"actions": np.asarray(obs["robot"]["command"], np.float32)}

    def get_action_spec(self):
        return {"joints": JOINT_TARGETS}

    def get_observation_spec(self):
        return {"language": LANGUAGE}


def config(**entry):
    benchmark = {"benchmark": OURS, "params": PARAMS, "max_steps": STEPS, **entry}
    return {"benchmarks": [benchmark], "render": "cpu"}


async def libero_chunk(url):
    """Actions of ten steps that the stock client gets for LIBERO's observations."""
    picture = np.random.default_rng(0).integers(0, 255, (256, 256, 3), np.uint8)
    seen = {
        "images": dict.fromkeys(("agentview", "wrist"), picture),
        "states": np.array([0.1, 0.0, 1.1, 3.1, 0.0, 0.1, 0.04, -0.04], np.float64),
        "task_description": "put the bowl on the stove",
    }
    async with Connection(url, timeout=120.0) as connection:
        told = connection.server_info
        await connection.start_episode({"task": {"name": "x", "episode_idx": 4}})
        actions = [np.asarray((await connection.act(seen))["actions"]) for _ in range(10)]
        await connection.end_episode({"success": False})
    return told, np.stack(actions)


async def calvin_steps(url):
    """Actions of four steps of CALVIN; at the third the next subtask begins."""
    pictures = np.random.default_rng(0).integers(0, 255, (2, 200, 200, 3), np.uint8)
    seen = {
        "images": dict(zip(("rgb_static", "rgb_gripper"), pictures, strict=True)),
        "states": np.array([0.02, -0.23, 0.57, 3.09, -0.03, 1.5, 0.06, -1.0], np.float32),
        "task_description": "push the sliding door to the left side",
    }
    async with Connection(url, timeout=120.0) as connection:
        await connection.start_episode({"task": {"name": "x", "episode_idx": 0}})
        actions = []
        for step in range(4):
            shown = seen | ({"episode_restart": True} if step == 2 else {})
            actions.append(np.asarray((await connection.act(shown))["actions"]).tolist())
        await connection.end_episode({"success": False})
    return actions


def calvin(weights):
    """What it answers to CALVIN, and what the harness finds amiss about its words."""
    server = XR0SimServer(benchmark="calvin_abcd", checkpoint=weights)
    own = CALVINBenchmark(**server.get_observation_params())
    amiss = check_specs(
        server.get_action_spec(),
        own.get_action_spec(),
        server.get_observation_spec(),
        own.get_observation_spec(),
    )
    chunks = []
    predict = server.predict
    server.predict = lambda obs, ctx: chunks.append(predict(obs, ctx)) or chunks[-1]
    with serve_background(server) as handle:
        actions = anyio.run(calvin_steps, handle.url)
    rows = [chunk["actions"][:2].tolist() for chunk in chunks]
    return {"amiss": amiss, "actions": actions, "chunks": rows}


def main(weights, calvin_weights, out):
    told = {}
    # Our policy is one of its model servers, our task one of its benchmarks.
    server = XR0SimServer(
        benchmark=PARAMS["env"], options={"head": "sync", "world": "0.1"}, chunk_size=20
    )
    results = evaluate(server, config(), docker=False, no_save=True)
    told["sync"] = results[0]
    # A model server of stock parts plays our task live: the clock does not wait.
    with serve_background(Still()) as handle:
        live = config(mode="live", hz=30.0, max_steps=20, paced=True)
        told["live"] = run(live, server_url=handle.url, docker=False, no_save=True)[0]
    # Its client asks for LIBERO's actions of released weights.
    libero = XR0SimServer(benchmark="libero", checkpoint=weights)
    told["rows"] = libero.chunk_size
    with serve_background(libero) as handle:
        hello, first = anyio.run(libero_chunk, handle.url)
        _, again = anyio.run(libero_chunk, handle.url)
    told["hello"] = {k: v for k, v in hello.items() if isinstance(v, str | int | dict)}
    told["libero"], told["repeats"] = first.tolist(), bool(np.array_equal(first, again))
    told["calvin"] = calvin(calvin_weights)
    assert XR0SimBenchmark.render_backends == {"gpu", "cpu"}
    Path(out).write_text(json.dumps(told, default=str))


if __name__ == "__main__":
    main(*sys.argv[1:])
