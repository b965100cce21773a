import math

import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.metrics.motion import (
    jerk,
    point_speed,
    rms_joint_jerk,
    rms_point_jerk,
    spectral_arc_length,
)


def times(hz, seconds=8.0):
    return np.arange(round(seconds * hz)) / hz


@pytest.mark.parametrize("hz", [10, 30, 200])
def test_constant_jerk_is_exact_at_every_rate(hz):
    t = times(hz, 2.0)
    cubic = np.stack([4 * t**3 + t, -0.5 * t**3 + 2 * t**2, 0 * t + 1], axis=1)
    assert jerk(cubic, hz) == pytest.approx(np.tile([24.0, -3.0, 0.0], (len(t) - 3, 1)), abs=1e-5)
    assert rms_point_jerk(cubic, hz) == pytest.approx(math.hypot(24, 3))
    assert rms_joint_jerk(cubic, hz) == pytest.approx(math.sqrt((24**2 + 3**2) / 3))


@pytest.mark.parametrize("hz", [30, 60, 500])
def test_jerk_of_a_sinusoid_does_not_depend_on_the_rate(hz):
    amplitude, omega = 0.3, 2 * math.pi * 0.5
    wave = amplitude * np.sin(omega * times(hz))[:, None]
    exact = amplitude * omega**3 / math.sqrt(2)
    half = omega / (2 * hz)
    attenuation = (math.sin(half) / half) ** 3  # of a third difference, exactly
    assert rms_joint_jerk(wave, hz) == pytest.approx(exact * attenuation, rel=0.02)
    assert rms_joint_jerk(wave, hz) == pytest.approx(exact, rel=0.03)


def test_too_short_paths_have_no_jerk():
    assert math.isnan(rms_point_jerk(np.zeros((3, 3)), 30))
    with pytest.raises(ConfigError, match=r"expected shape \(K, D\)"):
        jerk(np.zeros(9), 30)


def test_point_speed():
    path = np.outer(times(30), [0.3, 0.0, 0.4])
    assert point_speed(path, 30) == pytest.approx(np.full(len(path) - 1, 0.5))


def minimum_jerk_speed(hz, seconds):
    s = times(hz, seconds) / seconds
    return 30 * s**2 * (1 - s) ** 2


def test_arc_length_of_a_single_reach_is_known():
    # Balasubramanian et al. (2015) report about -1.4 for a minimum-jerk reach.
    assert spectral_arc_length(minimum_jerk_speed(100, 1.0), 100) == pytest.approx(-1.41, abs=0.02)


@pytest.mark.parametrize("hz", [30, 100, 400])
@pytest.mark.parametrize("seconds", [0.8, 2.0])
def test_arc_length_hardly_depends_on_rate_duration_or_amplitude(hz, seconds):
    speed = minimum_jerk_speed(hz, seconds)
    reference = spectral_arc_length(minimum_jerk_speed(100, 1.0), 100)
    assert spectral_arc_length(speed, hz) == pytest.approx(reference, rel=0.03)
    assert spectral_arc_length(7 * speed, hz) == pytest.approx(spectral_arc_length(speed, hz))


def test_arc_length_falls_with_every_sub_movement():
    reach = minimum_jerk_speed(30, 1.0)
    pause = np.zeros(10)
    lengths = [
        spectral_arc_length(np.concatenate([reach, pause] * count), 30) for count in (1, 2, 4)
    ]
    assert lengths[0] > lengths[1] + 0.3 > lengths[2] + 0.6


def test_arc_length_of_nothing_is_nan():
    assert math.isnan(spectral_arc_length(np.zeros(50), 30))
    assert math.isnan(spectral_arc_length([1.0], 30))
