"""Scene events and signal faults: values that change an episode at a trigger."""

from xr0_sim.perturb.events import Event
from xr0_sim.perturb.inference_trigger import AtInference
from xr0_sim.perturb.registry import (
    event_from_dict,
    event_kind,
    event_kinds,
    event_presets,
    event_to_dict,
    parse_event,
    parse_events,
    register_preset,
)
from xr0_sim.perturb.schedule import EventSchedule, ScheduleState
from xr0_sim.perturb.signals.cameras import FreezeCamera, FrozenCameras
from xr0_sim.perturb.trigger_text import parse_trigger
from xr0_sim.perturb.triggers import AtPhase, AtTick, AtTime, Moment, Trigger
from xr0_sim.types import EventRecord

__all__ = [
    "AtInference",
    "AtPhase",
    "AtTick",
    "AtTime",
    "Event",
    "EventRecord",
    "EventSchedule",
    "FreezeCamera",
    "FrozenCameras",
    "Moment",
    "ScheduleState",
    "Trigger",
    "event_from_dict",
    "event_kind",
    "event_kinds",
    "event_presets",
    "event_to_dict",
    "parse_event",
    "parse_events",
    "parse_trigger",
    "register_preset",
]
