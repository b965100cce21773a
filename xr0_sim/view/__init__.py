"""Pictures of an episode: overlay, video and timeline. Heavy libraries load on use."""

from xr0_sim.view.insets import Insets
from xr0_sim.view.overlay import Overlay
from xr0_sim.view.timeline_figure import save_timeline_figure, timeline_figure
from xr0_sim.view.video import VideoFile, VideoRecorder

__all__ = [
    "Insets",
    "Overlay",
    "VideoFile",
    "VideoRecorder",
    "save_timeline_figure",
    "timeline_figure",
]
