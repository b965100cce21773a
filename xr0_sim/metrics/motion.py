"""Smoothness of motion: RMS jerk in SI units and spectral arc length."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from xr0_sim.errors import ConfigError

SPARC_CUTOFF_HZ = 10.0
SPARC_THRESHOLD = 0.05
SPARC_PADDING = 4


def jerk(samples: ArrayLike, control_hz: float) -> np.ndarray:
    """Third derivative by third differences, exact for cubics.

    Args:
        samples: (K, D) positions at the control rate.
        control_hz: Control rate [Hz].

    Returns:
        (K - 3, D) in units of the samples per s^3, so that the same motion sampled at another
        rate gives the same figures up to O(1 / control_hz^2).
    """
    array = np.asarray(samples, dtype=np.float64)
    if array.ndim != 2:
        raise ConfigError(f"jerk: expected shape (K, D), got {array.shape}")
    return np.diff(array, n=3, axis=0) * control_hz**3


def rms_point_jerk(positions: ArrayLike, control_hz: float) -> float:
    """RMS of the length of the jerk vector of a point [m/s^3].

    Args:
        positions: (K, 3) e.g. tool positions [m].
        control_hz: Control rate [Hz].

    Returns:
        NaN for fewer than four samples.
    """
    j = jerk(positions, control_hz)
    return math.nan if len(j) == 0 else float(np.sqrt((j**2).sum(axis=1).mean()))


def rms_joint_jerk(positions: ArrayLike, control_hz: float) -> float:
    """RMS jerk over time and joints [rad/s^3].

    Args:
        positions: (K, J) joint positions [rad].
        control_hz: Control rate [Hz].

    Returns:
        NaN for fewer than four samples.
    """
    j = jerk(positions, control_hz)
    return math.nan if len(j) == 0 else float(np.sqrt((j**2).mean()))


def point_speed(positions: ArrayLike, control_hz: float) -> np.ndarray:
    """Speed between samples of a (K, 3) path [m], (K - 1,) [m/s]."""
    return np.linalg.norm(np.diff(np.asarray(positions, dtype=np.float64), axis=0), axis=1) * (
        control_hz
    )


def spectral_arc_length(
    speed: ArrayLike,
    control_hz: float,
    cutoff_hz: float = SPARC_CUTOFF_HZ,
    threshold: float = SPARC_THRESHOLD,
) -> float:
    """SPARC smoothness of a speed profile: 0 at best, more negative with every sub-movement.

    Length of the normalised Fourier magnitude spectrum of the speed from 0 Hz to the cutoff, with
    the cutoff lowered to where the magnitude stays under ``threshold``. Independent of amplitude
    and, nearly, of duration. Source: Balasubramanian et al., J. NeuroEng. Rehabil. 12:112 (2015).

    Args:
        speed: (K,) speed profile.
        control_hz: Sampling rate of the profile [Hz].
        cutoff_hz: Highest frequency considered [Hz].
        threshold: Normalised magnitude below which the tail is ignored.

    Returns:
        Arc length <= 0; NaN for a profile that is zero throughout or shorter than two samples.
    """
    profile = np.asarray(speed, dtype=np.float64)
    if profile.ndim != 1:
        raise ConfigError(f"spectral arc length: expected shape (K,), got {profile.shape}")
    if len(profile) < 2 or not profile.any():
        return math.nan
    size = 2 ** (math.ceil(math.log2(len(profile))) + SPARC_PADDING)
    magnitude = np.abs(np.fft.rfft(profile, size))
    magnitude /= magnitude.max()
    frequency = np.fft.rfftfreq(size, 1.0 / control_hz)
    band = frequency <= cutoff_hz
    frequency, magnitude = frequency[band], magnitude[band]
    last = np.flatnonzero(magnitude >= threshold)[-1]
    frequency, magnitude = frequency[: last + 1], magnitude[: last + 1]
    if last == 0:
        return math.nan
    steps = np.diff(frequency) / (frequency[-1] - frequency[0])
    return -float(np.hypot(steps, np.diff(magnitude)).sum())
