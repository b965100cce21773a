"""How long an inference truly takes: latency models, published presets and their spelling."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xr0_sim.conventions import NS_PER_S
from xr0_sim.errors import ConfigError, unknown_name


@dataclass(frozen=True, slots=True)
class LatencyContext:
    """What a latency may depend on.

    Attributes:
        number: Inference number within the episode, from 0.
        time_ns: Simulated time of the capture [ns].
    """

    number: int
    time_ns: int


class LatencyModel(Protocol):
    """True duration of one inference, capture to result; sampled once when it starts."""

    @property
    def label(self) -> str:
        """Short text for captions and tables."""
        ...

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws a latency [s], >= 0."""
        ...


def _check_seconds(name: str, seconds: float) -> None:
    if not math.isfinite(seconds) or seconds < 0:
        raise ConfigError(f"latency {name}: expected finite seconds >= 0, got {seconds}")


@dataclass(frozen=True)
class Constant:
    """Every inference takes ``latency_s`` [s]."""

    latency_s: float = 0.0

    def __post_init__(self) -> None:
        """Rejects negative and non-finite durations."""
        _check_seconds("latency_s", self.latency_s)

    @property
    def label(self) -> str:
        """For example ``80 ms``."""
        return f"{self.latency_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The constant [s]."""
        return self.latency_s


@dataclass(frozen=True)
class LogNormal:
    """Independent log-normal latencies with the given mean and standard deviation [s]."""

    mean_s: float
    std_s: float

    def __post_init__(self) -> None:
        """Rejects a mean that is not positive."""
        _check_seconds("mean_s", self.mean_s)
        _check_seconds("std_s", self.std_s)
        if self.mean_s == 0:
            raise ConfigError("latency mean_s: expected > 0, got 0; use Constant(0.0)")

    @property
    def label(self) -> str:
        """For example ``108.8 ± 2.3 ms``."""
        return f"{self.mean_s * 1e3:g} ± {self.std_s * 1e3:g} ms"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws one latency [s]; mean and deviation are matched in seconds, not in logarithms."""
        log_var = math.log1p((self.std_s / self.mean_s) ** 2)
        log_mean = math.log(self.mean_s) - 0.5 * log_var
        return math.exp(log_mean + math.sqrt(log_var) * rng.standard_normal())


@dataclass(frozen=True)
class WarmupSpike:
    """The first inference of an episode takes ``first_s`` [s], the others follow ``then``."""

    first_s: float
    then: LatencyModel

    def __post_init__(self) -> None:
        """Rejects negative and non-finite durations."""
        _check_seconds("first_s", self.first_s)

    @property
    def label(self) -> str:
        """For example ``700 ms, then 80 ms``."""
        return f"{self.first_s * 1e3:g} ms, then {self.then.label}"

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """The spike for inference 0, else a draw of ``then`` [s]."""
        return self.first_s if context.number == 0 else self.then.sample(rng, context)


@dataclass(frozen=True)
class Schedule:
    """Piecewise over episode time: the last ``(from_s, model)`` whose start has passed counts."""

    steps: tuple[tuple[float, LatencyModel], ...]

    def __post_init__(self) -> None:
        """Rejects schedules that do not cover the episode from 0 on in increasing order."""
        starts = [start for start, _ in self.steps]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)):
            raise ConfigError(
                f"latency schedule: expected increasing starts [s] from 0, got {starts}"
            )

    @property
    def label(self) -> str:
        """For example ``80 ms | 5 s: 300 ms``."""
        first, *rest = self.steps
        return " | ".join([first[1].label, *(f"{start:g} s: {m.label}" for start, m in rest)])

    def sample(self, rng: np.random.Generator, context: LatencyContext) -> float:
        """Draws from the model in force at the capture [s]."""
        now_s = context.time_ns / NS_PER_S
        current = self.steps[0][1]
        for start_s, model in self.steps:
            if start_s <= now_s:
                current = model
        return current.sample(rng, context)


LatencyConfig = Constant | LogNormal | WarmupSpike | Schedule
"""The latency models that exist, for command lines and configs."""


@dataclass(frozen=True)
class LatencyPreset:
    """A named latency model and where its figures come from."""

    model: LatencyModel
    source: str


_RTC = "real-time chunking report, arXiv 2506.07339"

LATENCY_PRESETS: dict[str, LatencyPreset] = {
    "none": LatencyPreset(Constant(0.0), "idealised: the world waits for the policy"),
    "xr0_4090": LatencyPreset(Constant(0.080), "XR-0 report, arXiv 2602.12684; one RTX 4090"),
    "pi05_4090": LatencyPreset(Constant(0.076), f"{_RTC}; model only, one RTX 4090"),
    "rtc_lan": LatencyPreset(LogNormal(0.1088, 0.0023), f"{_RTC}; inference server over a LAN"),
    "rtc_nuc": LatencyPreset(LogNormal(0.139, 0.0067), f"{_RTC}; robot with an on-board NUC"),
    "cloud_4g": LatencyPreset(
        Constant(0.273), "cloud inference over 4G; primary source not pinned"
    ),
    "warmup_spike": LatencyPreset(
        WarmupSpike(0.700, Constant(0.080)), "xr0_4090 with a cold first inference; own choice"
    ),
}

_AMOUNT = re.compile(
    r"(?P<mean>\d+(\.\d+)?)\s*((±|\+-|\+/-)\s*(?P<std>\d+(\.\d+)?)\s*)?(?P<unit>ms|s)"
)


def parse_latency(text: str) -> LatencyModel:
    """Latency model from a preset name or an amount such as ``133ms``, ``0.2s``, ``109±2.3ms``."""
    name = text.strip()
    if name in LATENCY_PRESETS:
        return LATENCY_PRESETS[name].model
    amount = _AMOUNT.fullmatch(name)
    if amount is None:
        raise unknown_name("latency", text, [*LATENCY_PRESETS, "133ms", "0.2s", "109±2.3ms"])
    scale = 1e-3 if amount["unit"] == "ms" else 1.0
    mean_s = float(amount["mean"]) * scale
    if amount["std"] is None:
        return Constant(mean_s)
    return LogNormal(mean_s, float(amount["std"]) * scale)
