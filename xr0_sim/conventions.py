"""Conventions used everywhere, stated once.

Units and frames
    SI units. World frame: origin at the centre of the table top, x away from the operator (who
    stands at -x with the base camera), y to the operator's left, z up; table surface at z = 0.
    Frames appear in names (``tool_pos_world``). Quaternions are wxyz, unit norm.

Arms
    Always in the order ``("left", "right")``. An arm has six revolute joints [rad] and a parallel
    jaw. Jaw values are opening fractions: 0 closed, 1 fully open.

Environment action, ``(14,)`` float32, absolute targets for the end of the control tick
    ``[left joints 0:6, left jaw 6, right joints 7:13, right jaw 13]``

Time
    Control runs at 30 Hz unless an environment says otherwise (``control_hz``). Time is integer
    nanoseconds; tick k starts at ``tick_ns(k)``.
    Observation o_k is captured at the start of tick k; action a_k is executed during tick k.

Flow time
    0 = noise, 1 = action; velocity target = action - noise.
"""

from __future__ import annotations

ARMS = ("left", "right")
JOINTS_PER_ARM = 6
ARM_ACTION_DIM = JOINTS_PER_ARM + 1
ENV_ACTION_DIM = 2 * ARM_ACTION_DIM

CONTROL_HZ = 30
NS_PER_S = 1_000_000_000

CAMERAS = ("base", "left_wrist", "right_wrist")
INSTRUCTION_BYTES = 256
"""Fixed width of an instruction as zero-padded UTF-8 bytes in an observation."""


def tick_ns(tick: int, control_hz: int = CONTROL_HZ) -> int:
    """Start of a control tick [ns]; exact rounding of ``tick / control_hz`` seconds.

    >>> tick_ns(1), tick_ns(30)
    (33333333, 1000000000)
    """
    return (tick * NS_PER_S + control_hz // 2) // control_hz
