"""Where inference runs beside the control loop: in a process of its own, or in a thread."""

from __future__ import annotations

import multiprocessing
import queue
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.shared_memory import SharedMemory
from typing import Any, Protocol

from experiments.realtime.mailbox import Layout, Mailbox, receive_line, send_line
from policies.table import policy_spec
from policies.xr0.checkpoints import Weights
from xr0_sim.errors import ConfigError, PolicyLostError, Xr0SimError
from xr0_sim.plugins import load_plugin, loaded_plugins
from xr0_sim.types import ActionChunk, ChunkModel, ChunkRequest, capabilities_of, infer_chunks

LOADING_S = 120.0
"""A process that says nothing for so long has not started; chosen."""

Answer = tuple[int, ActionChunk, int]
"""Inference number, chunk, and when it was there [ns of the monotonic clock]."""


class Inference(Protocol):
    """Answers requests while the control loop goes on.

    Attributes:
        horizon: Rows of a chunk.
        capabilities: What the model can do besides a prefix.
        process: Process that it runs in; None: that of the control loop.
    """

    horizon: int
    capabilities: frozenset[str]
    process: int | None

    def reset(self, episode_seed: int) -> None:
        """Tells the model that an episode begins."""

    def post(self, number: int, request: ChunkRequest) -> None:
        """Hands a request over and returns at once."""

    def poll(self) -> list[Answer]:
        """Answers that have come since the last call; never waits."""

    def close(self) -> None:
        """Ends it."""


def load_model(policy: str, weights: Weights | None) -> ChunkModel:
    """The chunk model of a policy, without an environment.

    Raises:
        ConfigError: It needs one.
    """
    spec = policy_spec(policy)
    if spec.rehearses:
        raise ConfigError(
            f"real time: expected a policy that answers from observations, got {policy!r}, which "
            "asks the simulator; choose xr0 or one of yours"
        )
    return spec.load(weights).bind(None)  # type: ignore[arg-type]  # beside the loop there is none


class ThreadInference:
    """The usual way: a thread of the control process, which shares its interpreter."""

    process: int | None = None

    def __init__(self, policy: str, weights: Weights | None) -> None:
        self._model = load_model(policy, weights)
        self.horizon = self._model.horizon
        self.capabilities = capabilities_of(self._model)
        self._asked: queue.SimpleQueue[tuple[int, ChunkRequest] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def reset(self, episode_seed: int) -> None:
        """See `Inference.reset`."""
        self._model.reset(episode_seed)

    def post(self, number: int, request: ChunkRequest) -> None:
        """See `Inference.post`."""
        self._asked.put((number, request))

    def poll(self) -> list[Answer]:
        """See `Inference.poll`."""
        found: list[Answer] = []
        while True:
            try:
                answer = self._answers.get_nowait()
            except queue.Empty:
                return found
            if isinstance(answer, BaseException):
                raise answer
            found.append(answer)

    def close(self) -> None:
        """See `Inference.close`."""
        self._asked.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            number, request = asked
            try:
                chunk = infer_chunks(self._model, request)[0]
                self._answers.put((number, chunk, time.monotonic_ns()))
            except BaseException as error:  # the control loop is to end with it
                self._answers.put(error)


class ProcessInference:
    """A process of its own; pictures and numbers go through shared memory.

    Args:
        policy: Text that names the policy.
        weights: Its network.
        layout: Mailbox, its horizon as large as that of the model.

    Raises:
        ConfigError: The policy cannot run there.
    """

    def __init__(self, policy: str, weights: Weights | None, layout: Layout) -> None:
        context = multiprocessing.get_context("spawn")
        self._memory = SharedMemory(create=True, size=layout.slots * layout.slot_bytes)
        self._pipe, far = context.Pipe()
        plugins = tuple(plugin.name for plugin in loaded_plugins())
        arguments = (far, self._memory.name, layout, policy, weights, plugins)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        self.process = self._process.pid
        far.close()
        self._mailbox = Mailbox(self._memory, layout)
        self._free, self._ticks = list(range(layout.slots)), dict[int, int]()
        try:
            ready = self._hear(LOADING_S)
            if ready["horizon"] != layout.horizon:
                raise ConfigError(
                    f"real time: expected a model of {layout.horizon} rows, got {ready['horizon']}"
                )
        except BaseException:
            self.close()
            raise
        self.horizon = layout.horizon
        self.capabilities = frozenset(ready["capabilities"])

    def reset(self, episode_seed: int) -> None:
        """See `Inference.reset`; answers to an earlier episode are thrown away."""
        while len(self._free) < self._mailbox.layout.slots:
            self._free.append(self._hear(LOADING_S)["slot"])
        send_line(self._pipe, {"reset": episode_seed})

    def post(self, number: int, request: ChunkRequest) -> None:
        """See `Inference.post`."""
        slot = self._free.pop()
        line = self._mailbox.write_request(slot, request)
        self._ticks[number] = line["tick"]
        send_line(self._pipe, {**line, "number": number})

    def poll(self) -> list[Answer]:
        """See `Inference.poll`."""
        found = []
        while self._pipe.poll():
            line = self._hear(0.0)
            number = line["number"]
            chunk = self._mailbox.read_answer(line["slot"], self._ticks.pop(number))
            self._free.append(line["slot"])
            found.append((number, chunk, line["done_ns"]))
        return found

    def close(self) -> None:
        """See `Inference.close`."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._memory.close()
        self._memory.unlink()

    def _hear(self, seconds: float) -> dict[str, Any]:
        try:
            if not self._pipe.poll(seconds):
                raise PolicyLostError(f"inference process: expected a word within {seconds:g} s")
            line = receive_line(self._pipe)
        except (EOFError, OSError) as error:
            raise PolicyLostError(
                f"inference process: expected an answer, it has ended ({error or 'no word'})"
            ) from error
        if "error" in line:
            raise ConfigError(line["error"])
        return line


def _serve(
    pipe: Connection,
    memory: str,
    layout: Layout,
    policy: str,
    weights: Weights | None,
    plugins: tuple[str, ...],
) -> None:
    """The inference process: loads, says that it is ready, answers until the pipe closes."""
    block = SharedMemory(memory, **_UNTRACKED)
    try:
        for name in plugins:
            load_plugin(name)
        _answer_all(pipe, Mailbox(block, layout), lambda: load_model(policy, weights))
    except (EOFError, OSError):
        pass  # the control loop has ended
    except Xr0SimError as error:
        send_line(pipe, {"error": str(error)})
    finally:
        block.close()


_UNTRACKED: dict[str, Any] = {"track": False} if sys.version_info >= (3, 13) else {}
"""The maker of a block cleans it up. Before 3.13 processes of one parent share the tracker that
would clean up otherwise."""


def _answer_all(pipe: Connection, mailbox: Mailbox, load: Callable[[], ChunkModel]) -> None:
    model = load()
    capabilities = sorted(capabilities_of(model))
    send_line(pipe, {"horizon": model.horizon, "capabilities": capabilities})
    while True:
        line = receive_line(pipe)
        if "reset" in line:
            model.reset(line["reset"])
            continue
        chunk = infer_chunks(model, mailbox.read_request(line))[0]
        mailbox.write_answer(line["slot"], chunk)
        told = {"slot": line["slot"], "number": line["number"], "done_ns": time.monotonic_ns()}
        send_line(pipe, told)
