"""One plug of every kind in one file; run it with ``--plugin docs/examples/my_plugs.py``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from envs.robot.servos import IDENTIFIED, IdentifiedServo, Servo
from policies.table import PolicySpec
from xr0_sim import registry
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import event_kind
from xr0_sim.perturb.triggers import Trigger
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.types import ActionChunk


@registry.strategies.register("eager", "infers again as soon as it can; a new chunk wins")
@dataclass(frozen=True)
class Eager(Strategy):
    """Starts an inference every `every` ticks, up to two at a time, and averages what overlaps."""

    max_in_flight: ClassVar[int] = 2

    every: int = 4

    @property
    def label(self):
        return f"eager every {self.every}"

    def due(self, situation):
        starved = situation.timeline.at(situation.tick) is None
        return situation.tick % self.every == 0 or (starved and not situation.in_flight)

    def select(self, slots):
        return np.mean([slot.chunk.actions[slot.index] for slot in slots], axis=0)


@registry.latencies.register("two_speeds", "own: every third inference is slow")
@dataclass(frozen=True)
class TwoSpeeds:
    """Every third inference takes `slow_s`, the others `fast_s` [s]."""

    fast_s: float = 0.03
    slow_s: float = 0.2

    @property
    def label(self):
        return f"{self.fast_s * 1e3:g} or {self.slow_s * 1e3:g} ms"

    def sample(self, rng, context):
        return self.slow_s if context.number % 3 == 2 else self.fast_s


@registry.triggers.register("joint_moves", "own: a joint moves faster than a limit")
@dataclass(frozen=True)
class JointMoves(Trigger):
    """Due once a joint moves faster than `limit_rad_s`."""

    limit_rad_s: float = 0.05

    def due(self, now):
        speeds = now.scene.robot_state().joint_vel
        return float(np.abs(speeds).max()) > self.limit_rad_s


@event_kind("nudge")
@dataclass(frozen=True)
class Nudge(Event):
    """The largest standing assembly moves along y by `distance_m`."""

    distance_m: float = 0.02

    def apply(self, scene, rng):
        bricks = scene.largest_cluster()
        sign = float(rng.choice([-1.0, 1.0]))
        scene.displace(bricks, np.array([0.0, sign * self.distance_m, 0.0]), 0.0)
        return {"sign": sign}


class WaveModel:
    """A chunk model: both elbows swing around where the arms were commanded to."""

    horizon = 30
    needs_images = False

    def __init__(self, amplitude_rad):
        self.amplitude_rad = amplitude_rad

    def reset(self, episode_seed):
        pass

    def infer(self, observation, prefix, noise_seed):
        ticks = observation.tick + np.arange(self.horizon)
        actions = np.tile(observation.robot.command, (self.horizon, 1))
        actions[:, 2] += self.amplitude_rad * np.sin(ticks / 10)
        actions[: len(prefix)] = prefix
        return ActionChunk(actions, observation.tick)


@registry.policies.register("wave", "own: no task, only motion")
@dataclass(frozen=True)
class Wave(PolicySpec):
    """`WaveModel` as a policy of the command line."""

    looks: ClassVar[bool] = False

    amplitude_rad: float = 0.05

    def bind(self, env):
        return WaveModel(self.amplitude_rad)


@dataclass(frozen=True)
class WornServo(Servo):
    """The identified servo after years of work: more dry friction, and less damping."""

    friction_factor: float = 1.5
    damping_factor: float = 0.9

    def joints(self):
        return {
            name: replace(
                joint,
                kd=joint.kd * self.damping_factor,
                friction=joint.friction * self.friction_factor,
            )
            for name, joint in IDENTIFIED.items()
        }

    def jaw(self):
        return IdentifiedServo().jaw()


registry.servos.add("worn", WornServo(), "own: the identified servo, worn")
