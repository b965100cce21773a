"""Rules for single fields of a stored configuration: type and range, each with its words."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import CheckpointError


@dataclass(frozen=True)
class Rule:
    """What a field may hold.

    Attributes:
        words: For messages, e.g. ``a whole number 1 .. 512``.
        holds: Whether a value fits.
    """

    words: str
    holds: Callable[[Any], bool]


def whole(low: int, high: int, none: bool = False) -> Rule:
    """A whole number within bounds; true and false are none."""

    def holds(value: Any) -> bool:
        if value is None:
            return none
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Rule(f"a whole number {low} .. {high}{' or null' if none else ''}", holds)


def number(low: float, high: float) -> Rule:
    """A finite number within bounds."""

    def holds(value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return math.isfinite(value) and low <= value <= high

    return Rule(f"a number {low:g} .. {high:g}", holds)


def choice(*options: Any) -> Rule:
    """One of a few values, of the same type."""
    words = " or ".join("null" if option is None else repr(option) for option in options)
    return Rule(words, lambda value: any(type(value) is type(o) and value == o for o in options))


def text(longest: int) -> Rule:
    """Text up to a length."""
    return Rule(
        f"text of at most {longest} characters",
        lambda value: isinstance(value, str) and len(value) <= longest,
    )


def name(longest: int = 64) -> Rule:
    """A plain name, which is no path."""
    return Rule(
        "a name of letters, digits, '_' and '-'",
        lambda value: (
            isinstance(value, str)
            and 0 < len(value) <= longest
            and value.replace("_", "").replace("-", "").isalnum()
        ),
    )


def wholes(low: int, high: int, longest: int, exactly: int | None = None) -> Rule:
    """A list of whole numbers within bounds."""
    one = whole(low, high)
    count = f"{exactly}" if exactly is not None else f"at most {longest}"

    def holds(value: Any) -> bool:
        if not isinstance(value, list) or len(value) > longest:
            return False
        return (exactly is None or len(value) == exactly) and all(map(one.holds, value))

    return Rule(f"a list of {count} whole numbers {low} .. {high}", holds)


OBJECT = Rule("an object", lambda value: isinstance(value, dict))
ANYTHING = Rule("anything", lambda value: True)


def bad_field(where: object, field: str, words: str, got: Any, remedy: str) -> CheckpointError:
    """The error for one field of a configuration file."""
    shown = repr(got)
    shown = shown if len(shown) <= 60 else f"{shown[:57]}..."
    return CheckpointError(f"config {where}: {field}: expected {words}, got {shown}; {remedy}")


def check_fields(
    values: Mapping[str, Any],
    rules: Mapping[str, Rule],
    where: object,
    prefix: str = "",
    *,
    optional: Collection[str] = (),
    known: Collection[str] | None = None,
    remedy: str = "restore the file",
) -> None:
    """Holds an object to its rules.

    Args:
        values: What was read.
        rules: Rule by field.
        where: File, for messages.
        prefix: Place of the object in the file, e.g. ``dit_config.``.
        optional: Fields that may be missing.
        known: Further fields that may be there; None lets any other field pass.
        remedy: What to do.

    Raises:
        CheckpointError: A field is missing, unknown, or holds something else.
    """
    missing = [field for field in rules if field not in values and field not in optional]
    unknown = [f for f in values if known is not None and f not in rules and f not in known]
    if missing or unknown:
        words = [f"{prefix}{field} is missing" for field in missing[:3]]
        words += [f"{prefix}{field[:40]} is unknown" for field in unknown[:3]]
        raise CheckpointError(
            f"config {where}: expected the fields {', '.join(prefix + field for field in rules)}, "
            f"got {'; '.join(words)}; {remedy}"
        )
    for field, rule in rules.items():
        if field in values and not rule.holds(values[field]):
            raise bad_field(where, prefix + field, rule.words, values[field], remedy)
