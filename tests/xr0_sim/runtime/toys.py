"""Toy plant and chunk models: small enough to know the right answer in closed form."""

from __future__ import annotations

import numpy as np

from xr0_sim.conventions import CONTROL_HZ, ENV_ACTION_DIM, tick_ns
from xr0_sim.perturb.registry import parse_events
from xr0_sim.perturb.schedule import EventSchedule
from xr0_sim.types import ActionChunk, Observation, RobotState

HORIZON = 30


class DoubleIntegrator:
    """Fourteen unit masses, each pulled to its commanded position, critically damped at 8 Hz."""

    control_hz = CONTROL_HZ
    substeps = 8

    def __init__(self, start=None, goal=1.0, obstacle=None):
        self._start = np.zeros(ENV_ACTION_DIM) if start is None else np.asarray(start, float)
        self._goal = goal
        self.obstacle = obstacle
        self.captures = 0

    def reset(self, seed, options=None):
        self.tick = 0
        self.pos, self.vel = self._start.copy(), np.zeros(ENV_ACTION_DIM)
        self.command = self._start.copy()
        self.goal, self.hit = self._goal, False
        self.schedule = EventSchedule(parse_events((options or {}).get("events", ())), seed)

    def robot_state(self):
        joints = self.pos.reshape(2, 7)
        tool = joints[:, :3] * 0.5
        quat = np.tile([1.0, 0, 0, 0], (2, 1))
        vel = self.vel.reshape(2, 7)[:, :6]
        return RobotState(
            joints[:, :6].copy(), vel.copy(), joints[:, 6].copy(), tool, quat, self.command.copy()
        )

    def observe(self, images=True):
        self.captures += 1
        seen = {"base": np.full((4, 4, 3), self.tick % 256, np.uint8)} if images else {}
        now = tick_ns(self.tick)
        return Observation(self.tick, now, self.robot_state(), seen, "reach", self.goal)

    @property
    def phase(self):
        return "far" if self.pos[0] < 0.5 * self.goal else "near"

    def note_inferences(self, inferences):
        self.schedule.note_inferences(inferences)

    def step(self, action):
        fired = self.schedule.fire(self, self.tick, tick_ns(self.tick), self.phase)
        self.command = np.array(action, float)
        dt, omega = 1 / (self.control_hz * self.substeps), 2 * np.pi * 8
        for _ in range(self.substeps):
            acc = omega**2 * (self.command - self.pos) - 2 * omega * self.vel
            self.vel += dt * acc
            self.pos += dt * self.vel
        self.tick += 1
        if self.obstacle is not None:
            self.hit |= np.hypot(self.pos[0] - 0.5, self.pos[1]) < self.obstacle
        success = bool(abs(self.pos[0] - self.goal) < 0.01 and not self.hit)
        info = {
            "success": success,
            "progress": float(np.clip(self.pos[0] / self.goal, 0, 1)),
            "phase": self.phase,
            "events": fired,
            "pending_events": self.schedule.pending,
        }
        return float(success), success or self.hit, False, info


class ChunkModelBase:
    """Rolls a command-to-command rule: the expert's own future from wherever it is committed to."""

    horizon = HORIZON

    def reset(self, episode_seed):
        self.calls = []

    def next_command(self, command, rng, observation):
        raise NotImplementedError

    def infer(self, observation, prefix, noise_seed):
        self.calls.append((observation.tick, len(prefix), noise_seed))
        rng = np.random.default_rng(noise_seed)
        self.begin(observation, prefix, rng)
        rows = list(prefix)
        command = rows[-1] if rows else observation.robot.command
        while len(rows) < self.horizon:
            command = self.next_command(command, rng, observation)
            rows.append(command)
        return ActionChunk(np.array(rows), observation.tick)

    def begin(self, observation, prefix, rng):
        pass


class Wave(ChunkModelBase):
    """Endless smooth motion around a circle; the phase can be read off any command."""

    omega = 0.12

    def next_command(self, command, rng, observation):
        phase = np.arctan2(command[1], command[0]) + self.omega
        return self.at(phase)

    @staticmethod
    def at(phase):
        # Even dimensions follow the cosine, odd ones the sine, at growing amplitude.
        scale = 1 + 0.1 * (np.arange(ENV_ACTION_DIM) // 2)
        angles = phase - np.pi / 2 * (np.arange(ENV_ACTION_DIM) % 2)
        return scale * np.cos(angles)


class Table(ChunkModelBase):
    """Looks its actions up by tick: open-loop replay of a known sequence."""

    def __init__(self, actions, horizon=HORIZON):
        self.actions, self.horizon = actions, horizon

    def infer(self, observation, prefix, noise_seed):
        self.calls.append((observation.tick, len(prefix), noise_seed))
        rows = self.actions[observation.tick : observation.tick + self.horizon].copy()
        rows[: len(prefix)] = prefix
        return ActionChunk(rows, observation.tick)


class Detour(ChunkModelBase):
    """Drives dimension 0 to the goal, passing the obstacle at 0.5 on one side or the other.

    Both sides are equally good while the robot is on the centre line, so each inference draws its
    side anew; once off the line, or told by a prefix where the plan is going, it keeps its side.
    """

    speed = 0.012
    decided = 0.05

    def begin(self, observation, prefix, rng):
        draw = 1.0 if rng.random() < 0.5 else -1.0
        if len(prefix):
            self.side = np.sign(prefix[-1][1])
        else:
            lateral = observation.robot.command[1]
            self.side = np.sign(lateral) if abs(lateral) > self.decided else draw

    def next_command(self, command, rng, observation):
        out = command.copy()
        out[0] = min(command[0] + self.speed, observation.privileged)
        wide = self.side * 0.3 * np.exp(-(((out[0] - 0.5) / 0.2) ** 2))
        out[1] = command[1] + 0.25 * (wide - command[1])
        return out
