"""Checks the fields of events and triggers when one is built, by the types they are declared with.

A field that a physics engine cannot take (NaN, infinity, text for a number) is refused here, and
never in the middle of an episode. Numpy scalars count as the plain numbers they are.
"""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from xr0_sim.errors import ConfigError
from xr0_sim.grammar import type_words, union_members

NEWER: Mapping[str, Any] = {"newer": True}
"""Metadata of a field that older run cards lack: at its default it is left out of new ones."""
LONGEST_SHOWN = 80
"""Characters of a refused value that a message shows."""


class CheckedFields:
    """Base of frozen dataclasses whose fields are checked before their own ``__post_init__``."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Puts the check in front of a ``__post_init__`` that the subclass defines."""
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("__post_init__")
        if own is None or getattr(own, "checks_first", False):
            return

        @functools.wraps(own)
        def checked(self: Any, *args: Any) -> None:
            check_fields(self)
            own(self, *args)

        checked.checks_first = True  # type: ignore[attr-defined]
        cls.__post_init__ = checked  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        """Checks every field, see `check_fields`."""
        check_fields(self)


def check_fields(value: Any) -> None:
    """Holds every field of a dataclass to its declared type; numbers have to be finite.

    Numpy scalars become plain numbers, whole numbers become floats where a float is declared, and
    lists become tuples where a tuple is declared. A field whose metadata has a ``parse`` takes
    text, too.

    Raises:
        ConfigError: A value of another type, NaN or infinity.
    """
    kind: type = type(value)
    hints = _hints(kind)
    for field in fields(value):
        given = getattr(value, field.name)
        parse = field.metadata.get("parse")
        if parse is not None and isinstance(given, str):
            fitted = parse(given)
        else:
            what = f"{type(value).__name__}.{field.name}"
            fitted = fitted_value(hints.get(field.name, Any), given, what)
        if fitted is not given:
            object.__setattr__(value, field.name, fitted)


def check_range(value: Any, name: str, low: float, high: float, unit: str = "") -> None:
    """Refuses a field outside ``low .. high``; to be called from ``__post_init__``."""
    given = getattr(value, name)
    if not low <= given <= high:
        raise ConfigError(
            f"{type(value).__name__}.{name}: expected {low:g} .. {high:g}{unit and ' ' + unit}, "
            f"got {given:g}"
        )


def fitted_value(hint: Any, given: Any, what: str) -> Any:
    """The value as its type wants it.

    Args:
        hint: Declared type.
        given: What was given.
        what: For the message.
    """
    plain = _plain(given)
    for option in union_members(hint):
        try:
            return _fit(option, plain)
        except (ValueError, OverflowError):
            continue
    words = type_words(hint).replace("a number", "a finite number")
    if hint is Any:
        words = "finite numbers"
    raise ConfigError(f"{what}: expected {words}, got {_shown(given)}")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls)
    except (NameError, TypeError):  # types that exist for type checkers only
        return {}


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays without axes as plain Python values."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def _shown(value: Any) -> str:
    text = " ".join(repr(_plain(value)).split())
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _fit(option: Any, given: Any) -> Any:
    """The value as one type wants it; a ValueError if it is none of that type."""
    origin = typing.get_origin(option)
    if option in _PLAIN_TYPES:
        return _fit_plain(option, given)
    if origin is typing.Literal:
        found = [choice for choice in typing.get_args(option) if _same(choice, given)]
        return found[0] if found else _refuse()
    if origin is tuple or option is tuple:
        return _fit_tuple(option, given)
    wanted = option if origin is None else origin
    if isinstance(wanted, type) and wanted is not object and not isinstance(given, wanted):
        _refuse()
    if not _finite(given):
        _refuse()
    return given


_PLAIN_TYPES = (bool, int, float, str, type(None))


def _fit_plain(option: Any, given: Any) -> Any:
    if option is float:
        number = isinstance(given, int | float) and not isinstance(given, bool)
        return float(given) if number and math.isfinite(given) else _refuse()
    fits = isinstance(given, option) and not (option is int and isinstance(given, bool))
    return given if fits else _refuse()


def _fit_tuple(option: Any, given: Any) -> tuple[Any, ...]:
    if not isinstance(given, tuple | list | np.ndarray):
        _refuse()
    members = typing.get_args(option) or (Any, ...)
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(given)
    if len(members) != len(given):
        _refuse()
    fitted = tuple(
        fitted_value(member, item, "member") for member, item in zip(members, given, strict=True)
    )
    if isinstance(given, tuple) and all(map(_is, fitted, given)):
        return given
    return fitted


def _is(first: Any, second: Any) -> bool:
    return first is second


def _same(choice: Any, given: Any) -> bool:
    return type(choice) is type(given) and bool(choice == given)


def _refuse() -> typing.NoReturn:
    raise ValueError


def _finite(value: Any) -> bool:
    """Whether a value of any type holds no NaN and no infinity."""
    value = _plain(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, np.ndarray):
        return not np.issubdtype(value.dtype, np.number) or bool(np.isfinite(value).all())
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, tuple | list):
        return all(map(_finite, value))
    return True
