"""Tasks over worker processes, or in this one; the same results either way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from xr0_sim.errors import ConfigError, Xr0SimError
from xr0_sim.registry import load_plugin, loaded_plugins

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event as StopFlag

_TaskT = TypeVar("_TaskT")
_ResultT = TypeVar("_ResultT")

MAX_WORKERS = 256
POLL_S = 0.2
"""How often a waiting parent looks up; keeps Ctrl-C responsive."""

_stop: StopFlag | None = None
"""Set once per worker process by `_start_worker`; None in the main process."""


def check_stop() -> None:
    """Ends the task of a worker when the user has interrupted; call it now and then.

    Raises:
        KeyboardInterrupt: The parent was interrupted.
    """
    if _stop is not None and _stop.is_set():
        raise KeyboardInterrupt


def _start_worker(stop: StopFlag, plugins: tuple[str, ...]) -> None:
    import signal

    # Before the first task is unpickled: its classes may be a plug-in's.
    for name in plugins:
        load_plugin(name)

    global _stop
    _stop = stop
    # The parent decides: a terminal sends Ctrl-C to the whole group, also to idle workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class TaskPool:
    """Runs functions over tasks; a context manager that keeps its processes between calls.

    Args:
        workers: Number of processes; 1 runs the tasks in this process.
    """

    def __init__(self, workers: int = 1) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise ConfigError(f"--workers: expected 1 .. {MAX_WORKERS}, got {workers}")
        self.workers = workers
        self._executor: ProcessPoolExecutor | None = None
        self._stop: StopFlag | None = None

    def __enter__(self) -> TaskPool:
        """Processes start at the first task."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the processes; running tasks are told to stop."""
        if self._executor is not None and self._stop is not None:
            self._stop.set()
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None

    def run(
        self, function: Callable[[_TaskT], _ResultT], tasks: Sequence[_TaskT]
    ) -> Iterator[tuple[_TaskT, _ResultT]]:
        """Yields (task, result) as they finish, in any order.

        Args:
            function: Importable by name, so that it can be sent to another process.
            tasks: Picklable arguments.

        Raises:
            KeyboardInterrupt: After the results that were finished by then have been yielded.
        """
        if self.workers == 1 or len(tasks) < 2:
            for task in tasks:
                yield task, function(task)
            return
        pool = self._start()
        futures = {pool.submit(function, task): task for task in tasks}
        interrupted = False
        while futures:
            try:
                done, _ = wait(futures, timeout=POLL_S, return_when=FIRST_COMPLETED)
            except KeyboardInterrupt:
                interrupted = True
                if self._stop is not None:
                    self._stop.set()
                for future in futures:
                    future.cancel()
                done, _ = wait(futures)
            for future in done:
                task = futures.pop(future)
                if not interrupted or _finished(future):
                    yield task, _result(future)
        if interrupted:
            raise KeyboardInterrupt

    def _start(self) -> ProcessPoolExecutor:
        import multiprocessing

        if self._executor is None:
            # fork hangs once the parent has drawn with EGL.
            context = multiprocessing.get_context("spawn")
            self._stop = context.Event()
            self._executor = ProcessPoolExecutor(
                self.workers,
                context,
                initializer=_start_worker,
                initargs=(self._stop, tuple(plugin.name for plugin in loaded_plugins())),
            )
        return self._executor


def _result(future: Future[_ResultT]) -> _ResultT:
    try:
        return future.result()
    except BrokenProcessPool:
        raise Xr0SimError(
            "a worker process died, most likely for want of memory; use fewer --workers"
        ) from None


def _finished(future: Future[Any]) -> bool:
    return not future.cancelled() and future.exception() is None
