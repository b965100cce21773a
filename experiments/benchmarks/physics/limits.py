"""The figures of ``xr0-sim bench physics``, and what each is held to, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from envs.robot.protective_stop import LIMIT_N
from experiments.benchmarks.physics.figure import LATE, Figure, mean, median, p95, share_late

SUCCESS: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "block_dismantling": lambda kwargs: 95.0 if kwargs["n_bricks"] <= 4 else 85.0,
    "towel_folding": lambda kwargs: {"half": 95.0, "quarter": 80.0, "flatten": 70.0, "full": 60.0}[
        kwargs["level"]
    ],
}
"""Task -> what its expert is held to [%], from the environment's arguments."""

FIGURES: tuple[Figure, ...] = (
    Figure(
        "broke",
        "episodes in which the physics broke",
        over=sum,
        limit=0,
        reason="a warning or a divergence makes an episode invalid",
    ),
    Figure(
        "depth_brick_table_mm",
        "deepest contact, brick and table",
        "mm",
        limit=5.0,
        reason="chosen: a quarter of a brick's height, at a hard landing",
    ),
    Figure(
        "depth_finger_brick_mm",
        "deepest contact, finger and brick",
        "mm",
        limit=3.0,
        reason="chosen: half the thickness of a rubber pad",
    ),
    Figure(
        "depth_arm_brick_mm",
        "deepest contact, arm and brick",
        "mm",
        limit=3.0,
        reason="chosen: as the fingers",
    ),
    Figure(
        "depth_brick_brick_mm",
        "deepest contact, brick and brick",
        "mm",
        limit=2.0,
        reason="chosen: a wall of a brick's plastic is 1.5 mm",
    ),
    Figure(
        "depth_brick_tray_mm",
        "deepest contact, brick and tray",
        "mm",
        limit=5.0,
        reason="chosen: as on the table",
    ),
    Figure(
        "depth_finger_tray_mm",
        "deepest contact, finger and tray",
        "mm",
        limit=3.0,
        reason="chosen: half the thickness of a rubber pad",
    ),
    Figure(
        "depth_arm_tray_mm",
        "deepest contact, arm and tray",
        "mm",
        limit=1.0,
        reason="chosen: links are of metal",
    ),
    Figure(
        "depth_finger_table_mm",
        "deepest contact, finger and table",
        "mm",
        limit=3.0,
        reason="chosen: half the thickness of a rubber pad",
    ),
    Figure(
        "depth_arm_table_mm",
        "deepest contact, arm and table",
        "mm",
        limit=1.0,
        reason="chosen: links are of metal",
    ),
    Figure(
        "depth_arm_arm_mm",
        "deepest contact, arm and arm",
        "mm",
        limit=1.0,
        reason="chosen: links are of metal",
    ),
    Figure(
        "depth_cloth_table_mm",
        "deepest contact, cloth and table",
        "mm",
        limit=3.0,
        reason="half the contact thickness: beyond it the middle of the cloth is below the surface",
    ),
    Figure(
        "depth_finger_cloth_mm",
        "deepest contact, finger and cloth",
        "mm",
        limit=3.0,
        reason="half the contact thickness: beyond it a pad is through the middle of the cloth",
    ),
    Figure(
        "depth_arm_cloth_mm",
        "deepest contact, arm and cloth",
        "mm",
        limit=3.0,
        reason="half the contact thickness",
    ),
    Figure(
        "point_below_table_mm",
        "deepest mass point under the table's surface",
        "mm",
        limit=0.5,
        reason="none may be; half a millimetre is what the solver leaves (chosen)",
    ),
    Figure(
        "free_point_below_table_mm",
        "deepest mass point under the table's surface farther than 25 mm from a pad",
        "mm",
        limit=0.5,
        reason="none may be; half a millimetre is what the solver leaves (chosen)",
    ),
    Figure(
        "force_finger_table_n",
        "largest force of one hand's fingers on the table",
        "N",
        limit=100.0,
        reason="chosen: twice what the shoulder's 20 N·m press at 0.4 m",
    ),
    Figure(
        "force_arm_n",
        "largest sum of contact forces on one arm",
        "N",
        limit=LIMIT_N,
        reason="where the protective stop of world 0.2 acts",
    ),
    Figure(
        "stopped",
        "episodes that the protective stop ended",
        over=sum,
    ),
    Figure(
        "speed_ratio",
        "fastest joint over its limit",
        limit=1.05,
        reason="the maker's speed; 5 % for the servo's overshoot (chosen)",
    ),
    Figure(
        "torque_limit_share",
        "substeps with the torque at its limit, worst joint and episode",
        "%",
        limit=10.0,
        reason="chosen: a joint at its limit does not follow its command",
    ),
    Figure(
        "carry_error_median_mm",
        "tool error while carrying, median",
        "mm",
        of="carry_errors_mm",
        over=median,
        limit=5.0,
        reason="chosen: a brick's clearance in the jaw",
    ),
    Figure(
        "carry_error_p95_mm",
        "tool error while carrying, 95th percentile",
        "mm",
        of="carry_errors_mm",
        over=p95,
    ),
    Figure(
        "late_breaks_share",
        f"clutches that opened above {LATE} × their limit",
        "%",
        of="break_loads",
        over=share_late,
        limit=10.0,
        reason="the limit is meant; a tenth is left to impacts within a substep",
    ),
    Figure(
        "worst_break",
        "largest load of a clutch that opened, over its limit",
        of="break_loads",
    ),
    Figure(
        "stretch_percent",
        "edge stretch of the cloth, largest",
        "percent",
        limit=10.0,
        reason="cotton terry gives some 10 % before it is damaged (chosen)",
    ),
    Figure(
        "compression_percent",
        "edge compression of the cloth, largest",
        "percent",
        limit=10.0,
        reason="as stretch; beyond it cloth buckles",
    ),
    Figure(
        "free_compression_percent",
        "edge compression of the cloth farther than 25 mm from a pad, largest",
        "percent",
        limit=10.0,
        reason="as stretch; beyond it cloth buckles",
    ),
    Figure(
        "squashed_edges_share",
        "edges shorter by more than a tenth, share of all edges and ticks, mean",
        "%",
        over=mean,
    ),
    Figure(
        "squashed_ticks_share",
        "ticks with such an edge, mean",
        "%",
        over=mean,
    ),
    Figure(
        "squashed_at_pad_share",
        "such edges within 25 mm of a pad, least share of an episode",
        "%",
        over=min,
    ),
    Figure(
        "unsupported_points_share",
        "mass points on nothing beyond the table, worst tick",
        "%",
        limit=1.0,
        reason="a table ends at its edge",
    ),
    Figure(
        "unsupported_ticks_share",
        "ticks with such points, worst episode",
        "%",
    ),
    Figure(
        "ends_crossed",
        "episodes that end with the towel through itself",
        over=sum,
        limit=0,
        reason="cloth does not pass through itself",
    ),
    Figure(
        "crossed_ticks_share",
        "ticks with the towel through itself, mean",
        "%",
        over=mean,
    ),
    Figure(
        "wrinkle_0s_mm",
        "two wrinkles, height when laid down",
        "mm",
    ),
    Figure(
        "wrinkle_0.2s_mm",
        "two wrinkles, height after 0.2 s",
        "mm",
        limit=15.0,
        sense="at least",
        reason="chosen: cotton keeps a third of a wrinkle or more",
    ),
    Figure(
        "wrinkle_1s_mm",
        "two wrinkles, height after 1 s",
        "mm",
    ),
    Figure(
        "wrinkle_2s_mm",
        "two wrinkles, height after 2 s",
        "mm",
        limit=12.0,
        sense="at least",
        reason="chosen: cotton keeps a third of a wrinkle or more",
    ),
    Figure(
        "wrinkle_3s_mm",
        "two wrinkles, height after 3 s",
        "mm",
    ),
    Figure(
        "energy_gain_j",
        "energy that a physics step adds without work, largest",
        "J",
    ),
    Figure(
        "unconverged_share",
        "substeps that the solver left at its last iteration, worst episode",
        "%",
    ),
    Figure(
        "dense_sparse",
        "accelerations, dense against sparse algebra, relative",
        limit=1e-8,
        reason="the same mathematics by Newton's method, which keeps rounding small",
    ),
    Figure(
        "physics_real_time_factor",
        "real-time factor of the physics alone, CPU time, median",
        over=median,
    ),
)
