"""A policy in another process behind the runtime's chunk port."""

from __future__ import annotations

import time

from numpy.typing import NDArray

from policies.remote.connection import Connection
from policies.remote.description import Description
from policies.remote.latency_file import LatencyFile
from policies.remote.messages import read_answer, request_message
from xr0_sim.errors import ConfigError
from xr0_sim.types import ActionChunk, ChunkRequest, Observation
from xr0_sim.wire import WireError, pack


class RemoteChunkModel:
    """Implements `xr0_sim.types.RequestChunkModel` by asking a server.

    How long an answer really takes decides nothing: the executor delivers it after the latency it
    drew. A connection that breaks within an episode makes the episode invalid; the next one
    connects again.

    Args:
        connection: Open connection.
        description: What its server offers, with a horizon.
        latencies: Where round trips are written; None for nowhere.
    """

    def __init__(
        self,
        connection: Connection,
        description: Description,
        latencies: LatencyFile | None = None,
    ) -> None:
        if description.horizon is None:
            raise ConfigError(
                f"remote policy {connection.url}: expected metadata with a horizon, got none; say "
                "it, e.g. --policy remote:horizon=30"
            )
        self.horizon = description.horizon
        self.capabilities = description.capabilities
        self.needs_images = bool(description.views)
        self.remembers = description.remembers
        self._connection, self._description = connection, description
        self._latencies = latencies
        self._reset: int | None = None

    def reset(self, episode_seed: int) -> None:
        """Connects again if the connection is lost; the next request tells the seed.

        Raises:
            ConfigError: The server is gone, or another policy answers.
        """
        self._reset = episode_seed
        if not self._connection.alive():
            found = Description.read(self._connection.open()).completed(self.horizon)
            if found != self._description:
                self._connection.close()
                raise ConfigError(
                    f"remote policy {self._connection.url}: expected {self._description.words}, "
                    f"got {found.words} after it was lost; serve the one that began the run"
                )

    def infer(
        self,
        observation: Observation,
        prefix: NDArray,
        noise_seed: tuple[int, int],
    ) -> ActionChunk:
        """See `xr0_sim.types.ChunkModel.infer`."""
        return self.infer_request(ChunkRequest(observation, prefix, noise_seed))[0]

    def infer_request(self, request: ChunkRequest) -> tuple[ActionChunk, ...]:
        """See `xr0_sim.types.RequestChunkModel.infer_request`.

        Raises:
            PolicyLostError: The server no longer answers.
            ConfigError: It refuses the request, or answers something else.
        """
        missing = sorted(request.needs - self.capabilities)
        if missing:
            raise ConfigError(
                f"remote policy {self._connection.url}: expected a request without "
                f"{', '.join(missing)}, which its server does not know; use another strategy"
            )
        frame = pack(request_message(request, self._description.views, self._reset))
        started_s = time.perf_counter()
        answer = self._connection.ask(frame)
        if self._latencies is not None:
            self._latencies.add(time.perf_counter() - started_s, answer.get("server_timing"))
        self._reset = None
        try:
            return read_answer(answer, request)
        except WireError as error:
            raise ConfigError(f"remote policy {self._connection.url}: {error}") from None
