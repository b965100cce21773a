"""Metrics of a training run as JSON lines, one object a line, and progress with an ETA."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from xr0_sim.atomic import write_bytes
from xr0_sim.errors import ConfigError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """Appends metric rows to ``metrics.jsonl`` and prints one line for each.

    Args:
        directory: Output directory of the run.
        total_steps: Length of the run, for the ETA.
        show: Receives progress lines.
        tensorboard: Also write TensorBoard event files into ``directory/tensorboard``.

    Raises:
        ConfigError: TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        directory: Path,
        total_steps: int,
        show: Callable[[str], None],
        tensorboard: bool = False,
    ) -> None:
        self.path = directory / "metrics.jsonl"
        self._board = _board(directory / "tensorboard") if tensorboard else None
        self._total = total_steps
        self._show = show
        self._started: tuple[int, float] | None = None

    def rewind(self, step: int) -> None:
        """Drops rows after ``step``: a resumed run writes them again."""
        if not self.path.exists():
            return
        kept = []
        for line in self.path.read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the half line of a killed process
            if row["step"] <= step:
                kept.append(line)
        write_bytes(self.path, "".join(line + "\n" for line in kept).encode())

    def write(self, step: int, row: Mapping[str, float]) -> None:
        """Appends one row and prints it with the remaining time."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")
        if self._board is not None:
            for name, value in row.items():
                self._board.add_scalar(name, value, step)
            self._board.flush()
        if self._started is None:
            self._started = (step, time.monotonic())
        first, since = self._started
        elapsed = time.monotonic() - since
        eta = ""
        if step > first:
            rate = (step - first) / elapsed
            eta = f"  {rate:.2f} steps/s  eta {(self._total - step) / rate / 60:.1f} min"
        values = "  ".join(f"{name} {value:.4g}" for name, value in row.items())
        self._show(f"step {step}/{self._total}  {values}{eta}")


def _board(directory: Path) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "--tensorboard: expected the package tensorboard, which is not installed; "
            "pip install tensorboard, or read metrics.jsonl"
        ) from error
    return SummaryWriter(str(directory))


def read_metrics(directory: Path) -> list[dict[str, float]]:
    """All metric rows of a run."""
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
