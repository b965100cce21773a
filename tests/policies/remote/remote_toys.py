"""A small policy and frames for it, shared by the tests of policies over a websocket."""

from __future__ import annotations

import time

import numpy as np

from policies.remote.description import Description
from policies.remote.messages import request_message
from policies.remote.server import PolicyServer
from policies.remote.session import ServedPolicy
from xr0_sim.types import ActionChunk, ChunkRequest, Observation, RobotState

HORIZON = 12
VIEW = "base"


class Toy:
    """Adds the number of the inference to the last command; keeps what it was told, if it may."""

    horizon = HORIZON
    needs_images = True
    views = (VIEW,)
    capabilities = frozenset({"prefix", "samples"})

    def __init__(self, sleep_s=0.0, fault=None, keeps=True):
        self.sleep_s, self.fault, self.keeps = sleep_s, fault, keeps
        self.seen, self.resets = [], []

    def reset(self, episode_seed):
        self.resets.append(episode_seed)

    def infer(self, observation, prefix, noise_seed):
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]

    def infer_request(self, request):
        if self.keeps:
            self.seen.append(request)
        time.sleep(self.sleep_s)
        if self.fault is not None:
            raise self.fault
        command = request.observation.robot.command + 1e-3 * request.noise_seed[1]
        rows = np.tile(command, (HORIZON, 1))
        rows[: len(request.prefix)] = request.prefix
        return [
            ActionChunk(rows + k * 1e-4 * (k > 0), request.observation.tick)
            for k in range(request.samples)
        ]


def description(**changed):
    facts = {
        "policy": "toy",
        "digest": "abc",
        "horizon": HORIZON,
        "control_hz": 30,
        "views": (VIEW,),
        "image_size": 96,
        "capabilities": Toy.capabilities,
        "remembers": False,
    }
    return Description(**(facts | changed))


def served(model=None, **changed):
    """One toy for every client, or a given one for all."""
    return ServedPolicy(lambda: Toy() if model is None else model, description(**changed))


def server(model=None, *, facts=None, **options):
    """A server on any free port, to be used as a context manager."""
    options = {"port": 0} | options
    return PolicyServer(lambda: served(model, **(facts or {})), **options)


def robot(shift=0.0):
    return RobotState(
        joint_pos=np.full((2, 6), 0.1 + shift),
        joint_vel=np.zeros((2, 6)),
        jaw=np.array([0.2, 0.8]),
        tool_pos=np.zeros((2, 3)),
        tool_quat=np.tile([1.0, 0, 0, 0], (2, 1)),
        command=np.linspace(-1, 1, 14) + shift,
    )


def observation(tick=7, shift=0.0, size=4):
    picture = np.arange(size * size * 3, dtype=np.uint8).reshape(size, size, 3)
    return Observation(tick, tick * 10**9 // 30, robot(shift), {VIEW: picture}, "sort the bricks")


def request(prefix_rows=0, **changed):
    prefix = np.arange(prefix_rows * 14, dtype=float).reshape(prefix_rows, 14) / 100
    return ChunkRequest(observation(), prefix, (5, 3), **changed)


def message(**changed):
    """Map of a good request, some entries changed; None leaves one out."""
    found = request_message(request(), (VIEW,)) | changed
    return {key: value for key, value in found.items() if value is not None}
