"""Triggers as text and as JSON values, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.perturb.inference_trigger import AtInference
from xr0_sim.perturb.triggers import AtPhase, AtTick, AtTime, Trigger, trigger_name
from xr0_sim.registry import triggers

_TEXT = re.compile(
    r"(?P<time>\d+(\.\d+)?)s"
    r"|tick:(?P<tick>\d+)"
    r"|phase:(?P<phase>[\w.-]+)(#(?P<occurrence>\d+))?(\+(?P<delay>\d+(\.\d+)?)s)?"
    r"|inference:(?P<place>\w+)(#(?P<number>\d+))?(:phase=(?P<during>[\w.-]+))?"
)


def parse_trigger(text: str) -> Trigger:
    """Trigger from its text.

    Args:
        text: ``2.5s``, ``tick:90``, ``phase:lift#2+0.2s``, ``inference:in_prefix#3:phase=lift``, or
            ``name:field=value,...`` of any registered trigger.

    Raises:
        ConfigError: Another form, an unknown name or field, or a value that does not fit.
    """
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        return _named(text.strip())
    if match["time"] is not None:
        return AtTime(float(match["time"]))
    if match["tick"] is not None:
        return AtTick(int(match["tick"]))
    if match["phase"] is not None:
        return AtPhase(match["phase"], float(match["delay"] or 0.0), int(match["occurrence"] or 1))
    number = None if match["number"] is None else int(match["number"])
    return AtInference(match["place"], number, match["during"])  # type: ignore[arg-type]


def _named(text: str) -> Trigger:
    name, colon, values = text.partition(":")
    own_form = {"tick", "phase", "inference"}
    if name not in triggers or (name in own_form and "=" not in values):
        near = f"; registered: {', '.join(triggers)}" if colon else ""
        raise ConfigError(
            "trigger: expected '2.5s', 'tick:90' or 'phase:NAME[#N][+0.2s]', "
            "'inference:PLACE[#N][:phase=NAME]' or 'NAME:field=value', "
            f"got {text!r}{near}"
        )
    trigger = triggers.parse(text)
    if not isinstance(trigger, Trigger):
        raise ConfigError(
            f"trigger {name!r}: expected a dataclass of xr0_sim.perturb.triggers.Trigger, got "
            f"{trigger!r}"
        )
    return trigger


def trigger_to_dict(trigger: Trigger) -> dict[str, Any]:
    """JSON form of a trigger; inverse of `as_trigger`."""
    values = {field.name: getattr(trigger, field.name) for field in fields(trigger)}  # type: ignore[arg-type]
    return {"kind": trigger_name(type(trigger)), **values}


def as_trigger(value: Any) -> Trigger:
    """Trigger from an object, text or its JSON form.

    Raises:
        ConfigError: None of these.
    """
    if isinstance(value, Trigger):
        return value
    if isinstance(value, str):
        return parse_trigger(value)
    if not isinstance(value, Mapping) or "kind" not in value:
        raise ConfigError(f"trigger: expected a dict with a 'kind' or text, got {value!r}")
    rest = dict(value)
    kind = str(rest.pop("kind"))
    if kind not in triggers:
        raise unknown_name("trigger", kind, triggers)
    plug = triggers[kind]
    cls = plug if isinstance(plug, type) else type(plug)
    built: Trigger = build(cls, f"trigger {kind!r}", rest)
    return built


def build(cls: type, what: str, values: Mapping[str, Any]) -> Any:
    """Dataclass from JSON values; lists become tuples.

    Raises:
        ConfigError: An unknown or missing field, or a value that does not fit.
    """
    names = [field.name for field in fields(cls)]
    for name in values:
        if name not in names:
            raise unknown_name(f"field of {what}", str(name), names)
    frozen = {key: _as_tuple(value) for key, value in values.items()}
    try:
        return cls(**frozen)
    except TypeError as error:
        raise ConfigError(f"{what}: expected fields {', '.join(names)}; {error}") from None


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(item) for item in value) if isinstance(value, list) else value
