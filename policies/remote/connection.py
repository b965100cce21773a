"""A client's connection to a policy server: patient while it begins, strict once it is used."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from policies.remote.authorization import HEADER, KEY_VARIABLE, header_value
from xr0_sim.errors import ConfigError, PolicyLostError
from xr0_sim.wire import DEFAULT_MAX_BYTES, WireError, unpack

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

PAUSES_S = (0.1, 2.0)
"""Shortest and longest pause between two tries to connect; it doubles; chosen."""
PONG_S = 5.0
"""Time for a pong; chosen."""


class Connection:
    """One websocket to a policy server, opened again by `open` after it was lost.

    Args:
        url: ``ws://host:port`` or ``wss://host:port``.
        api_key: Key to send; None for none.
        connect_s: Time for opening it, all tries together [s].
        answer_s: Time for an answer [s].
        max_bytes: Largest frame of the server.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        connect_s: float = 10.0,
        answer_s: float = 60.0,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.url = url
        self._headers = {HEADER: header_value(api_key)} if api_key else {}
        self._connect_s, self._answer_s, self._max_bytes = connect_s, answer_s, max_bytes
        self._stack = ExitStack()
        self._socket: ClientConnection | None = None

    def open(self) -> dict[str, Any]:
        """Connects, trying again for a while; the metadata that the server sends.

        Raises:
            ConfigError: There is no policy server, or it does not admit us.
        """
        self.close()
        deadline = time.monotonic() + self._connect_s
        pause, longest = PAUSES_S
        while True:
            try:
                return self._open(max(deadline - time.monotonic(), pause))
            except (OSError, EOFError, _ServerBusyError) as error:
                self.close()
                if time.monotonic() + pause > deadline:
                    raise ConfigError(
                        f"remote policy {self.url}: expected a policy server, got "
                        f"{_words(error)}; start one, e.g. with xr0-sim serve, and run the same "
                        "command again"
                    ) from None
            except BaseException:
                self.close()
                raise
            time.sleep(pause)
            pause = min(2 * pause, longest)

    def alive(self) -> bool:
        """Whether the server still answers a ping."""
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            return False
        try:
            return self._socket.ping().wait(PONG_S) and self._socket.close_code is None
        except ConnectionClosed:
            return False

    def ask(self, frame: bytes) -> dict[str, Any]:
        """The answer to a frame.

        Raises:
            PolicyLostError: The connection broke or no answer came in time; it is closed then.
            ConfigError: The server refused the frame, or its answer is none.
        """
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            raise PolicyLostError(f"remote policy {self.url}: the connection was lost")
        try:
            self._socket.send(frame)
            answer = self._socket.recv(timeout=self._answer_s)
        except TimeoutError:
            self.close()
            raise PolicyLostError(
                f"remote policy {self.url}: no answer within {self._answer_s:g} s"
            ) from None
        except (ConnectionClosed, OSError) as error:
            self.close()
            raise PolicyLostError(f"remote policy {self.url}: {_words(error)}") from None
        except BaseException:
            self.close()  # an answer that comes later would be taken for the next one's
            raise
        if isinstance(answer, str):
            raise ConfigError(f"remote policy {self.url}: {_last_line(answer)}")
        return self._read(answer)

    def close(self) -> None:
        """Closes it; without effect if it is closed."""
        self._socket = None
        self._stack.close()

    def _open(self, timeout_s: float) -> dict[str, Any]:
        from websockets.exceptions import (
            ConnectionClosed,
            InvalidHandshake,
            InvalidStatus,
            InvalidURI,
        )
        from websockets.sync.client import connect

        try:
            socket: ClientConnection = self._stack.enter_context(
                connect(
                    self.url,
                    additional_headers=self._headers,
                    compression=None,
                    proxy=None,
                    open_timeout=timeout_s,
                    close_timeout=1.0,
                    # A server that infers in its event loop, as openpi's does, answers no ping.
                    ping_interval=None,
                    max_size=self._max_bytes,
                )
            )
            first = socket.recv(timeout=timeout_s)
        except InvalidURI as error:
            raise ConfigError(
                f"remote policy {self.url}: expected ws://host:port; {error}"
            ) from None
        except InvalidStatus as error:
            status = error.response.status_code
            if status == 503:
                raise _ServerBusyError("HTTP 503, too many clients") from None
            todo = f"set {KEY_VARIABLE} to its key" if status in (401, 403) else "look at the url"
            raise ConfigError(
                f"remote policy {self.url}: expected a policy server, got HTTP {status}; {todo}"
            ) from None
        except (InvalidHandshake, ConnectionClosed) as error:
            raise EOFError(_words(error)) from None
        if isinstance(first, str):
            raise ConfigError(f"remote policy {self.url}: {_last_line(first)}")
        self._socket = socket
        return self._read(first)

    def _read(self, frame: bytes) -> dict[str, Any]:
        try:
            return unpack(frame)
        except WireError as error:
            self.close()
            raise ConfigError(
                f"remote policy {self.url}: expected a frame of openpi's protocol, {error}"
            ) from None


class _ServerBusyError(Exception):
    """The server is there and has no room yet."""


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "a time-out" if isinstance(error, TimeoutError) else text


def _last_line(text: str) -> str:
    """The end of a message, of which other servers make a whole traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "an error without words"
