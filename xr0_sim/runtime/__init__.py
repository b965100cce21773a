"""Executing chunk policies under inference latency in deterministic virtual time."""

from xr0_sim.runtime.episode import EpisodeLoop, run_episode
from xr0_sim.runtime.episode_ports import EpisodeResult, Plant, Subscriber, SubscriberBase
from xr0_sim.runtime.executor import Executor
from xr0_sim.runtime.latency.base import LatencyModel
from xr0_sim.runtime.latency.estimator import (
    Conservative,
    DelayEstimator,
    FixedDelay,
    LastDelay,
    MaxOfWindow,
    TrueDelay,
)
from xr0_sim.runtime.latency.models import Constant, LogNormal
from xr0_sim.runtime.latency.presets import parse_latency
from xr0_sim.runtime.strategies.base import Strategy
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import EstimatedPrefix, PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.runtime.tick_record import TickRecord

__all__ = [
    "Conservative",
    "Constant",
    "DelayEstimator",
    "EpisodeLoop",
    "EpisodeResult",
    "EstimatedPrefix",
    "Executor",
    "FixedDelay",
    "LastDelay",
    "LatencyModel",
    "LogNormal",
    "MaxOfWindow",
    "NaiveAsync",
    "Plant",
    "PrefixAsync",
    "Strategy",
    "Subscriber",
    "SubscriberBase",
    "Sync",
    "TickRecord",
    "TrueDelay",
    "parse_latency",
    "run_episode",
]
