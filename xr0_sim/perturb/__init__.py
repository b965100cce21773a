"""Scene events and signal faults: values that change an episode at a trigger."""

from xr0_sim.perturb.events import Event
from xr0_sim.perturb.registry import (
    event_from_dict,
    event_kind,
    event_kinds,
    event_presets,
    event_to_dict,
    parse_events,
    register_preset,
)
from xr0_sim.perturb.schedule import EventSchedule, ScheduleState
from xr0_sim.perturb.signals.cameras import FreezeCamera, FrozenCameras
from xr0_sim.perturb.triggers import AtPhase, AtTick, AtTime, Trigger, parse_trigger
from xr0_sim.types import EventRecord

__all__ = [
    "AtPhase",
    "AtTick",
    "AtTime",
    "Event",
    "EventRecord",
    "EventSchedule",
    "FreezeCamera",
    "FrozenCameras",
    "ScheduleState",
    "Trigger",
    "event_from_dict",
    "event_kind",
    "event_kinds",
    "event_presets",
    "event_to_dict",
    "parse_events",
    "parse_trigger",
    "register_preset",
]
