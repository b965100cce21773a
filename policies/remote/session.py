"""One client's talk with a policy: a frame in, a frame out; knows no network."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from policies.remote.description import Description
from policies.remote.messages import answer_message, read_request
from xr0_sim.errors import ConfigError, Xr0SimError
from xr0_sim.types import ChunkModel, ChunkRequest, infer_chunks
from xr0_sim.wire import WireError, pack, unpack

_log = logging.getLogger(__name__)

POLICY_FAILED = "the policy failed; the log of its server says why"
"""All that a client hears of an error that is not its own."""
LATENCIES_KEPT = 200
"""Inferences whose latency a server remembers; chosen."""


@dataclass(frozen=True)
class ServedPolicy:
    """A loaded policy, ready for clients.

    Attributes:
        bind: Makes the chunk model of one client.
        description: What clients are told.
    """

    bind: Callable[[], ChunkModel]
    description: Description


@dataclass(frozen=True)
class Reply:
    """What a client gets.

    Attributes:
        frame: Bytes for an answer, text for a refusal.
        broken: Whether the policy failed for a reason that is not the client's.
    """

    frame: bytes | str
    broken: bool = False


class LatencyRecord:
    """Computing times of the last inferences of all clients."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=LATENCIES_KEPT)

    def add(self, seconds: float) -> None:
        """Takes note of an inference [s]."""
        self._seconds.append(seconds)

    def summary(self) -> dict[str, float]:
        """``n`` and, if there was one, ``median`` and ``p95`` [ms]."""
        milliseconds = 1e3 * np.array(self._seconds)
        if not len(milliseconds):
            return {"n": 0}
        median, p95 = np.quantile(milliseconds, [0.5, 0.95])
        return {"n": len(milliseconds), "median": float(median), "p95": float(p95)}


class Session:
    """Answers the frames of one client with a chunk model of its own.

    Args:
        served: The policy.
        latencies: Where computing times are noted.
    """

    def __init__(self, served: ServedPolicy, latencies: LatencyRecord) -> None:
        self._model = served.bind()
        self._description = served.description
        self._latencies = latencies
        self._begun = False
        self._count = 0

    def answer(self, frame: bytes | str, received_s: float) -> Reply:
        """Answers one frame; raises nothing.

        Args:
            frame: As it came.
            received_s: When it came, on the clock of `time.perf_counter` [s].
        """
        try:
            return Reply(self._answer(frame, received_s))
        except Xr0SimError as error:
            return Reply(f"refused: {' '.join(str(error).split())}")
        except Exception:
            _log.exception("the policy failed")
            return Reply(POLICY_FAILED, broken=True)

    def _answer(self, frame: bytes | str, received_s: float) -> bytes:
        if isinstance(frame, str):
            raise WireError("frame: expected a binary one, got text")
        incoming = read_request(unpack(frame), self._description.views)
        request = incoming.request
        if not incoming.counted:
            request = replace(request, noise_seed=(incoming.reset or 0, self._count))
        self._check(request)
        if incoming.reset is not None or not self._begun:
            self._begun = True
            self._model.reset(request.noise_seed[0] if incoming.reset is None else incoming.reset)
        self._count += 1
        started_s = time.perf_counter()
        chunks = infer_chunks(self._model, request)
        infer_s = time.perf_counter() - started_s
        self._latencies.add(infer_s)
        timing = {"infer_ms": 1e3 * infer_s, "wait_ms": 1e3 * (started_s - received_s)}
        return pack(answer_message(chunks, timing))

    def _check(self, request: ChunkRequest) -> None:
        missing = sorted(request.needs - self._description.capabilities)
        if missing:
            raise ConfigError(f"expected a request without {', '.join(missing)}; the policy cannot")
        horizon = self._model.horizon
        guided = 0 if request.guide is None else len(request.guide.actions)
        for name, rows in (("prefix", len(request.prefix)), ("guide", guided)):
            if rows > horizon:
                raise ConfigError(f"{name}: expected at most {horizon} rows, a chunk, got {rows}")
