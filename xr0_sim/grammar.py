"""The grammar of every plug: ``name[:field=value,...]``, and values from text by their types."""

from __future__ import annotations

import types
import typing
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from xr0_sim.errors import ConfigError, unknown_name


def configured(plug: Any, values: str, what: str) -> Any:
    """A plug with fields set from ``field=value,field=value``.

    Args:
        plug: Frozen dataclass, or an instance whose other fields stay.
        values: Text after the colon; "" sets nothing.
        what: For messages.
    """
    given = split_fields(values, what)
    if not is_dataclass(plug):
        if given:
            raise ConfigError(f"{what}: expected no fields, got {', '.join(given)}; leave them out")
        return plug
    known = {field.name: field for field in fields(plug) if field.init}
    cls = plug if isinstance(plug, type) else type(plug)
    hints = typing.get_type_hints(cls)
    set_to: dict[str, Any] = {}
    for name, value in given.items():
        if not known:
            raise ConfigError(f"{what}: expected no fields, got {name}; leave it out")
        if name not in known:
            raise unknown_name(f"field of {what}", name, known)
        set_to[name] = field_value(known[name], hints[name], value, f"{what}, field {name}")
    if not isinstance(plug, type):
        return replace(typing.cast(Any, plug), **set_to) if set_to else plug
    missing = [
        name
        for name, field in known.items()
        if name not in set_to and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(
            f"{what}: expected a value for {', '.join(missing)}; write "
            f"{what.split()[-1].strip(chr(39))}:{missing[0]}=VALUE"
        )
    return plug(**set_to)


def split_fields(values: str, what: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping; a value may hold commas inside brackets."""
    found: dict[str, str] = {}
    depth, start = 0, 0
    parts = []
    for index, letter in enumerate(values):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(values[start:index])
            start = index + 1
    parts.append(values[start:])
    for part in parts:
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"{what}: expected field=value, got {part.strip()!r}")
        if name in found:
            raise ConfigError(f"{what}: field {name!r} is given twice; keep one")
        found[name] = value.strip()
    return found


def field_value(field: Field[Any], hint: Any, text: str, what: str) -> Any:
    """Value of a field from its text, by the field's own parser or by its type."""
    parser = field.metadata.get("parse")
    if parser is not None:
        return parser(text)
    return parse_value(hint, text, what)


def parse_value(hint: Any, text: str, what: str) -> Any:
    """Value of a type (bool, int, float, str, Path, Literal, None, tuple or a union) from text."""
    options = union_members(hint)
    for option in options:
        try:
            return _parse_one(option, text)
        except ValueError:
            continue
    raise ConfigError(f"{what}: expected {type_words(hint)}, got {text!r}")


def union_members(hint: Any) -> tuple[Any, ...]:
    """Types of a union, text last since it takes anything; a plain type alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(sorted(typing.get_args(hint), key=lambda member: member is str))
    return (hint,)


def type_words(hint: Any) -> str:
    """A type in words, e.g. ``a whole number or none``."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    words |= {type(None): "none", Path: "a path"}

    def one(member: Any) -> str:
        if typing.get_origin(member) is typing.Literal:
            return " | ".join(map(str, typing.get_args(member)))
        if typing.get_origin(member) is tuple:
            return "(a, b, ...)"
        return words.get(member, getattr(member, "__name__", str(member)))

    return " or ".join(one(member) for member in union_members(hint))


def _parse_one(option: Any, text: str) -> Any:
    if option is type(None):
        if text.lower() in ("none", ""):
            return None
        raise ValueError
    if option is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off"):
            return False
        raise ValueError
    if option in (int, float, str, Path):
        return option(text)
    if typing.get_origin(option) is typing.Literal:
        for choice in typing.get_args(option):
            if str(choice) == text:
                return choice
        raise ValueError
    if typing.get_origin(option) is tuple:
        return _parse_tuple(option, text)
    raise ValueError


def _parse_tuple(option: Any, text: str) -> tuple[Any, ...]:
    items = [part.strip() for part in text.strip("()[] ").split(",") if part.strip()]
    members = typing.get_args(option)
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(items)
    if len(members) != len(items):
        raise ValueError
    return tuple(
        parse_value(member, item, "tuple") for member, item in zip(members, items, strict=True)
    )
