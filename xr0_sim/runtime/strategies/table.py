"""The strategies of the package by name; a plug-in adds its own to the same registry."""

from __future__ import annotations

from xr0_sim.registry import strategies
from xr0_sim.runtime.strategies.bid import Bid
from xr0_sim.runtime.strategies.corrected import Corrected
from xr0_sim.runtime.strategies.event_triggered import EventTriggered
from xr0_sim.runtime.strategies.naive_async import NaiveAsync
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.runtime.strategies.prefix_async import PrefixAsync
from xr0_sim.runtime.strategies.roll_forward import RollForward
from xr0_sim.runtime.strategies.rtc import Rtc
from xr0_sim.runtime.strategies.shared_noise import SharedNoise
from xr0_sim.runtime.strategies.sync import Sync
from xr0_sim.runtime.strategies.temporal_ensemble import TemporalEnsemble
from xr0_sim.runtime.strategies.two_rate import TwoRate

XR0_REPORT = "XR-0 report, arXiv 2602.12684"

strategies.add("sync", Sync, "the robot waits for every chunk")
strategies.add("naive_async", NaiveAsync, "time-aligned swap on arrival, no conditioning")
strategies.add("prefix_async", PrefixAsync, XR0_REPORT)
strategies.add("temporal_ensemble", TemporalEnsemble, "ACT, arXiv 2304.13705")
strategies.add("rtc", Rtc, "real-time chunking, arXiv 2506.07339")
strategies.add("bid", Bid, "bidirectional decoding, arXiv 2408.17355, without forward contrast")
strategies.add("roll_forward", RollForward, "VLASH, arXiv 2512.01031")
strategies.add("shared_noise", SharedNoise, "noise of overlapping chunks shared")
strategies.add("event_triggered", EventTriggered, "a change of the pictures starts an inference")
strategies.add("pipelined", Pipelined, "several inferences under way")
strategies.add("two_rate", TwoRate, "VLM and action expert at rates of their own")
strategies.add("corrected", Corrected, "A2C2, arXiv 2509.23224: a head corrects every row")
strategies.alias("naive", "naive_async")
strategies.alias("prefix", "prefix_async")
