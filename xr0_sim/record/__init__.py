"""What is kept of a run: tick log and run card. Heavy libraries load on use."""

from xr0_sim.record.runcard import read_run_card, run_card, write_run_card
from xr0_sim.record.ticklog import TickLog, TickTable, read_ticklog, write_ticklog

__all__ = [
    "TickLog",
    "TickTable",
    "read_run_card",
    "read_ticklog",
    "run_card",
    "write_run_card",
    "write_ticklog",
]
