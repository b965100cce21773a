"""Standard streams that never end a run: closed, full or of an encoding without our signs.

Messages and progress are no results. Where standard error cannot take them they are dropped and
the run goes on; results go to files and to standard output, whose errors are reported.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

ESCAPE = "xr0_sim.escape"
"""Codec error handler: ``\\uXXXX`` for what an encoding lacks, which is valid in JSON too."""


class DroppingStream:
    """A text stream that drops what its target cannot take.

    Args:
        target: Where the text goes; everything but writing is left to it.
    """

    def __init__(self, target: TextIO) -> None:
        self._target = target

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def write(self, text: str) -> int:
        """Writes ``text`` if it can be written."""
        try:
            self._target.write(text)
        except (OSError, ValueError):
            discard(self._target)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Writes each of ``lines`` if it can be written."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Passes on what is buffered if it can be written."""
        try:
            self._target.flush()
        except (OSError, ValueError):
            discard(self._target)


@contextmanager
def standard_streams() -> Iterator[None]:
    """A block in which standard output and standard error exist and can write every text."""
    _open_missing()
    codecs.register_error(ESCAPE, _escaped)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with contextlib.suppress(OSError, ValueError):
                reconfigure(errors=ESCAPE)
    before = sys.stderr
    sys.stderr = DroppingStream(before)
    try:
        yield
    finally:
        sys.stderr.flush()
        sys.stderr = before


def discard(stream: TextIO | None) -> None:
    """Leads the descriptor of a stream nowhere, so that what it has buffered does no harm."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]
        os.close(nowhere)


def _open_missing() -> None:
    """Opens the null device in the place of standard streams that the caller has closed.

    Otherwise the next files to be opened would take their descriptors, and messages of libraries
    would end up in them.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, mode)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    pairs = [units[i : i + 2].hex() for i in range(0, len(units), 2)]
    return "".join(f"\\u{pair}" for pair in pairs), error.end
