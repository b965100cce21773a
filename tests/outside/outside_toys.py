"""A task on the fake simulator, and a policy for it; a plug-in for the command line, too."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from envs.libero.env import LiberoEnv
from envs.task_spec import TaskSpec
from policies.table import PolicySpec
from xr0_sim import registry
from xr0_sim.outside.client import OutsideProcess
from xr0_sim.types import ActionChunk

HERE = Path(__file__).parent
FAKE = HERE / "fake_simulator.py"


def fake_process(answer_s=20.0, **arguments):
    return OutsideProcess(
        sys.executable, FAKE, "FakeSimulator", arguments, what="fake", answer_s=answer_s
    )


class FakeEnv(LiberoEnv):
    """LIBERO's face before the fake simulator."""

    def __init__(self, task: int = 0, room: bool = True, answer_s: float = 20.0, **given):
        self.room, self.answer_s = room, answer_s
        super().__init__(task=task, **given)

    def start(self):
        return fake_process(self.answer_s, room=self.room)


class Reach:
    """Goes to where the cube was when the picture was taken."""

    horizon = 10
    needs_images = True

    def __init__(self, looks):
        self.needs_images = looks
        self.seen = []

    def reset(self, episode_seed):
        self.seen.clear()

    def infer(self, observation, prefix, noise_seed):
        self.seen.append(observation)
        goal = observation.privileged["objects"]["cube"]
        tool = observation.robot.tool_pos[0].copy()
        actions = np.zeros((self.horizon, 14))
        for row, action in enumerate(actions):
            action[6] = 1.0
            if row < len(prefix):
                action[:] = prefix[row]
            else:
                action[:3] = np.clip(0.25 * (goal - tool) / 0.05, -1.0, 1.0)
            tool += 0.05 * action[:3]
        return ActionChunk(actions, observation.tick)


@registry.policies.register("toy_reach", "own: reaches for the cube")
@dataclass(frozen=True)
class ToyReach(PolicySpec):
    looks: ClassVar[bool] = False

    def bind(self, env):
        return Reach(self.looks)


registry.tasks.add(
    "toy_outside",
    TaskSpec(
        env=FakeEnv,
        env_kwargs={"task": 0, "room": True, "answer_s": 20.0},
        time_limit_s=3.0,
        events="envs.libero.events",
        event_aliases={"shove": "object_shift"},
        execution_horizon=5,
        stage={},
        control_hz=20,
    ),
    source="own",
)
