"""Serves a policy over a websocket, with openpi's protocol.

A client is sent the metadata, then every binary frame it sends is answered by one: the actions, or
a line of text that says what is wrong with the request; the connection stays open. Only a policy
that fails for a reason of its own ends it. All clients share one policy thread, each has a chunk
model of its own; a client has one request under way, so they take turns.
"""

from __future__ import annotations

import asyncio
import http
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from policies.remote.authorization import HEADER, admits
from policies.remote.session import POLICY_FAILED, LatencyRecord, ServedPolicy, Session
from xr0_sim.errors import ConfigError
from xr0_sim.wire import DEFAULT_MAX_BYTES, pack

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

ResultT = TypeVar("ResultT")

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 8000
"""Port of openpi's own server."""
DEFAULT_MAX_CLIENTS = 16
HEALTH_PATH = "/healthz"
"""Answered with 200 to everybody, as openpi's own server does."""
HANDSHAKE_S = 10.0
"""Time for a handshake, and for a pong; chosen."""
PING_S = 20.0
"""Time between pings: a client that stops in the middle of a frame cannot answer one."""
GRACE_S = 10.0
"""Time that inferences under way have when the server stops; chosen."""

_log = logging.getLogger(__name__)
_quiet = logging.getLogger(f"{__name__}.websockets")
_quiet.setLevel(logging.CRITICAL)  # what a stranger sends is no error of the server


class PolicyServer:
    """A served policy; a context manager that listens within its block.

    Args:
        load: Loads the policy; called in the thread that runs it, since the number of threads that
            torch sums with belongs to a thread.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        api_key: Key that clients have to send; None for none.
        max_bytes: Largest frame of a client.
        max_clients: Clients at a time; others are told to come later.

    Attributes:
        served: The policy, from `start` on.
        port: Port it listens on, from `start` on.
        latencies: Computing times of the last inferences.
    """

    def __init__(
        self,
        load: Callable[[], ServedPolicy],
        host: str = LOOPBACK,
        port: int = DEFAULT_PORT,
        api_key: str | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_clients: int = DEFAULT_MAX_CLIENTS,
    ) -> None:
        self.host, self.port = host, port
        self.latencies = LatencyRecord()
        self._load, self._api_key = load, api_key
        self._max_bytes, self._max_clients = max_bytes, max_clients
        self._clients = 0
        self._turns: set[asyncio.Task[None]] = set()
        self._policy = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._ready: Future[int] = Future()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}"

    @property
    def stopped(self) -> bool:
        """Whether it has listened and does so no more."""
        return self._ready.done() and self._thread is None

    def start(self) -> PolicyServer:
        """Loads the policy and listens.

        Raises:
            ConfigError: The address cannot be used.
        """
        try:
            self.served = self._policy.submit(self._load).result()
            self._thread = threading.Thread(target=self._run, name="policy server", daemon=True)
            self._thread.start()
            self.port = self._ready.result()
        except BaseException:
            self._policy.shutdown(wait=False)
            raise
        return self

    def stop(self) -> None:
        """Lets inferences under way be answered, tells every client and stops listening."""
        if self._thread is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None
        self._policy.shutdown()

    def __enter__(self) -> PolicyServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def metadata(self) -> dict[str, Any]:
        """First frame of a connection: the description, and latencies so far [ms]."""
        return self.served.description.message() | {"latency_ms": self.latencies.summary()}

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(self._cannot_listen(error))

    def _cannot_listen(self, error: BaseException) -> BaseException:
        if not isinstance(error, OSError | OverflowError):
            return error
        reason = getattr(error, "strerror", None) or str(error)
        return ConfigError(
            f"server: expected to listen on {self.host}:{self.port}, got {reason}; choose another "
            "--port or --host"
        )

    async def _listen(self) -> None:
        from websockets.asyncio.server import serve

        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        async with serve(
            self._attend,
            self.host,
            self.port,
            origins=[None],  # a page in a browser says its origin, a program says none
            compression=None,
            process_request=self._admit,
            open_timeout=HANDSHAKE_S,
            ping_interval=PING_S,
            ping_timeout=HANDSHAKE_S,
            close_timeout=HANDSHAKE_S / 2,
            max_size=self._max_bytes,
            max_queue=1,
            server_header=None,
            logger=_quiet,
        ) as listening:
            self._ready.set_result(listening.sockets[0].getsockname()[1])
            await self._stopping.wait()
            if self._turns:
                await asyncio.wait(self._turns, timeout=GRACE_S)

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == HEALTH_PATH:
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if not admits(self._api_key, request.headers.get(HEADER)):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong API key\n")
        if self._clients >= self._max_clients or self._stopping.is_set():
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "come later\n")
        return None

    async def _attend(self, connection: ServerConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._clients += 1
        _log.info("client %s came", connection.remote_address)
        try:
            session = await self._begin(connection)
            if session is None:
                return
            async for frame in connection:
                turn = asyncio.create_task(self._take_turn(connection, session, frame))
                self._turns.add(turn)
                turn.add_done_callback(self._turns.discard)
                await turn
        except ConnectionClosed:
            pass
        finally:
            self._clients -= 1
            _log.info("client %s left", connection.remote_address)

    async def _begin(self, connection: ServerConnection) -> Session | None:
        """A session, after its client was told of the policy; None if the policy failed."""
        try:
            session = await self._in_policy_thread(lambda: Session(self.served, self.latencies))
        except Exception:
            _log.exception("the policy could not be bound")
            await connection.send(POLICY_FAILED)
            await connection.close(1011, "the policy failed")
            return None
        await connection.send(pack(self.metadata()))
        return session

    async def _take_turn(
        self, connection: ServerConnection, session: Session, frame: bytes | str
    ) -> None:
        received_s = time.perf_counter()
        reply = await self._in_policy_thread(lambda: session.answer(frame, received_s))
        await connection.send(reply.frame)
        if reply.broken:
            await connection.close(1011, "the policy failed")

    async def _in_policy_thread(self, work: Callable[[], ResultT]) -> ResultT:
        return await self._loop.run_in_executor(self._policy, work)
