"""Starts a simulator in another Python and asks it; starts it again once it was lost."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from xr0_sim.errors import ConfigError, PlantLostError
from xr0_sim.outside import process
from xr0_sim.outside.channel import Channel
from xr0_sim.wire import WireError

START_S = 600.0
"""Time for the first answer [s]: imports, compiled kernels and meshes; chosen."""
ANSWER_S = 120.0
"""Time for any other answer [s]; chosen."""
END_S = 5.0
"""Time that a process gets to end by itself [s]; chosen."""
TOLD_BYTES = 4096
"""How much of the end of standard error is looked at for a reason."""


class OutsideProcess:
    """A simulator of `xr0_sim.outside.simulator` in a process of its own.

    The two talk over a pair of connected sockets that nobody else can reach. The process is started
    at the first question and ends when the channel is closed or this process ends, however it ends.

    Args:
        python: Interpreter of the other environment.
        file: File with the simulator's class.
        name: The class.
        arguments: Its arguments, JSON values.
        environment: Variables that it gets beside ours.
        what: What it is, for messages.
        answer_s: Time for an answer [s]; the first one has `START_S`.
    """

    def __init__(
        self,
        python: str,
        file: Path,
        name: str,
        arguments: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
        what: str = "simulator",
        answer_s: float = ANSWER_S,
    ) -> None:
        self._words = (python, file, name, dict(arguments))
        self._environment = dict(environment or {})
        self._what, self._answer_s = what, answer_s
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._errors: IO[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it was started and has not been lost."""
        return self._channel is not None

    @property
    def pid(self) -> int | None:
        """Number of the process; None without one."""
        return None if self._process is None else self._process.pid

    def ask(self, call: str, **values: Any) -> dict[str, Any]:
        """The answer to a call.

        Raises:
            PlantLostError: The process has died, is stuck, or its simulator broke; the next call
                starts another one.
            ConfigError: It cannot be started, or refuses the call.
        """
        first = self._channel is None
        if self._channel is None:
            self._channel = self._start()
        limit_s = START_S if first else self._answer_s
        try:
            self._channel.send({"call": call, **values}, limit_s)
            answer = self._channel.receive(limit_s)
        except TimeoutError:
            self.close()
            raise PlantLostError(f"{self._what}: no answer within {limit_s:g} s") from None
        except (EOFError, OSError) as error:
            why = self._reason()
            self.close()
            if first:
                raise ConfigError(f"{self._what}: expected it to start, got {why}") from None
            raise PlantLostError(f"{self._what}: its process is gone, {why or error}") from None
        except WireError as error:
            self.close()
            raise PlantLostError(f"{self._what}: {error}") from None
        except BaseException:
            self.close()  # an answer that comes later would be taken for the next one's
            raise
        return self._read(answer, first)

    def close(self) -> None:
        """Ends the process; without effect if there is none."""
        channel, self._channel = self._channel, None
        running, self._process = self._process, None
        if channel is not None:
            channel.close()
        if running is not None:
            try:
                running.wait(END_S)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
        if self._errors is not None:
            self._errors.close()
            self._errors = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickles without the process; another one is started at the first question."""
        return {**self.__dict__, "_process": None, "_channel": None, "_errors": None}

    def __del__(self) -> None:
        if getattr(self, "_channel", None) is not None:
            self.close()

    def _start(self) -> Channel:
        try:
            import msgpack
        except ImportError:
            raise ConfigError(
                f"{self._what}: expected the package msgpack, found none; install the extra "
                'serve: pip install -c constraints.txt -e ".[serve]"'
            ) from None
        python, file, name, arguments = self._words
        if shutil.which(python) is None:
            raise ConfigError(f"{self._what}: expected a python interpreter, got {python!r}")
        ours, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        environment["PYTHONHASHSEED"] = "0"  # other projects walk over sets
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [
                        *(python, str(Path(process.__file__))),
                        *(str(theirs.fileno()), str(Path(__file__).parents[2])),
                        str(Path(msgpack.__file__).parents[1]),
                        *(str(file), name, json.dumps(arguments)),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    env=environment | self._environment,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,  # Ctrl-C is ours to deal with
                )
        except OSError as error:
            ours.close()
            raise ConfigError(f"{self._what}: expected {python} to start, got {error}") from None
        return Channel(ours)

    def _read(self, answer: Mapping[str, Any], first: bool) -> dict[str, Any]:
        if isinstance(answer.get("answer"), dict):
            return dict(answer["answer"])
        if "refused" in answer:
            if first:
                self.close()
            raise ConfigError(f"{self._what}: {answer['refused']}")
        self.close()
        why = answer.get("failed", f"expected an answer, got {', '.join(answer) or 'nothing'}")
        raise PlantLostError(f"{self._what}: {why}")

    def _reason(self) -> str:
        """The last line that the process wrote, and how it ended."""
        status, line = "", ""
        if self._process is not None:
            try:
                status = f"exit status {self._process.wait(END_S)}"
            except subprocess.TimeoutExpired:
                status = "a process that no longer listens"
        if self._errors is not None:
            size = self._errors.seek(0, os.SEEK_END)
            self._errors.seek(max(0, size - TOLD_BYTES))
            text = self._errors.read().decode("utf-8", "replace").strip()
            line = text.splitlines()[-1][:300] if text else ""
        return f"{status}: {line}" if line else status


def finite(values: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """An array of an answer as float64, checked.

    Raises:
        PlantLostError: No finite numbers of that shape; -1 stands for any length.
    """
    array = np.asarray(values, dtype=np.float64)
    fits = array.ndim == len(shape) and all(
        want in (-1, got) for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits or not np.isfinite(array).all():
        raise PlantLostError(f"{what}: expected finite numbers {shape}, got {array.shape}")
    return array
