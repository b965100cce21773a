"""Frames over a stream socket: four bytes of length, most significant first, then the frame."""

from __future__ import annotations

import socket
import struct
import time
from typing import Any

from xr0_sim.wire import DEFAULT_MAX_BYTES, WireError, pack, unpack

LENGTH = struct.Struct(">I")


class Channel:
    """One end of a connected stream socket that carries maps of `xr0_sim.wire`.

    Args:
        stream: The socket; closed with the channel.
        max_bytes: Largest frame, in both directions.
    """

    def __init__(self, stream: socket.socket, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._stream, self._max_bytes = stream, max_bytes

    def send(self, value: dict[str, Any], timeout_s: float | None = None) -> None:
        """Sends one map.

        Raises:
            WireError: It cannot be written, or is too large; nothing was sent then.
            OSError: The other end is gone, or takes nothing for `timeout_s` [s].
        """
        frame = pack(value)
        if len(frame) > self._max_bytes:
            raise WireError(
                f"frame: expected at most {self._max_bytes} bytes, got {len(frame)} to send"
            )
        self._stream.settimeout(timeout_s)
        self._stream.sendall(LENGTH.pack(len(frame)) + frame)

    def receive(self, timeout_s: float | None = None) -> dict[str, Any]:
        """The next map.

        Args:
            timeout_s: Time for the whole of it [s]; None waits for ever.

        Raises:
            EOFError: The other end has closed.
            TimeoutError: It did not come in time.
            WireError: It is too large, or no map that the wire allows.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, deadline))
        if not 0 < length <= self._max_bytes:
            raise WireError(f"frame: expected 1 .. {self._max_bytes} bytes, got {length}")
        return unpack(self._exactly(length, deadline))

    def close(self) -> None:
        """Closes the socket."""
        self._stream.close()

    def _exactly(self, count: int, deadline: float | None) -> bytes:
        data = bytearray(count)
        view, have = memoryview(data), 0
        while have < count:
            if deadline is not None:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("timed out")
                self._stream.settimeout(left)
            else:
                self._stream.settimeout(None)
            got = self._stream.recv_into(view[have:])
            if not got:
                raise EOFError("the connection was closed")
            have += got
        return bytes(data)
