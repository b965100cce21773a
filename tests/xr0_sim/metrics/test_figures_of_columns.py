"""Episode figures from columns written by hand, so that every figure has one right value."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.metrics.episode import episode_metrics
from xr0_sim.metrics.motion import point_speed, rms_point_jerk, spectral_arc_length
from xr0_sim.metrics.reaction import JAW_TOLERANCE, Reaction, reaction, summarise_reactions
from xr0_sim.metrics.time_to_success import success_curve
from xr0_sim.runtime.episode_ports import EpisodeResult

HZ = 30
TICKS = 12


def result(outcome="success", **more):
    return EpisodeResult(
        seed=3,
        outcome=outcome,
        progress=0.5,
        ticks=TICKS,
        duration_s=TICKS / HZ,
        total_reward=0.0,
        terminated=True,
        truncated=False,
        **more,
    )


def columns():
    """Three inferences, captured in ticks 0, 4 and 8; the first two are delivered."""
    rng = np.random.default_rng(0)
    out = {
        "tick": np.arange(TICKS),
        "action": rng.normal(size=(TICKS, 14)),
        "joint_pos": rng.normal(size=(TICKS, 12)),
        "tool_pos": rng.normal(size=(TICKS, 6)),
        "age_ticks": np.full(TICKS, 2),
        "hold": np.zeros(TICKS, bool),
        "latency_s": np.full(TICKS, np.nan),
        "seam": np.zeros(TICKS, bool),
        "seam_gap": np.full((TICKS, 42), np.nan),
        "overrun": np.zeros(TICKS, bool),
    }
    out |= {name: np.full(TICKS, -1) for name in ("started", "d_floor", "d_ceil", "delivered")}
    out["prefix_steps"] = np.full(TICKS, -1)
    out["chunk_id"] = (np.arange(TICKS) >= 7).astype(int)
    for number, tick in enumerate((0, 4, 8)):
        out["started"][tick] = number
        out["latency_s"][tick] = 0.1 * (number + 1)
        out["d_floor"][tick], out["d_ceil"][tick] = 3 * number, 3 * number + 1
        out["prefix_steps"][tick] = 2 * number
    out["delivered"][3], out["delivered"][7] = 0, 1
    out["overrun"][7] = True
    out["seam"][7] = True
    out["seam_gap"][7] = 0.25
    return out


def test_means_are_over_the_ticks_that_have_a_value():
    row = episode_metrics(result(), columns(), HZ)
    assert row["model_calls"] == 3
    assert row["latency_mean_s"] == pytest.approx(0.2)
    assert (row["d_floor_mean_ticks"], row["d_ceil_mean_ticks"]) == (3, 4)
    assert row["prefix_mean_steps"] == 2
    assert row["overrun_share"] == 0.5
    assert (row["seams"], row["seam_position_mean_rad"]) == (1, 0.25)
    assert row["seam_velocity_mean_rad_s"] == row["seam_acceleration_mean_rad_s2"] == 0


def test_chunks_that_are_dropped_on_arrival_overrun_nothing():
    told = columns()
    told["dropped"] = np.zeros(TICKS, int)
    assert episode_metrics(result(), told, HZ)["dropped_chunks"] == 0
    told["dropped"][3] = 1
    row = episode_metrics(result(), told, HZ)
    # Another one was dropped in that tick: number 0 acts.
    assert (row["dropped_chunks"], row["overrun_share"]) == (1, 0.5)
    told["chunk_id"][:] = 1
    row = episode_metrics(result(), told, HZ)
    assert (row["dropped_chunks"], row["overrun_share"]) == (1, 1.0)
    assert episode_metrics(result(), columns(), HZ)["dropped_chunks"] == 0


def test_a_hand_that_closes_again_and_again_at_one_place_loops():
    told = columns()
    told["tool_pos"] = np.zeros((TICKS, 6))
    for times, loops in ((2, False), (3, True)):
        told["action"] = np.ones((TICKS, 14))
        told["action"][1 : 2 * times : 2, 13] = 0.0
        row = episode_metrics(result(), told, HZ)
        assert (row["repeated_grasps"], row["loops"]) == (times, loops)


def test_only_a_success_has_a_time_to_success():
    assert episode_metrics(result(), columns(), HZ)["time_to_success_s"] == TICKS / HZ
    failed = episode_metrics(result("failure"), columns(), HZ)
    assert failed["time_to_success_s"] is None and failed["duration_s"] == TICKS / HZ


def test_pieces_are_counted_per_minute():
    row = episode_metrics(result(info={"pieces": 2}), columns(), HZ, pieces="bricks")
    assert row["bricks_per_min"] == pytest.approx(2 / (TICKS / HZ / 60))


def test_each_arm_has_the_figures_of_its_own_tool():
    given = columns()
    row = episode_metrics(result(), given, HZ)
    left, right = given["tool_pos"][:, :3], given["tool_pos"][:, 3:]
    jerks = rms_point_jerk(left, HZ), rms_point_jerk(right, HZ)
    assert (row["tool_jerk_left_m_s3"], row["tool_jerk_right_m_s3"]) == pytest.approx(jerks)
    assert row["tool_jerk_m_s3"] == pytest.approx(np.sqrt(np.mean(np.square(jerks))))
    sparc = spectral_arc_length(point_speed(left, HZ), HZ)
    assert row["tool_sparc_left"] == pytest.approx(sparc)


def test_commands_and_joints_have_a_jerk_of_their_own():
    given = columns()
    still = {**given, "action": np.zeros((TICKS, 14))}
    still["action"][:, [6, 13]] = given["action"][:, [6, 13]]  # jaws move, joints do not
    assert episode_metrics(result(), still, HZ)["command_jerk_rad_s3"] == 0
    assert episode_metrics(result(), given, HZ)["command_jerk_rad_s3"] > 0
    assert episode_metrics(result(), still, HZ)["joint_jerk_rad_s3"] > 0


@pytest.mark.parametrize("column", [6, 13])
@pytest.mark.parametrize(("share", "seen"), [(0.9, False), (1.1, True), (-1.1, True)])
def test_a_jaw_is_seen_to_react_just_beyond_its_tolerance(column, share, seen):
    twin = np.zeros((20, 14))
    run = twin.copy()
    run[12:, column] += share * JAW_TOLERANCE
    found = reaction(run, twin, event_tick=10, control_hz=HZ)
    assert found.seconds == (pytest.approx(2 / HZ) if seen else None)


def test_the_lower_bound_of_several_reactions_is_their_median():
    reactions = [Reaction(1.0, 2.0, bound) for bound in (0.1, 0.2, 0.9, None)]
    assert summarise_reactions(reactions).median_lower_bound_s == 0.2


def test_a_curve_of_successes_ends_at_the_success_rate():
    assert success_curve([1.0, None, None, None]).share.tolist() == [0.25]


def test_arc_length_looks_at_low_frequencies_alone():
    t = np.arange(300) / 100
    reach = np.exp(-(((t - 1.5) / 0.4) ** 2))
    smooth = spectral_arc_length(reach, 100)
    trembling = spectral_arc_length(reach + 0.2 * np.cos(2 * np.pi * 15 * t) * reach, 100)
    assert trembling == pytest.approx(smooth, rel=1e-3)
    faint = spectral_arc_length(reach + 0.02 * np.cos(2 * np.pi * 5 * t) * reach, 100)
    assert faint == pytest.approx(smooth, rel=0.02)
    shaking = spectral_arc_length(reach + 0.2 * np.cos(2 * np.pi * 5 * t) * reach, 100)
    assert shaking < smooth - 0.1
