"""``xr0-sim bench tracking``: how far the tools are from where they were told to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure, report
from experiments.benchmarks.tool_paths import PATHS, TABLE_PATHS, Circle, Line
from xr0_sim.conventions import CONTROL_HZ

if TYPE_CHECKING:
    from envs.dual_arm import DualArmEnv

TOOL_TARGET_MM = 2.0
TABLE_Z_TARGET_MM = 1.0
SETTLE_TICKS = 20
MIRROR_Y = np.array([[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]])
"""Left path -> both arms."""


@dataclass(frozen=True)
class BenchTrackingConfig:
    """Moves both tools along lines and circles, on an empty table, at a smooth speed profile.

    The error is the tool at the end of a tick against the forward kinematics of the joints that
    were commanded for it.

    Attributes:
        speed: Peak tool speed [m/s].
        json: Print one JSON object.
    """

    speed: float = 0.5
    json: bool = False


@dataclass(frozen=True)
class Tracked:
    """One path.

    Attributes:
        name: Of the path.
        error: (K, 2, 3) tool minus commanded tool, both arms, world [m].
        speed: (K, 2) speed of the commanded tools [m/s].
        reach: Largest distance of the commanded tools from the path [m]: inverse kinematics.
    """

    name: str
    error: NDArray[np.float64]
    speed: NDArray[np.float64]
    reach: float

    @property
    def size_mm(self) -> NDArray[np.float64]:
        """(K, 2) length of the error [mm]."""
        return 1e3 * np.linalg.norm(self.error, axis=-1)

    @property
    def z_mm(self) -> NDArray[np.float64]:
        """(K, 2) vertical error [mm]."""
        return 1e3 * np.abs(self.error[..., 2])


def run(config: BenchTrackingConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    free = [track(path, config.speed) for path in PATHS]
    table = [track(path, config.speed) for path in TABLE_PATHS]
    sizes = np.concatenate([path.size_mm.ravel() for path in (*free, *table)])
    heights = np.concatenate([path.z_mm.ravel() for path in table])
    per_path = [float(path.size_mm.max()) for path in (*free, *table)]
    measures = [
        Measure(
            "tool_error_max_mm",
            "tool error, largest",
            float(sizes.max()),
            "mm",
            low=min(per_path),
            high=max(per_path),
            n=len(per_path),
            target=TOOL_TARGET_MM,
        ),
        Measure("tool_error_p95_mm", "tool error, 95 %", float(np.percentile(sizes, 95)), "mm"),
        Measure(
            "table_z_error_max_mm",
            "height error near the table, largest",
            float(heights.max()),
            "mm",
            target=TABLE_Z_TARGET_MM,
        ),
    ]
    report(
        f"both arms, peak speed {config.speed:g} m/s, {len(sizes) // 2} ticks",
        measures,
        as_json=config.json,
        config=config,
        tables={"paths": [_row(path) for path in (*free, *table)]},
    )
    return 0


def track(path: Line | Circle, peak_speed: float) -> Tracked:
    """Follows one path with both arms."""
    from envs.robot.actions import join_arms, split_arms
    from envs.robot.facts import HOME_JAW
    from envs.robot.kinematics import home_joints

    env = empty_table()
    env.reset_scene(0)
    kinematics = env.kinematics
    joints = home_joints()
    _, quat = kinematics.forward(joints)
    goals = path.points(peak_speed)[:, None, :] * MIRROR_Y
    joints = kinematics.inverse(joints, goals[0], quat, iterations=50)
    _place(env, joints)
    errors, commanded, reach = [], [], 0.0
    for place, goal in enumerate([goals[0]] * SETTLE_TICKS + list(goals)):
        joints = kinematics.inverse(joints, goal, quat, iterations=3)
        env.advance(join_arms(joints, np.full(2, HOME_JAW)))
        robot = env.robot_state()
        wanted, _ = kinematics.forward(split_arms(robot.command)[0])
        if place >= SETTLE_TICKS:
            errors.append(robot.tool_pos - wanted)
            commanded.append(wanted)
            reach = max(reach, float(np.linalg.norm(wanted - goal, axis=1).max()))
    steps = np.diff(np.array(commanded), axis=0, prepend=np.array(commanded[:1]))
    speed = np.linalg.norm(steps, axis=2) * CONTROL_HZ
    return Tracked(path.name, np.array(errors), speed, reach)


def _row(path: Tracked) -> dict[str, Any]:
    return {
        "path": path.name,
        "max mm": float(path.size_mm.max()),
        "p95 mm": float(np.percentile(path.size_mm, 95)),
        "max z mm": float(path.z_mm.max()),
        "peak m/s": float(path.speed.max()),
        "off path mm": 1e3 * path.reach,
    }


def _place(env: DualArmEnv, joints: NDArray[np.float64]) -> None:
    """Puts both arms at rest on joints (2, 6) [rad], without moving there."""
    import mujoco

    from envs.robot.actions import join_arms
    from envs.robot.facts import HOME_JAW

    command = join_arms(joints, np.full(2, HOME_JAW))
    env._ports.place(env.data, command, command)
    env._command = command
    mujoco.mj_forward(env.model, env.data)


def empty_table() -> DualArmEnv:
    """The robot at a table with nothing on it."""
    from envs.assessment import Assessment
    from envs.dual_arm import DualArmEnv
    from envs.scene.stage import base_scene

    class EmptyTable(DualArmEnv):
        """No task."""

        def _build(self, options: Any) -> Any:
            return base_scene("empty_table", self.timestep_s)

        def _start(self, options: Any) -> str:
            return "move"

        def _assess(self) -> Assessment:
            return Assessment({}, False, 0.0, "", {})

        def privileged_vector(self) -> NDArray[np.float32]:
            return np.zeros(1, np.float32)

        def _privileged_dim(self) -> int:
            return 1

    return EmptyTable(observation="state")
