"""Names of events: the way from text or JSON to event values and back.

`xr0_sim.registry.events` knows a *kind* by its class and a *preset* by an instance. A preset may
have the name of its own kind; the class is then found through it. Text is
``name[:field=value,...][@trigger]``, e.g. ``shove:distance_m=0.1@2s``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.events import Event
from xr0_sim.perturb.trigger_text import as_trigger, build, parse_trigger, trigger_to_dict
from xr0_sim.registry import events

_EventT = TypeVar("_EventT", bound=type[Event])


def event_kind(name: str) -> Callable[[_EventT], _EventT]:
    """Class decorator that registers a frozen `Event` dataclass under ``name``."""

    def register(cls: _EventT) -> _EventT:
        # Looked up in the class itself: an undecorated subclass inherits the base's marks.
        if "__dataclass_params__" not in vars(cls):
            raise ConfigError(
                f"event kind {name!r}: expected a frozen dataclass, got {cls.__name__}; "
                "put @event_kind above @dataclass(frozen=True)"
            )
        events.add(name, cls, _first_line(cls))
        cls.kind = name
        return cls

    return register


def register_preset(name: str, event: Event) -> None:
    """Gives a configured event a name, e.g. for the command line."""
    if not event.kind:
        raise ConfigError(f"preset {name!r}: expected an event of a registered kind, got {event}")
    events.add(name, event, _first_line(type(event)))


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]


def event_kinds() -> tuple[str, ...]:
    """Registered kinds, sorted."""
    return tuple(sorted(_classes()))


def event_presets() -> dict[str, Event]:
    """Registered presets by name."""
    return {name: events[name] for name in events if isinstance(events[name], Event)}


def _classes() -> dict[str, type[Event]]:
    """Kinds by name; one that was added to the registry without `event_kind` gets its name."""
    found: dict[str, type[Event]] = {}
    for name in events:
        plug = events[name]
        cls = plug if isinstance(plug, type) else type(plug)
        if not issubclass(cls, Event):
            raise ConfigError(
                f"event {name!r}: expected a dataclass of xr0_sim.perturb.events.Event, got {plug}"
            )
        if not vars(cls).get("kind"):
            cls.kind = name
        found.setdefault(cls.kind, cls)
    return found


def kind_of(event: Event) -> str:
    """Registered name of an event's class; the name of the class if it has none."""
    cls = type(event)
    if not vars(cls).get("kind"):
        _classes()
    return cls.kind or cls.__name__


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
    out: dict[str, Any] = {"kind": kind_of(event), "trigger": trigger_to_dict(event.trigger)}
    for field in fields(event):
        if field.name != "trigger":
            out[field.name] = json_value(getattr(event, field.name))
    return out


def event_from_dict(data: Mapping[str, Any]) -> Event:
    """Event from its JSON form; the trigger may also be text such as ``phase:lift+0.2s``."""
    rest = dict(data)
    kind = rest.pop("kind", None)
    if not isinstance(kind, str):
        raise ConfigError(f"event: expected a 'kind', got keys {sorted(map(str, data))}")
    classes = _classes()
    if kind not in classes:
        raise unknown_name("event kind", kind, classes)
    if "trigger" in rest:
        rest["trigger"] = as_trigger(rest["trigger"])
    event: Event = build(classes[kind], f"event {kind!r}", rest)
    return event


def parse_event(text: str) -> Event:
    """Event from ``name[:field=value,...][@trigger]``; the trigger begins after the last ``@``.

    Raises:
        ConfigError: An unknown name, field or trigger, or a value that does not fit.
    """
    head, at, when = text.rpartition("@") if "@" in text else (text, "", "")
    name = head.partition(":")[0].strip()
    if name not in events:
        raise unknown_name("event", name, events)
    event = events.parse(head)
    if not isinstance(event, Event):
        raise ConfigError(
            f"event {name!r}: expected a dataclass of xr0_sim.perturb.events.Event, got {event!r}"
        )
    return replace(event, trigger=parse_trigger(when)) if at else event


def split_events(text: str) -> list[str]:
    """Parts of ``event,event,...``; a part ``field=value`` belongs to the event before it."""
    parts: list[str] = []
    depth, joined = 0, ""
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts, joined = _with(parts, joined), ""
        else:
            joined += letter
    return _with(parts, joined)


def _with(parts: list[str], part: str) -> list[str]:
    name, equals, _ = part.partition("=")
    if parts and equals and name.strip().isidentifier():
        return [*parts[:-1], f"{parts[-1]},{part}"]
    return [*parts, part.strip()]


def parse_events(items: Iterable[str | Mapping[str, Any] | Event]) -> tuple[Event, ...]:
    """Events from a reset option: objects, JSON dicts, or text, see `parse_event`."""
    if isinstance(items, str | Mapping | Event):
        raise ConfigError(f"events: expected a list of events, got {items!r}; wrap it in a list")
    try:
        given = list(items)
    except TypeError:
        raise ConfigError(f"events: expected a list of events, got {items!r}") from None
    return tuple(_as_event(item) for item in given)


def _as_event(item: str | Mapping[str, Any] | Event) -> Event:
    if isinstance(item, Event):
        return item
    if isinstance(item, Mapping):
        return event_from_dict(item)
    if not isinstance(item, str):
        raise ConfigError(f"event: expected an event, a dict or a preset name, got {item!r}")
    return parse_event(item)


def event_text(event: Event) -> str:
    """An event in words of `parse_event`, without its fields, e.g. ``shove@phase:reach``."""
    return f"{kind_of(event)}@{event.trigger}"
