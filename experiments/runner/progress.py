"""Progress on standard error: a bar with time left on a terminal, else one line per episode."""

from __future__ import annotations

import sys
import time
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress


class Progress:
    """Counts finished episodes; a context manager.

    Args:
        total: Number of episodes.
        title: What is being run.
        stream: Where to write; standard error by default.
    """

    def __init__(self, total: int, title: str = "", stream: TextIO | None = None) -> None:
        self._total = total
        self._title = title
        self._stream = stream or sys.stderr
        self._done = 0
        self._outcomes: Counter[str] = Counter()
        self._start_s = time.monotonic()
        self._bar: RichProgress | None = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        """Shows the bar if somebody looks."""
        if self._total and self._stream.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[rate]}"),
                TextColumn("{task.fields[outcomes]}"),
                console=Console(file=self._stream),
            )
            self._bar.start()
            self._task = self._bar.add_task(self._title, total=self._total, outcomes="", rate="")
        elif self._title and self._total:
            self._write(self._title)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.stop()

    def advance(self, name: str, outcome: str, detail: str = "") -> None:
        """Notes one finished episode.

        Args:
            name: Which one, e.g. ``seed 3``.
            outcome: ``success``, ``failure``, ...
            detail: Further text for the line.
        """
        self._done += 1
        self._outcomes[outcome] += 1
        each_s = max((time.monotonic() - self._start_s) / self._done, 1e-6)
        if self._bar is not None:
            tally = "  ".join(f"{count} {name}" for name, count in sorted(self._outcomes.items()))
            self._bar.update(self._task, advance=1, outcomes=tally, rate=f"{60 / each_s:.3g}/min")
            return
        left_s = each_s * (self._total - self._done)
        rate = f"  {60 / each_s:.3g}/min"
        self._write(
            f"[{self._done}/{self._total}] {name}  {outcome}  {detail}".rstrip()
            + (f"{rate}  {left_s:.0f} s left" if self._done < self._total else "")
        )

    def note(self, text: str) -> None:
        """A line between the episodes."""
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            self._write(text)

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
