"""Rotation algebra by its axioms."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xr0_sim import rotations as rot

UNIT = st.floats(-1.0, 1.0, allow_nan=False, width=32)
VECTORS = arrays(np.float64, (5, 3), elements=UNIT)
ROTVECS = VECTORS.map(lambda v: v * (np.pi - 1e-3) / np.sqrt(3))


@given(ROTVECS)
@settings(max_examples=50, deadline=None)
def test_logarithm_inverts_exponential(rotvec):
    quat = rot.quat_from_rotvec(rotvec)
    np.testing.assert_allclose(np.linalg.norm(quat, axis=-1), 1.0, atol=1e-12)
    np.testing.assert_allclose(rot.rotvec_from_quat(quat), rotvec, atol=1e-9)
    np.testing.assert_allclose(rot.rotvec_from_quat(-quat), rotvec, atol=1e-9)


@given(ROTVECS, ROTVECS, VECTORS)
@settings(max_examples=50, deadline=None)
def test_product_composes_rotations(first, second, vector):
    a, b = rot.quat_from_rotvec(first), rot.quat_from_rotvec(second)
    together = rot.quat_rotate(rot.quat_multiply(b, a), vector)
    one_by_one = rot.quat_rotate(b, rot.quat_rotate(a, vector))
    np.testing.assert_allclose(together, one_by_one, atol=1e-9)
    np.testing.assert_allclose(
        np.linalg.norm(together, axis=-1), np.linalg.norm(vector, axis=-1), atol=1e-9
    )


@given(ROTVECS, VECTORS)
@settings(max_examples=50, deadline=None)
def test_conjugate_undoes(rotvec, vector):
    quat = rot.quat_from_rotvec(rotvec)
    back = rot.quat_rotate(rot.quat_conjugate(quat), rot.quat_rotate(quat, vector))
    np.testing.assert_allclose(back, vector, atol=1e-9)
    np.testing.assert_allclose(rot.rotation_angle(quat, quat), 0.0, atol=1e-6)


def test_quarter_turn_about_z_sends_x_to_y():
    quat = rot.quat_from_rotvec([0.0, 0.0, np.pi / 2])
    np.testing.assert_allclose(rot.quat_rotate(quat, [1.0, 0.0, 0.0]), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rot.quat_from_rotvec(np.zeros(3)), [1, 0, 0, 0])


def test_leading_axes_broadcast():
    quat = rot.quat_from_rotvec(np.random.default_rng(0).normal(size=(4, 1, 2, 3)))
    assert rot.quat_rotate(quat, np.ones((7, 2, 3))).shape == (4, 7, 2, 3)
    assert rot.rotation_angle(quat, quat[0, 0]).shape == (4, 1, 2)
