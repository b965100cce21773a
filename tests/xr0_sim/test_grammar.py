"""Text of plugs: fields by their types, and what does not fit in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.grammar import configured, parse_value, split_fields


@dataclass(frozen=True)
class Plug:
    count: int
    share: float = 0.5
    name: str = ""
    kind: Literal["a", "b"] = "a"
    limit: int | None = None
    pair: tuple[float, ...] = ()
    on: bool = False


@dataclass(frozen=True)
class Bare:
    """No fields."""


def test_fields_are_read_by_their_types():
    text = "count=3,share=1e-1,name=x y,kind=b,limit=none,pair=(1, 2.5),on=yes"
    assert configured(Plug, text, "p") == Plug(3, 0.1, "x y", "b", None, (1.0, 2.5), True)
    assert configured(Plug(7), "limit=4", "p") == Plug(7, limit=4)
    assert configured(Bare, "", "p") == Bare()
    assert parse_value(Path, "~/x", "p") == Path("~/x")
    assert parse_value(int | str, "x", "p") == "x" and parse_value(int | str, "4", "p") == 4


@pytest.mark.parametrize(
    ("plug", "text", "message"),
    [
        (Plug, "", "expected a value for count"),
        (Plug, "count=1.5", "field count: expected a whole number, got '1.5'"),
        (Plug, "count=1,on=maybe", "expected true or false"),
        (Plug, "count=1,kind=c", r"expected a \| b, got 'c'"),
        (Plug, "count=1,cout=2", "did you mean 'count'"),
        (Plug, "count=1,count=2", "given twice"),
        (Plug, "count", "expected field=value, got 'count'"),
        (Bare, "speed=2", "expected no fields, got speed"),
        (print, "speed=2", "expected no fields, got speed"),
    ],
)
def test_what_does_not_fit_is_one_line(plug, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        configured(plug, text, "plug 'p'")
    assert "\n" not in str(caught.value)


def test_commas_inside_brackets_belong_to_the_value():
    assert split_fields("a=(1,2),b=3", "p") == {"a": "(1,2)", "b": "3"}
