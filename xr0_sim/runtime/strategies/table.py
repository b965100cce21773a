"""The strategies of the package by name; a plug-in adds its own to the same registry."""

from __future__ import annotations

from xr0_sim.registry import strategies
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.sync import Sync

XR0_REPORT = "XR-0 report, arXiv 2602.12684"

strategies.add("sync", Sync, "the robot waits for every chunk")
strategies.add("naive_async", NaiveAsync, "time-aligned swap on arrival, no conditioning")
strategies.add("prefix_async", PrefixAsync, XR0_REPORT)
strategies.alias("naive", "naive_async")
strategies.alias("prefix", "prefix_async")
