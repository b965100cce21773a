"""The page of a live session: a small server on loopback that streams frames and takes orders.

Nothing but this machine's own page is served: requests must name this host, orders must be JSON
(which a foreign page cannot send without being asked first), and both must carry the token of the
printed address.
"""

from __future__ import annotations

import json
import queue
import secrets
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from xr0_sim.errors import ConfigError

HOST = "127.0.0.1"
PAGE = Path(__file__).with_name("live_page.html")
SCRIPTS = (Path(__file__).parents[1] / "report" / "scene.js", Path(__file__).with_name("live.js"))
LONGEST_ORDER = 4096
"""Bytes of an order."""
WAITING_FRAMES = 30
"""Messages that a slow browser may be behind; older ones are dropped."""
MOST_VIEWERS = 8
QUIET_S = 5.0
"""After so long without a message the stream says that it is alive."""
POLICY = (
    "default-src 'none'; script-src 'nonce-{0}'; style-src 'unsafe-inline'; connect-src 'self'; "
    "img-src data:"
)
"""What the page may load: its own script, its own stream."""


class Viewers:
    """Everybody who looks; messages go to all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: list[queue.Queue[Mapping[str, Any]]] = []

    def publish(self, message: Mapping[str, Any]) -> None:
        """Hands a message on; whoever is behind loses its oldest frame, never a scene."""
        with self._lock:
            for waiting in self._queues:
                if waiting.full():
                    kept = [m for m in _drain(waiting) if "frame" not in m]
                    for message_kept in kept[-WAITING_FRAMES // 2 :]:
                        waiting.put_nowait(message_kept)
                waiting.put_nowait(message)

    def join(self) -> queue.Queue[Mapping[str, Any]] | None:
        """A queue of one's own; None if there are too many."""
        with self._lock:
            if len(self._queues) >= MOST_VIEWERS:
                return None
            waiting: queue.Queue[Mapping[str, Any]] = queue.Queue(WAITING_FRAMES)
            self._queues.append(waiting)
            return waiting

    def leave(self, waiting: queue.Queue[Mapping[str, Any]]) -> None:
        """Gives the queue back."""
        with self._lock:
            self._queues.remove(waiting)


def _drain(waiting: queue.Queue[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found = []
    while True:
        try:
            found.append(waiting.get_nowait())
        except queue.Empty:
            return found


class LiveServer:
    """Serves one session on loopback.

    Args:
        port: Port; 0 for a free one.
        present: What a new viewer is told first: messages with the scene and the present frame.
        order: Takes what viewers ask for.
        viewers: Who is told what happens.

    Raises:
        ConfigError: The port cannot be had.
    """

    def __init__(
        self,
        port: int,
        present: Callable[[], list[Mapping[str, Any]]],
        order: Callable[[Mapping[str, Any]], None],
        viewers: Viewers,
    ) -> None:
        self.token = secrets.token_urlsafe(16)
        self.present, self.order, self.viewers = present, order, viewers
        try:
            self._server = ThreadingHTTPServer((HOST, port), _handler(self))
        except OSError as error:
            raise ConfigError(f"--port {port}: expected a free port, got {error}") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{HOST}:{self.port}/?token={self.token}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(live: LiveServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            if not self._allowed(parse_qs(place.query).get("token", [""])[0]):
                return
            if place.path == "/":
                self._page()
            elif place.path == "/stream":
                self._stream()
            else:
                self._answer(HTTPStatus.NOT_FOUND, "no such page")

        def do_POST(self) -> None:
            if not self._allowed(self.headers.get("X-Token", "")):
                return
            # What is refused is not read, so that the rest of it is no next request.
            self.close_connection = True
            if self.headers.get_content_type() != "application/json":
                self._answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected application/json")
                return
            length = self.headers.get("Content-Length", "")
            # Not isdigit, which takes superscripts for digits.
            if not length.isdecimal() or len(length) > 9 or int(length) > LONGEST_ORDER:
                self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LONGEST_ORDER} bytes")
                return
            try:
                order = json.loads(self.rfile.read(int(length)))
            except (ValueError, RecursionError):
                order = None
            if urlsplit(self.path).path != "/order" or not isinstance(order, dict):
                self._answer(HTTPStatus.BAD_REQUEST, "expected one JSON object at /order")
                return
            live.order(order)
            self._answer(HTTPStatus.OK, "")

        def _allowed(self, token: str) -> bool:
            """A foreign page reaches this port under another name, and does not know the token."""
            hosts = {f"{name}:{live.port}" for name in (HOST, "localhost")}
            known = secrets.compare_digest(token.encode(), live.token.encode())
            if self.headers.get("Host") in hosts and known:
                return True
            self.close_connection = True
            self._answer(HTTPStatus.FORBIDDEN, "open the address that watch printed")
            return False

        def _page(self) -> None:
            nonce = secrets.token_urlsafe(12)
            script = "\n".join(file.read_text(encoding="utf-8") for file in SCRIPTS)
            page = PAGE.read_text(encoding="utf-8")
            page = page.replace("{{ nonce }}", nonce).replace("{{ token }}", live.token)
            text = page.replace("{{ script }}", script)
            self._answer(HTTPStatus.OK, text, "text/html; charset=utf-8", nonce)

        def _stream(self) -> None:
            waiting = live.viewers.join()
            if waiting is None:
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"at most {MOST_VIEWERS} viewers")
                return
            self.close_connection = True
            try:
                self.send_response(HTTPStatus.OK)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                for message in live.present():
                    self._send(message)
                while True:
                    try:
                        self._send(waiting.get(timeout=QUIET_S))
                    except queue.Empty:
                        self.wfile.write(b": alive\n\n")
            except OSError:
                pass  # the viewer has left
            finally:
                live.viewers.leave(waiting)

        def _send(self, message: Mapping[str, Any]) -> None:
            text = json.dumps(message, separators=(",", ":"), allow_nan=False)
            self.wfile.write(f"data: {text}\n\n".encode())
            self.wfile.flush()

        def _answer(
            self, status: HTTPStatus, text: str, kind: str = "text/plain", nonce: str = ""
        ) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            if nonce:
                self.send_header("Content-Security-Policy", POLICY.format(nonce))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing on the terminal."""

    return Handler
