"""Levels of a factor: what they set, and the text that names them in tables and files."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from experiments.options.condition_options import ConditionOptions
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.grammar import parse_value
from xr0_sim.perturb.registry import split_events

Settings = Mapping[str, Any]
"""Option -> value; an option is a field of `ConditionOptions`, or ``PLUG.FIELD`` of a plug."""
Levels = Mapping[str, Settings]
"""Text of a level -> what it sets, in order."""

PLUGS = ("env", "policy", "strategy", "latency", "estimator", "event", "servo", "senses", "looks")
"""Options whose text is ``NAME:field=value,...``, so that a factor may set one of its fields."""

_FACTOR = re.compile(r"[A-Za-z_]\w*(\.\w+)?")
AMOUNT = r"\d+(\.\d+)?(\s*\+\s*\d+(\.\d+)?)*"
"""Pattern of a number, or of one in parts as in ``60+20ms``."""
_BARE_NUMBER = re.compile(r"\d+(\.\d+)?")


def factor_levels(name: str, given: Any) -> Levels:
    """Levels of a factor.

    Args:
        name: An option, ``PLUG.FIELD``, or any name if every level says what it sets.
        given: Values of the option, or a mapping from the text of each level to its settings, e.g.
            ``{"trained": {"strategy": "prefix_async", "head": "prefix"}}``.

    Raises:
        ConfigError: No such option, or no level, or two of one text.
    """
    if not _FACTOR.fullmatch(name):
        raise ConfigError(f"factor {name!r}: expected a name of letters, digits, _ and one dot")
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        given = [given]
    if not len(given):
        raise ConfigError(f"factor {name}: expected at least one level, got none")
    if isinstance(given, Mapping):
        return {str(text): _settings(name, text, found) for text, found in given.items()}
    check_option(name, f"factor {name}")
    levels: dict[str, Settings] = {}
    for value in given:
        value = option_value(name, value)
        text = level_text(value)
        if text in levels:
            raise ConfigError(f"factor {name}: expected different levels, got {text} twice")
        levels[text] = {name: value}
    return levels


def known_level(factor: str, levels: Levels, value: Any) -> str:
    """Text of the level that a value stands for.

    Args:
        factor: The factor.
        levels: Its levels.
        value: Text of a level, or a value of the option that the factor varies.

    Raises:
        ConfigError: There is no such level.
    """
    text = str(value)
    if value not in levels and all(set(told) == {factor} for told in levels.values()):
        (text,) = factor_levels(factor, [value])
    if text not in levels:
        raise unknown_name(f"level of {factor}", text, levels)
    return text


def option_value(name: str, value: Any) -> Any:
    """Value of an option, typed; a bare number as a latency is one in milliseconds."""
    if name == "latency" and not isinstance(value, bool):
        if isinstance(value, int | float):
            return f"{value:g}ms"
        if isinstance(value, str) and _BARE_NUMBER.fullmatch(value.strip()):
            return f"{value.strip()}ms"
    hints = typing.get_type_hints(ConditionOptions)
    if isinstance(value, str) and name in hints and hints[name] not in (str, str | None):
        return parse_value(hints[name], value, name)
    if isinstance(value, list):
        return tuple(value)
    return value


def level_text(value: Any) -> str:
    """Text of a level in tables, file names and frames."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return "+".join(map(str, value))
    return str(value)


def check_option(name: str, what: str) -> None:
    """Refuses what no condition has.

    Raises:
        ConfigError: It is neither an option nor a field of a plug.
    """
    known = [field.name for field in fields(ConditionOptions)]
    plug, dot, _ = name.partition(".")
    if dot and plug not in PLUGS:
        raise unknown_name(f"plug of {what}", plug, PLUGS)
    if not dot and name not in known:
        raise unknown_name(f"option of {what}", name, known)


def _settings(factor: str, text: object, given: Any) -> Settings:
    if not isinstance(given, Mapping):
        given = {factor: given}
    for option in given:
        check_option(str(option), f"factor {factor}, level {text}")
    return {str(option): option_value(str(option), value) for option, value in given.items()}


def split_levels(text: str) -> list[str]:
    """Levels on the command line: ``sync,prefix_async:prefix_steps=6,alignment=readme``.

    Commas part levels, but not within brackets and not before the next ``field=value`` of a plug;
    with semicolons in the text these alone part levels.
    """
    return [part.strip() for part in text.split(";")] if ";" in text else split_events(text)
