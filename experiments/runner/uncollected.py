"""Start and end of a process without the cyclic garbage collector.

A command imports some 2,000 modules, whose functions and classes stay to its end. The collector
looks through all of them again and again while they are loaded, and once more when the interpreter
ends, and finds next to nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected(*, stays: bool = False) -> Iterator[None]:
    """A block that loads things to stay, in which nothing is collected; blocks may be nested.

    Args:
        stays: Whether what there is after the block is never looked through again, so that the
            rest of the process collects its own garbage only. Once in a process: a later block
            could keep garbage, e.g. of weights that were replaced.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if stays and not gc.get_freeze_count():
            gc.freeze()
        if collects:
            gc.enable()


def leave_uncollected() -> None:
    """Takes everything there is out of the collector's sight; for a process that is about to end.

    Exit handlers still run. What refers to itself, as every module does, is left to the system.
    """
    gc.disable()
    gc.freeze()
