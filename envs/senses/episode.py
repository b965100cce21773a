"""The senses of one episode: what is drawn once, and the short memory that delays need.

Every draw is keyed by the episode's seed, the camera and the tick: a capture that is asked for
twice comes twice the same, and nothing depends on what was looked at before.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from envs.episode_streams import SceneStream, scene_rng
from envs.robot.kinematics import DualArmKinematics
from envs.senses.base import Senses
from envs.senses.pictures import Image, developed, episode_gains
from envs.senses.readings import between, encoded
from xr0_sim.conventions import CAMERAS, CONTROL_HZ, NS_PER_S, tick_ns
from xr0_sim.types import RobotState

SceneT = TypeVar("SceneT")

ROUNDING = 1e-4
"""Share of a tick that counts as none: what decimals of a delay are worth."""


@dataclass(frozen=True)
class CameraDraw:
    """What a camera keeps through an episode.

    Attributes:
        gains: (3,) exposure of red, green and blue.
        shift: (3,) displacement [m].
        rotvec: (3,) turn [rad].
    """

    gains: NDArray[np.float64]
    shift: NDArray[np.float64]
    rotvec: NDArray[np.float64]


class EpisodeSenses(Generic[SceneT]):
    """Perceives one episode.

    Args:
        senses: How well.
        seed: Seed of the episode.
        control_hz: Control rate [Hz].

    Attributes:
        frames: Ticks by which a frame may be old when it arrives.
    """

    def __init__(self, senses: Senses, seed: int, control_hz: int = CONTROL_HZ) -> None:
        self.senses, self.control_hz = senses, control_hz
        self._seed = seed
        self.cameras = {
            name: _draw_camera(senses, scene_rng(seed, SceneStream.OPTICS, index))
            for index, name in enumerate(CAMERAS)
        }
        self.frames = self._ticks(senses.camera_delay_s + senses.camera_jitter_s)
        self._scenes: deque[tuple[int, SceneT]] = deque(maxlen=self.frames + 1)
        self._readings: deque[tuple[int, RobotState]] = deque(
            maxlen=self._ticks(senses.joint_delay_s) + 1
        )

    def _ticks(self, seconds: float) -> int:
        """Ticks that a time spans, begun ones counted."""
        return max(0, math.ceil(seconds * self.control_hz - ROUNDING))

    # ---------------------------------------------------------------- pictures
    def keep_scene(self, tick: int, scene: SceneT) -> None:
        """Remembers what a picture of `tick` is drawn from; only needed with delays."""
        self._scenes.append((tick, scene))

    @property
    def scenes(self) -> dict[int, SceneT]:
        """What is remembered, by tick."""
        return dict(self._scenes)

    def frame_tick(self, camera: str, tick: int) -> int:
        """Tick in which the newest frame was taken that has arrived at `tick`."""
        if not self.senses.delays_pictures:
            return tick
        hz = self.control_hz
        latest = tick_ns(tick, hz) + _ns(ROUNDING / hz)
        for taken in range(tick, max(0, tick - self.frames), -1):
            if tick_ns(taken, hz) + self._age_ns(camera, taken) <= latest:
                return taken
        # Before the first tick the scene stood as it stands in it.
        return max(0, tick - self.frames)

    def scene_of(self, tick: int) -> SceneT:
        """What was kept for `tick`, or for the oldest tick in memory."""
        for kept, scene in self._scenes:
            if kept >= tick:
                return scene
        raise AssertionError(f"nothing kept for tick {tick}")

    def develop(self, camera: str, taken: int, image: Image) -> Image:
        """The frame that `camera` took in tick `taken`, from what stood before its lens."""
        senses = self.senses
        if not senses.alters_pictures:
            return image
        return developed(
            image,
            gains=self.cameras[camera].gains,
            blur_px=senses.blur_px,
            shot_noise=senses.shot_noise,
            read_noise=senses.read_noise,
            rng=scene_rng(self._seed, SceneStream.FRAME, CAMERAS.index(camera), taken),
        )

    def _age_ns(self, camera: str, taken: int) -> int:
        age_s = self.senses.camera_delay_s
        if self.senses.camera_jitter_s:
            rng = scene_rng(self._seed, SceneStream.FRAME_AGE, CAMERAS.index(camera), taken)
            age_s += self.senses.camera_jitter_s * float(rng.random())
        return _ns(age_s)

    # ---------------------------------------------------------------- joints
    def keep_reading(self, tick: int, robot: RobotState) -> None:
        """Remembers the truth at `tick`; only needed with a delay."""
        self._readings.append((tick, robot))

    def measured(self, tick: int, robot: RobotState, kinematics: DualArmKinematics) -> RobotState:
        """The robot as its encoders tell; tool poses follow from the measured joints.

        Args:
            tick: Present tick.
            robot: The truth.
            kinematics: Of the robot.
        """
        senses = self.senses
        if not senses.alters_joints:
            return robot
        seen = encoded(
            self._delayed(tick, robot),
            noise_rad=math.radians(senses.joint_noise_deg),
            counts=senses.encoder_counts,
            speed_unit_rpm=senses.speed_unit_rpm,
            rng=scene_rng(self._seed, SceneStream.READING, tick),
        )
        tool_pos, tool_quat = kinematics.forward(seen.joint_pos)
        return replace(seen, tool_pos=tool_pos, tool_quat=tool_quat)

    def _delayed(self, tick: int, robot: RobotState) -> RobotState:
        """Joints of `joint_delay_s` ago; the command is always the present one."""
        ago = self.senses.joint_delay_s * self.control_hz
        if ago == 0:
            return robot
        known = {**dict(self._readings), tick: robot}
        wanted = max(float(min(known)), tick - ago)
        older = math.floor(wanted + ROUNDING)
        newer = min(older + 1, tick)
        share = max(0.0, wanted - older)
        mixed = between(known[older], known[newer], share if share > ROUNDING else 0.0)
        return replace(mixed, command=robot.command)

    # ---------------------------------------------------------------- snapshots
    def snapshot(self) -> Any:
        """Memory to continue from later; treat as opaque."""
        return tuple(self._scenes), tuple(self._readings)

    def restore(self, state: Any) -> None:
        """Continues from a snapshot."""
        scenes, readings = state
        self._scenes = deque(scenes, self._scenes.maxlen)
        self._readings = deque(readings, self._readings.maxlen)


def _draw_camera(senses: Senses, rng: np.random.Generator) -> CameraDraw:
    gains = episode_gains(rng, senses.exposure_stops, senses.white_balance)
    shift, turn = rng.uniform(-1.0, 1.0, (2, 3))
    return CameraDraw(
        gains, senses.camera_shift_m * shift, math.radians(senses.camera_turn_deg) * turn
    )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)
