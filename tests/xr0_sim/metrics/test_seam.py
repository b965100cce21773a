import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.columns import COLUMN_NAMES, JAW_COLUMNS, JOINT_COLUMNS
from xr0_sim.metrics.seam import jump_summary, seam_jumps

HZ = 30
LAG = np.arange(3)[:, None] / HZ


def test_columns_are_named_in_action_order():
    assert COLUMN_NAMES[0] == "left_joint0" and COLUMN_NAMES[13] == "right_jaw"
    assert JAW_COLUMNS.tolist() == [6, 13] and len(JOINT_COLUMNS) == 12


def test_a_step_jumps_in_position_only():
    jumps = seam_jumps(np.full((2, 3, 14), 0.2), HZ)
    assert jumps.position == pytest.approx(np.full((2, 14), 0.2))
    assert np.abs(jumps.velocity).max() == np.abs(jumps.acceleration).max() == 0
    assert len(jumps) == 2


@pytest.mark.parametrize("hz", [30, 50])
def test_a_kink_jumps_in_velocity_and_a_bend_in_acceleration(hz):
    t = np.arange(3)[:, None] / hz * np.ones(14)
    kink = seam_jumps((1.5 * t)[None], hz)
    assert kink.position == pytest.approx(0) and kink.velocity == pytest.approx(1.5)
    assert kink.acceleration == pytest.approx(0, abs=1e-9)
    bend = seam_jumps((0.5 * 4.0 * t**2)[None], hz)
    assert bend.position == pytest.approx(0) and bend.acceleration == pytest.approx(4.0)
    assert bend.velocity == pytest.approx(0.5 * 4.0 / hz)  # half a tick of the new acceleration


def test_the_summary_pools_joints_and_keeps_jaws_apart():
    gap = np.zeros((4, 3, 14))
    gap[:, :, JAW_COLUMNS] = 1.0
    gap[0, :, 0] = -1.2
    summary = jump_summary(seam_jumps(gap, HZ).position)
    assert summary.mean == pytest.approx(1.2 / (4 * 12))
    assert summary.p95 == pytest.approx(np.percentile([1.2, *[0] * 47], 95))
    assert summary.column_mean[0] == pytest.approx(0.3)
    assert summary.column_p95[6] == 1.0


def test_no_hand_over_no_figures():
    summary = jump_summary(seam_jumps(np.zeros((0, 3, 14)), HZ).position)
    assert np.isnan(summary.mean) and np.isnan(summary.column_mean).all()


def test_shapes_are_checked():
    with pytest.raises(ConfigError, match=r"expected shape \(N, 3, 14\)"):
        seam_jumps(np.zeros((3, 14)), HZ)
