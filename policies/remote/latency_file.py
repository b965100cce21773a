"""Measured latencies of a remote policy, as the CSV file that ``--latency trace:path=`` replays."""

from __future__ import annotations

from pathlib import Path

from xr0_sim.errors import not_written

HEADER = "latency_ms,infer_ms,wait_ms"
"""Round trip as the client sees it; computing and waiting as the server says, or empty."""


class LatencyFile:
    """Appends one row an inference; several processes may share a file.

    Args:
        path: The file; begun with a header if it is not there.

    Raises:
        StorageError: It cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path).expanduser()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(self._path, "x", encoding="utf-8") as file:
                    file.write(f"{HEADER}\n")
            except FileExistsError:
                self._path.open("a").close()
        except OSError as error:
            raise not_written(self._path, error) from None

    def add(self, seconds: float, timing: object) -> None:
        """One inference.

        Args:
            seconds: Its round trip [s].
            timing: ``server_timing`` of the answer; anything else is left out.
        """
        said = timing if isinstance(timing, dict) else {}
        cells = [1e3 * seconds, said.get("infer_ms"), said.get("wait_ms")]
        row = ",".join(f"{cell:.3f}" if isinstance(cell, int | float) else "" for cell in cells)
        try:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(f"{row}\n")
        except OSError as error:
            raise not_written(self._path, error) from None
