"""From command-line words to a frozen config: tyro, with errors of one line."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import TypeVar, get_type_hints

from xr0_sim.errors import ConfigError, unknown_name

_ConfigT = TypeVar("_ConfigT")

OLD_OPTIONS = {
    "--executor": "--strategy",
    "--execute": "--execution-horizon",
    "--brain-weights": "--vlm-weights",
    "--brain-start": "--vlm-start",
    "--brain-steps": "--vlm-steps",
    "--brain-rate": "--vlm-rate",
}
"""Options of 0.1 -> what they are called now; understood for one release, with a notice."""

_BORDER = "│| +"
_RULE = re.compile(r"[─-]{8,}")
_VALUE_ERROR = re.compile(r"Error parsing (?P<flag>--[\w-]+):")
_TYPE_NAMES = {int: "a whole number", float: "a number", str: "text"}


def parse_config(config: type[_ConfigT], words: Sequence[str], program: str) -> _ConfigT:
    """Reads options into a dataclass.

    Args:
        config: Frozen dataclass with a default for every field.
        words: Command-line words after the command.
        program: Command as typed, for the help text.

    Raises:
        ConfigError: An option or a value does not fit; one line.
        SystemExit: Help was asked for and printed.
    """
    import tyro

    words = _joined([_renamed(_dashed(word)) for word in words], config)
    words = _gathered(words, config)
    if any(word in ("-h", "--help") for word in words):
        from experiments.options.help_page import help_page

        print(help_page(config, program))
        raise SystemExit(0)
    _check_flags(config, words, program)
    silent = io.StringIO()
    try:
        with contextlib.redirect_stderr(silent):
            return tyro.cli(
                config, args=words, prog=program, config=(tyro.conf.FlagCreatePairsOff,)
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise ConfigError(_one_line(silent.getvalue(), config, words, program)) from None


def flags_of(config: type) -> list[str]:
    """Option names of a flat dataclass, e.g. ``--n-bricks``; positional fields have none."""
    from tyro.conf import Positional

    hints = get_type_hints(config, include_extras=True)
    return [
        f"--{field.name.replace('_', '-')}"
        for field in fields(config)
        if Positional not in getattr(hints[field.name], "__metadata__", ())
    ]


def _dashed(word: str) -> str:
    """Accepts ``--n_bricks`` for ``--n-bricks``; leaves values alone."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def _joined(words: Sequence[str], config: type) -> list[str]:
    """Puts ``--out -name`` as ``--out=-name``: what follows a text option is its value."""
    hints = get_type_hints(config)
    takes_text = {
        flag
        for flag in flags_of(config)
        if hints[flag.removeprefix("--").replace("-", "_")] in (str, str | None)
    }
    options = {*flags_of(config), "--help"}
    joined: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        value = rest[0].partition("=")[0] if rest else ""
        if word in takes_text and value.startswith("-") and value not in (*options, "-h"):
            word = f"{word}={rest.pop(0)}"
        joined.append(word)
    return joined


def _gathered(words: Sequence[str], config: type) -> list[str]:
    """Puts ``--factor a --factor b`` as ``--factor a b``, for options that take several texts."""
    hints = get_type_hints(config)
    several = {
        flag
        for flag in flags_of(config)
        if hints[flag.removeprefix("--").replace("-", "_")] == tuple[str, ...]
    }
    values: dict[str, list[str]] = {}
    rest: list[str] = []
    current = ""
    for word in words:
        flag, equals, value = word.partition("=")
        if flag in several:
            current = flag
            values.setdefault(flag, []).extend([value] if equals else [])
        elif current and not word.startswith("--"):
            values[current].append(word)
        else:
            current = ""
            rest.append(word)
    return [*rest, *(word for flag, found in values.items() for word in (flag, *found))]


def _renamed(word: str) -> str:
    """Puts the present name in the place of an option's old one, and says so."""
    name, equals, value = word.partition("=")
    if name not in OLD_OPTIONS:
        return word
    print(f"{name} is called {OLD_OPTIONS[name]} now; the old name goes in 0.3", file=sys.stderr)
    return OLD_OPTIONS[name] + equals + value


def _check_flags(config: type, words: Sequence[str], program: str) -> None:
    """Names the nearest option for a misspelt one; nested configs are left to tyro."""
    hints = get_type_hints(config)
    if any(is_dataclass(hints[field.name]) for field in fields(config)):
        return
    known = [*flags_of(config), "--help"]
    for word in words:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in known:
            raise unknown_name(f"option of {program}", flag, known)


def _one_line(text: str, config: type, words: Sequence[str], program: str) -> str:
    """Condenses tyro's boxed message to its first paragraph."""
    body = []
    for line in text.splitlines()[1:]:
        if not _RULE.search(line):
            body.append(line.strip(_BORDER))
        elif body:
            break
    message = " ".join(" ".join(body).split()) or "the options do not fit together"
    value_error = _VALUE_ERROR.match(message)
    if value_error:
        message = _expected(value_error["flag"], config, words) or message
    return f"{message.rstrip('.')}; see {program} --help"


def _expected(flag: str, config: type, words: Sequence[str]) -> str | None:
    """``--episodes: expected a whole number, got 'abc'``."""
    name = flag.removeprefix("--").replace("-", "_")
    kind = get_type_hints(config).get(name)
    wanted = [text for cls, text in _TYPE_NAMES.items() if kind in (cls, cls | None)]
    for word, following in zip(words, [*words[1:], ""], strict=True):
        head, equals, value = word.partition("=")
        if head == flag and wanted:
            return f"{flag}: expected {wanted[0]}, got {value if equals else following!r}"
    return None
