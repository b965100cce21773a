"""Single arms of public benchmarks as released XR-0 weights know them: views, state, rows.

From the public evaluation scripts of XR-0 (February 2026). A robot is laid out as
`envs.outside.reading` says; where a benchmark's state has fingers they stand behind seven joints,
elsewhere its jaw tells the gripper's opening.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from xr0_sim.model.spec.action_layout import LAYOUT_DIM
from xr0_sim.types import RobotState

FINGERS = slice(7, 9)
"""Where a Panda's finger positions stand in its joints."""
CROP = 0.95
"""Sides of the middle of a picture that is kept, then drawn at the old size again."""
WIDOWX_DOWN = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Orientation of a WidowX tool that counts as no turn in the bridge data."""
CALVIN_OPENING = 0.08
"""Widest opening of CALVIN's gripper, twice the 0.04 m of a finger of its Panda [m]."""
CALVIN_STEP, CALVIN_TURN = 0.02, 0.05
"""What 1 of a relative action means to CALVIN's robot: ``max_rel_pos`` [m], ``max_rel_orn``
[rad]."""
CALVIN_PICTURES = {"base": (200, 200), "left_wrist": (84, 84)}
"""Sizes of its cameras; vla-eval shows both with 200 px."""

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class ArmKind:
    """One benchmark's arm.

    Attributes:
        robot_type: Of the released statistics.
        views: Views of the prompt, in its order, as `--views` has them.
        rows: Rows of a chunk that are executed.
        state: (32,) state of a robot as the network reads it.
        actions: Network rows (T, 7) -> the benchmark's actions (T, 7).
        pictures: View -> (width, height) to which its picture is brought before it is cropped [px];
            one that is not named stays as it is, whole.
    """

    robot_type: str
    views: tuple[str, ...]
    rows: int
    state: Callable[[RobotState], NDArray[np.float32]]
    actions: Callable[[Rows], Rows]
    pictures: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def panda_state(robot: RobotState) -> NDArray[np.float32]:
    """LIBERO: tool position, tool rotation vector, both fingers."""
    fingers = robot.joint_pos.ravel()[FINGERS]
    return padded(robot.tool_pos[0], whole_rotvec(robot.tool_quat[0]), fingers)


def widowx_state(robot: RobotState) -> NDArray[np.float32]:
    """SimplerEnv, bridge: position, roll-pitch-yaw in the bridge frame, 0, opening."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_quat(np.roll(robot.tool_quat[0], -1)).as_matrix() @ WIDOWX_DOWN.T
    angles = Rotation.from_matrix(turn).as_euler("xyz")
    return padded(robot.tool_pos[0], angles, [0.0, robot.jaw[0]])


def google_state(robot: RobotState) -> NDArray[np.float32]:
    """SimplerEnv, fractal: position, quaternion xyzw, closedness."""
    return padded(robot.tool_pos[0], np.roll(robot.tool_quat[0], -1), [1.0 - robot.jaw[0]])


def calvin_state(robot: RobotState) -> NDArray[np.float32]:
    """CALVIN: position, roll-pitch-yaw, opening of the gripper [m]."""
    from scipy.spatial.transform import Rotation

    angles = Rotation.from_quat(np.roll(robot.tool_quat[0], -1)).as_euler("xyz")
    return padded(robot.tool_pos[0], angles, [CALVIN_OPENING * robot.jaw[0]])


def padded(*parts: object) -> NDArray[np.float32]:
    """Parts of a state one behind the other, (32,), zeros at the end."""
    state = np.zeros(LAYOUT_DIM, np.float32)
    values = np.concatenate([np.asarray(part, np.float64) for part in parts])
    state[: len(values)] = values
    return state


def whole_rotvec(quat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation vector of 0 .. 2 pi [rad] of a quaternion wxyz, as LIBERO's own evaluation forms it.

    A hand that points down is turned by about pi, where the shortest rotation vector changes its
    sign from one tick to the next; this one does not.
    """
    w = float(np.clip(quat[0], -1.0, 1.0))
    sine = np.sqrt(1.0 - w * w)
    return np.zeros(3) if np.isclose(sine, 0.0) else np.asarray(quat[1:]) * 2 * np.arccos(w) / sine


def within_range(rows: Rows) -> Rows:
    """LIBERO: displacement, rotation vector and gripper, -1 .. 1 as the controller takes them."""
    return np.clip(rows, -1.0, 1.0)


def euler_rows(rows: Rows) -> Rows:
    """SimplerEnv: displacement, Euler angles (fixed axes x, y, z) as a rotation vector, gripper."""
    from scipy.spatial.transform import Rotation

    actions = np.array(rows, dtype=np.float64)
    actions[:, 3:6] = Rotation.from_euler("xyz", actions[:, 3:6]).as_rotvec()
    return actions


def calvin_rows(rows: Rows) -> Rows:
    """CALVIN: shares of its largest step and turn as a displacement [m] and Euler angles [rad]."""
    actions = np.array(rows, dtype=np.float64)
    actions[:, :3] *= CALVIN_STEP
    actions[:, 3:6] *= CALVIN_TURN
    return actions


def cropped(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture at a size (width, height) [px], of which the middle is kept and drawn as large."""
    from PIL import Image

    whole = Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)
    width, height = size
    x, y = (1 - CROP) / 2 * width, (1 - CROP) / 2 * height
    middle = (x, y, width - x, height - y)
    return np.asarray(whole.resize(size, Image.Resampling.BILINEAR, middle))


ARM_KINDS: Mapping[str, ArmKind] = {
    "libero": ArmKind("libero_all", ("base", "left_wrist"), 10, panda_state, within_range),
    "simpler_widowx": ArmKind(
        "bridge_delta", ("base",), 4, widowx_state, euler_rows, {"base": (256, 256)}
    ),
    "simpler_google": ArmKind(
        "fractal_delta", ("ego=base",), 4, google_state, euler_rows, {"base": (320, 256)}
    ),
    **{
        f"calvin_{split}": ArmKind(
            f"calvin_{split}_orig",
            ("base", "left_wrist"),
            10,
            calvin_state,
            calvin_rows,
            CALVIN_PICTURES,
        )
        for split in ("abc", "abcd")
    },
}
"""Benchmark -> its arm; CALVIN's by the scenes that its weights were trained on."""
