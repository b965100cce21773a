"""Statistics, their inverse and their file."""

from __future__ import annotations

import numpy as np
import pytest

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.spec.normalizer import (
    ACTION_STD_FLOOR,
    STATE_STD_FLOOR,
    MomentAccumulator,
    Normalizer,
)


def fitted(rng):
    actions, states = MomentAccumulator((30, 32)), MomentAccumulator((32,))
    data = rng.normal(2.0, 3.0, size=(200, 30, 32))
    data[..., 31] = 0.5
    for part in np.split(data, 4):
        actions.add(part)
    states.add(rng.normal(size=(50, 32)))
    return data, Normalizer.fit(actions, states)


def test_streaming_moments_match_numpy_under_a_mask():
    rng = np.random.default_rng(0)
    values, mask = rng.normal(size=(100, 4)), rng.uniform(size=(100, 4)) < 0.6
    moments = MomentAccumulator((4,))
    moments.add(values[:30], mask[:30])
    moments.add(values[30:], mask[30:])
    masked = np.ma.array(values, mask=~mask)
    np.testing.assert_allclose(moments.mean, masked.mean(0))
    np.testing.assert_allclose(moments.std(), masked.std(0))


def test_round_trip_and_unit_scale():
    data, normalizer = fitted(np.random.default_rng(1))
    scaled = normalizer.normalize_actions(data)
    np.testing.assert_allclose(scaled[..., :31].std(0), 1.0, atol=1e-4)
    np.testing.assert_allclose(normalizer.denormalize_actions(scaled), data, atol=1e-5)
    prefix = normalizer.normalize_actions(data[:, :4])
    np.testing.assert_array_equal(prefix, scaled[:, :4])
    state = np.random.default_rng(2).normal(size=(7, 32))
    np.testing.assert_allclose(
        normalizer.denormalize_state(normalizer.normalize_state(state)), state, atol=1e-5
    )


def test_constant_dimension_is_floored():
    data, normalizer = fitted(np.random.default_rng(3))
    assert normalizer.action_std[0, 31] == pytest.approx(ACTION_STD_FLOOR)
    assert np.abs(normalizer.normalize_actions(data)[..., 31]).max() < 1e-3


def test_floors_are_a_millimetre_for_actions_and_ten_for_states():
    # Own choice, stated beside the constants: 1 mm, 1 mrad or 0.1 % of the jaw for actions; ten
    # times that for states, which carry measurement noise.
    assert (ACTION_STD_FLOOR, STATE_STD_FLOOR) == (1e-3, 1e-2)
    actions, states = MomentAccumulator((4, 32)), MomentAccumulator((32,))
    for value in (0.0, 1e-5):
        actions.add(np.full((1, 4, 32), value))
        states.add(np.full((1, 32), value))
    normalizer = Normalizer.fit(actions, states)
    np.testing.assert_allclose(normalizer.action_std, 1e-3, rtol=1e-6)
    np.testing.assert_allclose(normalizer.state_std, 1e-2, rtol=1e-6)


def test_file_round_trip_and_truncation(tmp_path):
    _, normalizer = fitted(np.random.default_rng(4))
    path = tmp_path / "normalizer.safetensors"
    normalizer.save(path)
    loaded = Normalizer.load(path)
    np.testing.assert_array_equal(loaded.action_std, normalizer.action_std)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="normalizer"):
        Normalizer.load(path)
    with pytest.raises(CheckpointError):
        Normalizer.load(tmp_path / "missing.safetensors")


def test_zero_spread_is_rejected():
    zeros = np.zeros((3, 32), np.float32)
    with pytest.raises(ConfigError, match="std > 0"):
        Normalizer(zeros, zeros, zeros[0], zeros[0] + 1)
