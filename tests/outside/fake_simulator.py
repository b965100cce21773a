"""A point that moves towards a cube: a simulator with numpy alone, and with planted breakdowns.

Runs in the protocol process; nothing here knows the project but its errors.
"""

import os
import time

import numpy as np

from xr0_sim.errors import ConfigError

DIES, RAISES, HANGS, NOT_FINITE, DIES_IN_RESET = 66, 67, 68, 69, 70
"""Seeds whose episodes break, after `SOUND_STEPS` steps or at once."""
SOUND_STEPS = 5


class FakeSimulator:
    def __init__(self, room=True):
        self.room, self.kept = room, {}

    def describe(self):
        names = ["cube", "ball"]
        return {
            "instruction": "touch the cube",
            "control_hz": 20,
            "objects": names,
            "target": "cube",
        }

    def reset(self, seed):
        if seed == DIES_IN_RESET:
            print("out of meshes", file=__import__("sys").stderr, flush=True)
            os._exit(4)
        rng = np.random.default_rng(seed)
        self.seed, self.steps = seed, 0
        self.tool, self.gripper = np.array([0.0, 0.0, 0.3]), -1.0
        self.places = {"cube": rng.uniform(-0.2, 0.2, 3), "ball": rng.uniform(-0.2, 0.2, 3)}
        self.places["cube"][2] = self.places["ball"][2] = 0.0
        self.look = np.zeros(3)
        return self.reading()

    def step(self, action):
        self.steps += 1
        if self.steps > SOUND_STEPS:
            if self.seed == DIES:
                print("numpy is tired", file=__import__("sys").stderr, flush=True)
                os._exit(3)
            if self.seed == RAISES:
                raise FloatingPointError("the solver\ndiverged")
            if self.seed == HANGS:
                time.sleep(60)
        self.tool = self.tool + 0.05 * np.clip(action[:3], -1, 1)
        self.gripper = float(action[6])
        if self.seed == NOT_FINITE and self.steps > SOUND_STEPS:
            self.tool = self.tool * np.nan
        return self.reading()

    def reading(self):
        joints = np.concatenate([self.tool, self.tool * 2, [0.5], [0.02, -0.02]])
        near = np.linalg.norm(self.tool - self.places["cube"]) < 0.005
        return {
            "joint_pos": joints,
            "joint_vel": 0 * joints,
            "tool_pos": self.tool,
            "tool_quat": np.array([0.0, 1.0, 0.0, 0.0]),
            "opening": (1 - self.gripper) / 2,
            "reward": float(near),
            "success": bool(near),
            "objects": dict(self.places),
        }

    def pictures(self, cameras, height, width):
        here = np.concatenate([self.tool, self.places["cube"], self.look])
        shade = int(1e4 * np.abs(here).sum()) % 200
        if "blind" in cameras:
            raise ConfigError("camera: expected another one than blind")
        return {
            name: np.full((height, width, 3), shade + k, np.uint8) for k, name in enumerate(cameras)
        }

    def snapshot(self):
        number = len(self.kept) + 1
        self.kept[number] = {
            name: value.copy() if hasattr(value, "copy") else value
            for name, value in vars(self).items()
            if name != "kept"
        }
        return {"number": number}

    def restore(self, state):
        kept = self.kept[state["number"]]
        vars(self).update({n: v.copy() if hasattr(v, "copy") else v for n, v in kept.items()})
        return self.reading()

    def shift(self, name, offsets):
        if self.room:
            self.places[name] = self.places[name] + offsets[0]
        return {"place": 0 if self.room else -1, "reading": self.reading()}

    def knock(self, camera, shift, rotvec):
        self.look = self.look + shift
        return {}
