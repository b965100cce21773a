"""One line of the doctor's report, and how a missing part of this package is installed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Status = Literal["ok", "note", "warn", "fail"]
CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        name: What was looked at.
        status: ``ok``, ``note`` (absent, not needed), ``warn`` (something optional is missing) or
            ``fail`` (the core is broken).
        detail: What was found.
        remedy: What to install or do; empty if nothing.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def install_command(extra: str = "test", tested_set: bool = True) -> str:
    """How an extra is installed: from a clone with the tested set of versions, else by name.

    Args:
        extra: Its name.
        tested_set: Whether it fits into the tested set.
    """
    if not CONSTRAINTS.is_file():
        return f'pip install "xr0-sim[{extra}]"'
    pins = "-c constraints.txt " if tested_set else ""
    return f'pip install {pins}-e ".[{extra}]"'
