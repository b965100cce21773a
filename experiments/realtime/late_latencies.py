"""Latencies that were measured in real time: put into the log, and into a file for virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from xr0_sim.atomic import write_bytes
from xr0_sim.record.ticklog import TickTable
from xr0_sim.runtime.clock import delay_ticks, seconds_to_ns
from xr0_sim.runtime.wall_executor import INSIDE


def with_latencies(table: TickTable, measured: Mapping[int, float]) -> TickTable:
    """A log of real time with the latencies that were not known when its rows were written.

    Inferences that never arrived are given one that reaches beyond the end.
    """
    hz = float(table.meta["control_hz"])
    columns = {name: np.array(table[name]) for name in ("latency_s", "d_floor", "d_ceil")}
    for row in np.flatnonzero(table["started"] >= 0):
        number = int(table["started"][row])
        latency_s = measured.get(number, (len(table) - row + INSIDE) / hz)
        d_floor, d_ceil = delay_ticks(seconds_to_ns(latency_s), int(hz))
        for name, value in zip(columns, (latency_s, d_floor, d_ceil), strict=True):
            columns[name][row] = value
    return TickTable({**table.columns, **columns}, table.meta)


def write_trace(table: TickTable, path: Path) -> None:
    """Writes the latencies of a log, in order, as a file for ``--latency trace:path=...``."""
    started = table["started"] >= 0
    lines = [f"{latency_s!r}" for latency_s in table["latency_s"][started].tolist()]
    write_bytes(path, "\n".join(["latency_s", *lines, ""]).encode())
