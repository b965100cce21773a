"""Ctrl-C, SIGTERM and SIGHUP: the first ends a command in good order, the second hurries it.

The first raises `KeyboardInterrupt`. What is finished is kept, worker processes are asked to end
and the run card says so. A second one raises nothing, so that no clean-up is cut off: it ends the
worker processes at once. From the third on `KeyboardInterrupt` is raised again, outside of
`shielded` blocks.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class _State:
    """What has arrived in this process so far."""

    def __init__(self) -> None:
        self.signals = 0
        self.shields = 0
        self.held_back = False
        self.hurries: list[Callable[[], None]] = []


_state = _State()


@contextmanager
def interruptible(*, ends_process: bool = False) -> Iterator[None]:
    """Handles the three signals while a command runs; without effect outside the main thread.

    A SIGINT or SIGHUP that was ignored before stays ignored, as behind ``nohup`` or ``&``.

    Args:
        ends_process: The process ends after the block: once interrupted it hears nothing more.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.signals, _state.held_back = 0, False
    numbers = [signal.SIGTERM]
    for number in (signal.SIGINT, getattr(signal, "SIGHUP", None)):
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            numbers.append(number)
    previous = {number: signal.signal(number, _arrived) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            if ends_process and _state.signals:
                handler = signal.SIG_IGN
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _state.signals = 0


@contextmanager
def shielded() -> Iterator[None]:
    """A block that no signal cuts off; a first interrupt is raised when the block has ended."""
    _state.shields += 1
    try:
        yield
    finally:
        _state.shields -= 1
    if _state.held_back and not _state.shields:
        _state.held_back = False
        raise KeyboardInterrupt


@contextmanager
def hurried_by(action: Callable[[], None]) -> Iterator[None]:
    """Calls ``action`` at every signal after the first, in the main thread, within the block."""
    _state.hurries.append(action)
    try:
        yield
    finally:
        _state.hurries.remove(action)


def check_interrupted() -> None:
    """Raises `KeyboardInterrupt` if a signal has come, e.g. one that a library swallowed."""
    if _state.signals and not _state.shields:
        raise KeyboardInterrupt


def _arrived(number: int, frame: FrameType | None) -> None:
    _state.signals += 1
    if _state.signals > 1:
        for hurry in list(_state.hurries):
            hurry()
    if _state.shields:
        _state.held_back = _state.held_back or _state.signals == 1
    elif _state.signals != 2:
        raise KeyboardInterrupt
