"""What an agent sees: both hands relative to their aims, as one vector.

Everything is taken from proprioception and the privileged state of ``observation="state"``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from envs.block_dismantling.state import NO_BRICK, BlockState
from policies.rl.aims import IDLE, PLACE, Aim
from xr0_sim.rotations import quat_conjugate, quat_multiply, quat_rotate, rotvec_from_quat
from xr0_sim.types import RobotState

NEAR = 0.02
"""Distance on which the fine part of a position is told apart [m]."""
HAND_FEATURES = 31
FEATURE_DIM = 2 * HAND_FEATURES + 7


def features(hands: Sequence[Aim], robot: RobotState, state: BlockState) -> NDArray[np.float32]:
    """(69,): per hand of `policies.rl.decisions` 31 entries, then 7 of the pair of bricks.

    Per hand, axes of its aim: tool position seen from the aim (3) [dm], its fine part (3), turn
    still to do (3) [rad], lead of the command over the tool (3) [cm], velocity (3) [m/s], the other
    tool's position (3) [dm]; world tool position (3) [dm]; jaw, commanded jaw, jaw open and closed
    on the brick (4); brick in hand, other brick in hand, places, idle (4); side and height of the
    brick (2). Then: clutched (1), offset of the first hand's brick from the second's (3) [dm],
    half lengths of both (2) [dm], steepness of the studs (1).
    """
    values: list[float] = []
    for aim in hands:
        values += _hand(aim, robot, state)
    first, second = (aim.brick for aim in hands)
    if NO_BRICK in (first, second):
        values += [0.0] * 7
    else:
        clutched = state.joined[first, second] or state.joined[second, first]
        offset = 10.0 * (state.pos[first] - state.pos[second])
        lengths = 10.0 * state.half_size[[first, second], 1]
        up = quat_rotate(state.quat[first], np.array([0.0, 0.0, 1.0]))[2]
        values += [float(clutched), *offset, *lengths, up]
    return np.array(values, dtype=np.float32)


def _hand(aim: Aim, robot: RobotState, state: BlockState) -> list[float]:
    view = aim.view
    inverse = quat_conjugate(aim.quat)
    vectors = np.stack(
        [
            view.pos - aim.pos,
            view.stay[0] - view.pos,
            view.expert.velocity(robot, view.arm),
            view.other_pos - aim.pos,
        ]
    )
    where, lead, velocity, other = quat_rotate(inverse, vectors)
    turn = rotvec_from_quat(quat_multiply(inverse, view.quat))
    brick = aim.brick
    return [
        *(10.0 * where),
        *np.tanh(where / NEAR),
        *turn,
        *(100.0 * lead),
        *velocity,
        *(10.0 * other),
        *(10.0 * view.pos),
        view.jaw,
        view.jaw_command,
        aim.open_jaw,
        aim.closed_jaw,
        float(aim.holds),
        float(view.held not in (NO_BRICK, brick)),
        float(aim.kind == PLACE),
        float(aim.kind == IDLE),
        1.0 - 2.0 * view.arm,
        0.0 if brick == NO_BRICK else 10.0 * float(state.pos[brick, 2]),
    ]
