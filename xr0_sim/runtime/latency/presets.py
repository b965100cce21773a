"""Latencies by name: the models, the published figures, and amounts such as ``133ms``."""

from __future__ import annotations

import re

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.registry import latencies
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.bursts import MarkovBursts, Spikes
from xr0_sim.runtime.latency.lossy import Lossy  # noqa: F401  (registers itself)
from xr0_sim.runtime.latency.models import Change, Constant, LogNormal, WarmupSpike
from xr0_sim.runtime.latency.parts import Parts
from xr0_sim.runtime.latency.tails import GammaTail, Normal
from xr0_sim.runtime.latency.traces import Trace  # noqa: F401  (registers itself)

_RTC = "real-time chunking report, arXiv 2506.07339"

latencies.add("none", Constant(0.0), "idealised: the world waits for the policy")
latencies.add("xr0_4090", Constant(0.080), "XR-0 report, arXiv 2602.12684; one RTX 4090")
latencies.add("pi05_4090", Constant(0.076), f"{_RTC}; model only, one RTX 4090")
latencies.add("rtc_lan", LogNormal(0.1088, 0.0023), f"{_RTC}; inference server over a LAN")
latencies.add("rtc_nuc", LogNormal(0.139, 0.0067), f"{_RTC}; robot with an on-board NUC")
latencies.add("cloud_4g", Constant(0.273), "cloud inference over 4G; primary source not pinned")
latencies.add(
    "warmup_spike",
    WarmupSpike(0.700, Constant(0.080)),
    "xr0_4090 with a cold first inference; own choice",
)
latencies.add("constant", Constant, "every inference takes latency_s")
latencies.add("normal", Normal, "independent draws, cut off at 0")
latencies.add("gamma", GammaTail, "a floor and a gamma-distributed tail")
latencies.add(
    "bursts", MarkovBursts, "two states that change between inferences, Gilbert's channel"
)
latencies.add("spikes", Spikes, "single inferences take much longer, on a schedule")
latencies.add("change", Change, "another latency from a moment of the episode on")
latencies.add("parts", Parts, "VLM, action expert and transport; refreshes leave the VLM out")
latencies.add("lognormal", LogNormal, "independent draws; mean and deviation in seconds")

_SECONDS = {"ms": 1e-3, "s": 1.0}
_AMOUNT = re.compile(
    r"(?P<mean>\d+(\.\d+)?)\s*((±|\+-|\+/-)\s*(?P<std>\d+(\.\d+)?)\s*)?(?P<unit>ms|s)"
)
_PARTS = re.compile(
    r"(?P<vlm>\d+(\.\d+)?)\s*\+\s*(?P<expert>\d+(\.\d+)?)"
    r"(\s*\+\s*(?P<transport>\d+(\.\d+)?))?\s*(?P<unit>ms|s)"
)


def parse_latency(text: str) -> LatencyModel:
    """Latency from ``name[:field=value,...]`` or an amount: ``133ms``, ``0.2s``, ``109±2.3ms``.

    ``60+20ms`` are 60 ms for the VLM and 20 ms for the action expert; a third one is transport.

    >>> parse_latency("xr0_4090"), parse_latency("133ms")
    (Constant(latency_s=0.08), Constant(latency_s=0.133))
    >>> parse_latency("lognormal:mean_s=0.11,std_s=0.02")
    LogNormal(mean_s=0.11, std_s=0.02)
    >>> parse_latency("60+20ms")
    Parts(vlm_s=0.06, expert_s=0.02, transport_s=0.0)

    Raises:
        ConfigError: Unknown name, or an amount that is no latency.
    """
    name = text.strip()
    parts = _PARTS.fullmatch(name)
    if parts is not None:
        scale = _SECONDS[parts["unit"]]
        return Parts(*(float(parts[k] or 0) * scale for k in ("vlm", "expert", "transport")))
    amount = _AMOUNT.fullmatch(name)
    if amount is None:
        return _named(name)
    scale = _SECONDS[amount["unit"]]
    mean_s = float(amount["mean"]) * scale
    if amount["std"] is None:
        return Constant(mean_s)
    return LogNormal(mean_s, float(amount["std"]) * scale)


def _named(text: str) -> LatencyModel:
    if text.lstrip("+-")[:1].isdigit():
        raise ConfigError(
            "latency: expected an amount >= 0 such as 133ms, 0.2s, 109±2.3ms or 60+20ms, got "
            f"{text!r}"
        )
    if text.partition(":")[0] not in latencies:
        raise unknown_name("latency", text, [*latencies, "133ms", "0.2s", "109±2.3ms", "60+20ms"])
    model: LatencyModel = latencies.parse(text)
    return model
