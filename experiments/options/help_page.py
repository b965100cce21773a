"""The help of a command: its options in groups of one screen each, ``--env`` first."""

from __future__ import annotations

import inspect
import re
import textwrap
import typing
from dataclasses import MISSING, fields
from typing import Any

from xr0_sim.grammar import type_words

WIDTH = 96
LEFT = 24

RUN_FIELDS = frozenset(
    "episodes seed workers engine address ticks".split()
    + "video video_fps no_video camera size film out json".split()
)
"""Fields that say how much is run and what is kept, wherever they are declared."""

GROUPS = {
    "TaskOptions": "task options (also as --env NAME:field=value,...)",
    "WeightOptions": "network options (policies with weights)",
    "NetworkOptions": "network options (policies with weights)",
}
"""Class that declares an option -> title of its group."""

OWN = "what runs"
RUN = "how much, and what is kept"


def help_page(config: type, program: str) -> str:
    """Help text of an options dataclass.

    Args:
        config: Dataclass with a docstring; the ``Attributes:`` of it and of its bases are the help.
        program: Command as typed.
    """
    about = descriptions(config)
    summary = inspect.cleandoc(config.__doc__ or "").partition("\nAttributes:")[0].strip()
    lines = [f"usage: {program} [OPTIONS]", "", *_paragraphs(summary)]
    for title, names in groups_of(config).items():
        lines += ["", f"{title}:"]
        for name in names:
            lines += _option(config, name, about.get(name, ""))
    lines += ["", "every command:"]
    lines += _entry("--plugin FILE|MODULE", "Loads plugs of your own first; see docs/extending.md.")
    lines += _entry("-h, --help", "This page.")
    return "\n".join(lines)


def groups_of(config: type) -> dict[str, list[str]]:
    """Title -> field names, own options first."""
    found: dict[str, list[str]] = {OWN: [], RUN: []}
    own = vars(config).get("__annotations__", {})
    for field in fields(config):
        if field.name in RUN_FIELDS:
            found[RUN].append(field.name)
        elif field.name in own:
            found[OWN].append(field.name)
        else:
            found.setdefault(_declared_in(config, field.name), []).append(field.name)
    for names in found.values():
        names.sort(key=lambda name: name != "env")
    return {title: names for title, names in found.items() if names}


def _declared_in(config: type, name: str) -> str:
    for cls in config.__mro__:
        if name in vars(cls).get("__annotations__", {}):
            return GROUPS.get(cls.__name__, OWN)
    return OWN


def descriptions(config: type) -> dict[str, str]:
    """Text of every attribute, from the docstrings of a class and its bases."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        text = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")[2]
        for match in re.finditer(r"(?m)^    (\w+): ((?:.*)(?:\n        .*)*)", text):
            found[match[1]] = " ".join(match[2].split())
    return found


def _option(config: type, name: str, text: str) -> list[str]:
    field = next(field for field in fields(config) if field.name == name)
    hint = typing.get_type_hints(config, include_extras=True)[name]
    positional = bool(getattr(hint, "__metadata__", ()))
    plain = typing.get_args(hint)[0] if positional else hint
    default = field.default if field.default is not MISSING else None
    flag = name.upper() if positional else f"--{name.replace('_', '-')}"
    if plain is not bool and not positional:
        flag += f" {_value_word(plain)}"
    if "default" not in text and default not in (None, False, (), ""):
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        text = f"{text.rstrip('.')} (default {shown})."
    return _entry(flag, text)


def _value_word(hint: Any) -> str:
    words = type_words(hint)
    if "(a, b" in words:
        return "..."
    if "whole number" in words:
        return "N"
    return "X" if "number" in words else "TEXT"


def _entry(flag: str, text: str) -> list[str]:
    wrapped = textwrap.wrap(text, WIDTH - LEFT) or [""]
    first = f"  {flag}"
    if len(first) >= LEFT:
        return [first, *(" " * LEFT + line for line in wrapped)]
    return [first.ljust(LEFT) + wrapped[0], *(" " * LEFT + line for line in wrapped[1:])]


def _paragraphs(text: str) -> list[str]:
    parts = [textwrap.wrap(part, WIDTH) for part in text.split("\n\n")]
    return [line for part in parts for line in [*part, ""]][:-1]
