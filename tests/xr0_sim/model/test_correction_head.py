"""The correction head: what it is told, what it may change, what it costs, and its files."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.checkpoints.manifest import HEAD_FILE, HEADS_DIR, NEEDED_FILES
from xr0_sim.model.correction.features import (
    FEATURE_DIM,
    ROWS_AHEAD,
    correction_features,
    joined_targets,
    measured_targets,
    rows_ahead,
)
from xr0_sim.model.correction.files import (
    CORRECTION_DIR,
    WEIGHTS_FILE,
    corrects_head,
    load_correction,
    save_correction,
)
from xr0_sim.model.correction.head import CorrectionConfig, CorrectionHead
from xr0_sim.model.correction.residual import BOUND, beyond, bounded, with_residual
from xr0_sim.model.correction.views import small_views
from xr0_sim.model.spec.action_layout import ArmTargets
from xr0_sim.rotations import quat_from_rotvec, quat_rotate
from xr0_sim.types import RobotState


def robot(rng):
    return RobotState(
        rng.normal(size=(2, 6)),
        rng.normal(size=(2, 6)),
        rng.random(2),
        rng.normal(size=(2, 3)),
        quat_from_rotvec(rng.normal(size=(2, 3))),
        rng.normal(size=14),
    )


def targets(rng, rows):
    return ArmTargets(
        rng.normal(size=(rows, 2, 6)),
        rng.random((rows, 2)),
        rng.normal(size=(rows, 2, 3)),
        quat_from_rotvec(rng.normal(size=(rows, 2, 3))),
    )


def inputs(rng, count):
    views = rng.integers(0, 256, (2, count, 3, 64, 64, 3), dtype=np.uint8)
    features = torch.from_numpy(rng.normal(size=(count, FEATURE_DIM)).astype(np.float32))
    return features, torch.from_numpy(views[0]), torch.from_numpy(views[1])


def trained(seed=0, **sizes):
    """A head whose last layer is not zero."""
    torch.manual_seed(seed)
    head = CorrectionHead(CorrectionConfig(**sizes)).eval()
    torch.nn.init.normal_(head.out.weight)
    return head


def test_a_residual_is_in_the_frame_of_the_measured_tool():
    rng = np.random.default_rng(0)
    state, planned = robot(rng), targets(rng, 1)
    residual = np.zeros(14)
    residual[:3] = 0.01, 0.0, -0.02
    residual[7 + 6] = -2.0
    position, quaternion, jaws = with_residual(planned, residual, state)
    way = quat_rotate(state.tool_quat[0], np.array([0.01, 0.0, -0.02]))
    np.testing.assert_allclose(position[0, 0], planned.tool_pos[0, 0] + way, atol=1e-12)
    np.testing.assert_allclose(position[0, 1], planned.tool_pos[0, 1], atol=1e-12)
    same = np.abs((quaternion * planned.tool_quat).sum(-1))
    np.testing.assert_allclose(same, 1.0, atol=1e-12)
    assert jaws[0, 0] == pytest.approx(planned.jaw[0, 0])
    assert jaws[0, 1] == 0.0
    np.testing.assert_array_equal(bounded(np.full(14, 9.0)), BOUND)


def test_a_dead_zone_takes_its_size_off_and_keeps_the_direction():
    residual = np.zeros(14)
    residual[:3], residual[3:6], residual[6] = (0.0, 0.006, 0.008), (0.0, 0.01, 0.0), -0.5
    residual[7:10], residual[13] = (0.003, 0.0, 0.0), 0.1
    kept = beyond(residual, (0.004, 0.05, 0.2))
    np.testing.assert_allclose(kept[:3], [0.0, 0.0036, 0.0048])
    assert kept[6] == pytest.approx(-0.3)
    assert not kept[3:6].any() and not kept[7:].any()
    np.testing.assert_array_equal(beyond(residual, (0.0, 0.0, 0.0)), residual)


def test_an_untrained_head_leaves_the_plan_alone_and_a_trained_one_keeps_to_its_bound():
    rng = np.random.default_rng(1)
    with torch.inference_mode():
        assert CorrectionHead().eval()(*inputs(rng, 2)).abs().max() == 0
        residual = trained()(*inputs(rng, 5)).numpy()
    assert residual.shape == (5, 14)
    assert (np.abs(residual) <= BOUND + 1e-6).all()
    assert residual.std(axis=0).min() > 0


def test_what_changed_since_the_capture_is_seen():
    rng = np.random.default_rng(2)
    features, now, _ = inputs(rng, 1)
    moved = now.clone()
    moved[0, 1, 20:40, 20:40] = 255
    head = trained()
    with torch.inference_mode():
        same, other = head(features, now, now), head(features, now, moved)
    assert not torch.equal(same, other)


def test_operations_are_those_that_torch_counts():
    head = trained(channels=(8, 12, 20), keypoints=7, width=33)
    with FlopCounterMode(display=False) as counter:
        head(*inputs(np.random.default_rng(3), 1))
    assert head.flops() == counter.get_total_flops()


def test_features_do_not_depend_on_where_the_robot_stands():
    """Everything moved and turned about the vertical: the same but for the absolute state."""
    rng = np.random.default_rng(4)
    state, captured, rows = robot(rng), robot(rng), targets(rng, 1 + len(ROWS_AHEAD))
    turn = quat_from_rotvec(np.array([0.0, 0.0, 0.7]))

    def moved(place, quat):
        from xr0_sim.rotations import quat_multiply

        return quat_rotate(turn, place) + 0.3, quat_multiply(
            np.broadcast_to(turn, quat.shape), quat
        )

    def told(there):
        change = moved if there else lambda place, quat: (place, quat)
        at = [
            RobotState(r.joint_pos, r.joint_vel, r.jaw, *change(r.tool_pos, r.tool_quat), r.command)
            for r in (state, captured)
        ]
        own = ArmTargets(rows.joint_pos, rows.jaw, *change(rows.tool_pos, rows.tool_quat))
        places = joined_targets(measured_targets(at[1]), own)
        return correction_features(at[0], places, 4, 7, 30)

    here, there = told(False), told(True)
    assert here.shape == (FEATURE_DIM,)
    np.testing.assert_allclose(here[32:], there[32:], atol=1e-5)
    np.testing.assert_allclose(here[-2:], [4 / 30, 7 / 30])


def test_rows_behind_the_end_are_the_last_one():
    assert rows_ahead(25, 30).tolist() == [25, 26, 28, 29, 29]
    assert rows_ahead(np.array([0, 29]), 30).tolist() == [[0, 1, 3, 6, 10], [29] * 5]


def test_views_are_means_of_squares():
    rng = np.random.default_rng(5)
    picture = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    small = small_views({"base": picture}, ("base",))
    means = picture.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(small[0], means, atol=0.5)
    with pytest.raises(ConfigError, match="missing base"):
        small_views({}, ("base",))
    with pytest.raises(ConfigError, match="multiple of 64"):
        small_views({"base": picture[:100, :100]}, ("base",))


@pytest.fixture
def policy(tmp_path):
    """A directory with the files that a correction head is made for."""
    for name in (*NEEDED_FILES, f"{HEADS_DIR}/sync/{HEAD_FILE}"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def test_a_head_comes_back_as_it_was(policy):
    head = trained(7)
    head.feature_mean.normal_()
    assert not corrects_head(policy, "sync")
    save_correction(policy, head)
    assert corrects_head(policy, "sync") and not corrects_head(policy, "prefix")
    again = load_correction(policy)
    given = inputs(np.random.default_rng(6), 2)
    with torch.inference_mode():
        assert torch.equal(head(*given), again(*given))
    assert (policy / CORRECTION_DIR / WEIGHTS_FILE).stat().st_size <= 2_000_000


def test_files_that_do_not_belong_together_are_refused(policy):
    with pytest.raises(CheckpointError, match="train-correction"):
        load_correction(policy)
    save_correction(policy, trained())
    expert = policy / HEADS_DIR / "sync" / HEAD_FILE
    before = expert.read_bytes()
    expert.write_bytes(b"another")
    with pytest.raises(CheckpointError, match=r"sync/dit\.safetensors it was recorded with"):
        load_correction(policy)
    expert.write_bytes(before)
    config = policy / CORRECTION_DIR / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"width": 64}))
    with pytest.raises(CheckpointError, match=r"config\.json it was recorded with"):
        load_correction(policy)


def test_a_head_that_is_too_large_is_not_written(policy):
    with pytest.raises(ConfigError, match="at most 2000000 bytes"):
        save_correction(policy, CorrectionHead(CorrectionConfig(width=1024)))
    assert not corrects_head(policy, "sync")


@pytest.mark.parametrize(
    "sizes", [{"channels": (8, 8)}, {"width": 0}, {"dropout": 1.0}, {"dead_zone": (-1.0, 0.0, 0.0)}]
)
def test_sizes_that_make_no_network_are_refused(sizes):
    with pytest.raises(ConfigError, match="correction head: expected"):
        CorrectionConfig(**sizes)
