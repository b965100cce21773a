"""What is kept of a run: tick log, run card, video, pictures. Heavy libraries load on use."""

from xr0_sim.record.runcard import read_run_card, run_card, write_run_card
from xr0_sim.record.ticklog import TickLog, TickTable, read_ticklog, write_ticklog
from xr0_sim.view.overlay import Overlay
from xr0_sim.view.timeline_figure import save_timeline_figure, timeline_figure
from xr0_sim.view.video import VideoFile, VideoRecorder

__all__ = [
    "Overlay",
    "TickLog",
    "TickTable",
    "VideoFile",
    "VideoRecorder",
    "read_run_card",
    "read_ticklog",
    "run_card",
    "save_timeline_figure",
    "timeline_figure",
    "write_run_card",
    "write_ticklog",
]
