"""Names of events: kinds, presets, and the way from text or JSON to event values and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.triggers import TRIGGER_KINDS, Trigger, parse_trigger

_EventT = TypeVar("_EventT", bound=type[Event])

_kinds: dict[str, type[Event]] = {}
_presets: dict[str, Event] = {}
_trigger_names = {cls: name for name, cls in TRIGGER_KINDS.items()}


def event_kind(name: str) -> Callable[[_EventT], _EventT]:
    """Class decorator that registers a frozen `Event` dataclass under ``name``."""

    def register(cls: _EventT) -> _EventT:
        # Looked up in the class itself: an undecorated subclass inherits the base's marks.
        if "__dataclass_params__" not in vars(cls):
            raise ConfigError(
                f"event kind {name!r}: expected a frozen dataclass, got {cls.__name__}; "
                "put @event_kind above @dataclass(frozen=True)"
            )
        known = _kinds.setdefault(name, cls)
        if known.__qualname__ != cls.__qualname__ or known.__module__ != cls.__module__:
            raise ConfigError(f"event kind {name!r}: already taken by {known.__qualname__}")
        cls.kind = name
        _kinds[name] = cls
        return cls

    return register


def register_preset(name: str, event: Event) -> None:
    """Gives a configured event a name, e.g. for the command line."""
    if not event.kind:
        raise ConfigError(f"preset {name!r}: expected an event of a registered kind, got {event}")
    _presets[name] = event


def event_kinds() -> tuple[str, ...]:
    """Registered kinds, sorted."""
    return tuple(sorted(_kinds))


def event_presets() -> dict[str, Event]:
    """Registered presets by name."""
    return dict(_presets)


def json_value(value: Any) -> Any:
    """Turns numpy numbers, arrays and tuples into plain JSON values."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return value


def event_to_dict(event: Event) -> dict[str, Any]:
    """JSON form of an event; inverse of `event_from_dict`."""
    out: dict[str, Any] = {"kind": event.kind, "trigger": trigger_to_dict(event.trigger)}
    for field in fields(event):
        if field.name != "trigger":
            out[field.name] = json_value(getattr(event, field.name))
    return out


def event_from_dict(data: Mapping[str, Any]) -> Event:
    """Event from its JSON form; the trigger may also be text such as ``phase:lift+0.2s``."""
    rest = dict(data)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigError(f"event: expected a 'kind', got keys {sorted(data)}")
    if kind not in _kinds:
        raise unknown_name("event kind", kind, _kinds)
    if "trigger" in rest:
        rest["trigger"] = _as_trigger(rest["trigger"])
    return _build(_kinds[kind], f"event {kind!r}", rest)


def trigger_to_dict(trigger: Trigger) -> dict[str, Any]:
    """JSON form of a trigger."""
    values = {field.name: getattr(trigger, field.name) for field in fields(trigger)}
    return {"kind": _trigger_names[type(trigger)], **values}


def parse_events(items: Iterable[str | Mapping[str, Any] | Event]) -> tuple[Event, ...]:
    """Events from a reset option: objects, JSON dicts, or text ``PRESET[@TRIGGER]``."""
    if isinstance(items, str | Mapping | Event):
        raise ConfigError(f"events: expected a list of events, got {items!r}; wrap it in a list")
    return tuple(_as_event(item) for item in items)


def _as_event(item: str | Mapping[str, Any] | Event) -> Event:
    if isinstance(item, Event):
        return item
    if isinstance(item, Mapping):
        return event_from_dict(item)
    if not isinstance(item, str):
        raise ConfigError(f"event: expected an event, a dict or a preset name, got {item!r}")
    name, _, when = item.partition("@")
    if name not in _presets:
        raise unknown_name("event preset", name, _presets)
    preset = _presets[name]
    return replace(preset, trigger=parse_trigger(when)) if when else preset


def _as_trigger(value: Any) -> Trigger:
    if isinstance(value, Trigger):
        return value
    if isinstance(value, str):
        return parse_trigger(value)
    if not isinstance(value, Mapping) or "kind" not in value:
        raise ConfigError(f"trigger: expected a dict with a 'kind' or text, got {value!r}")
    rest = dict(value)
    kind = rest.pop("kind")
    if kind not in TRIGGER_KINDS:
        raise unknown_name("trigger", str(kind), TRIGGER_KINDS)
    return _build(TRIGGER_KINDS[kind], f"trigger {kind!r}", rest)


def _build(cls: type, what: str, values: Mapping[str, Any]) -> Any:
    names = [field.name for field in fields(cls)]
    for name in values:
        if name not in names:
            raise unknown_name(f"field of {what}", name, names)
    frozen = {key: _as_tuple(value) for key, value in values.items()}
    try:
        return cls(**frozen)
    except TypeError as error:
        raise ConfigError(f"{what}: expected fields {', '.join(names)}; {error}") from None


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
