"""Tasks over worker processes, or in this one; the same results either way."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from multiprocessing import connection
from types import TracebackType
from typing import Any, TypeVar

from experiments.runner.interruption import check_interrupted, hurried_by, shielded
from xr0_sim.errors import ConfigError, Xr0SimError
from xr0_sim.plugins import load_plugin, loaded_plugins

_TaskT = TypeVar("_TaskT")
_ResultT = TypeVar("_ResultT")

MAX_WORKERS = 256
POLL_S = 0.2
"""How often a waiting parent looks up; keeps Ctrl-C responsive."""
GRACE_S = 30.0
"""How long workers may take to end their tasks after an interrupt before they are killed [s]."""

_stop: Any = None
"""A shared flag, set once per worker process by `_start_worker`; None in the main process."""


def check_stop() -> None:
    """Ends a task when the user has interrupted; call it now and then.

    Raises:
        KeyboardInterrupt: The parent, or this process itself, was interrupted.
    """
    if _stop is None:
        check_interrupted()
    elif _stop.value:
        raise KeyboardInterrupt


def _start_worker(stop: Any, plugins: tuple[str, ...]) -> None:
    global _stop
    _stop = stop
    # The parent decides: a terminal sends Ctrl-C and its end to the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    # Before the first task is unpickled: its classes may be a plug-in's.
    for name in plugins:
        load_plugin(name)


def _end_with_parent() -> None:
    """Waits until the parent process is gone, however it went, and ends this one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


class TaskPool:
    """Runs functions over tasks; a context manager that keeps its processes between calls.

    The processes end with this one, also when this one is killed.

    Args:
        workers: Number of processes; 1 runs the tasks in this process.
        deaths: How often in a row, without a result in between, processes may die under their
            tasks; what was under way is run again by new ones.
    """

    def __init__(self, workers: int = 1, deaths: int = 0) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise ConfigError(f"--workers: expected 1 .. {MAX_WORKERS}, got {workers}")
        self.workers, self.deaths = workers, deaths
        self._executor: ProcessPoolExecutor | None = None
        self._stop: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> TaskPool:
        """Processes start at the first task."""
        self._stack.enter_context(hurried_by(self._kill))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the processes; running tasks are told to stop, and killed if they do not."""
        with shielded(), self._stack:
            if self._executor is not None:
                self._stop.value = True
                with self._patience():
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
        futures = self._submit(function, tasks)
        interrupted, died = False, 0
        while futures:
            try:
                done, _ = wait(futures, timeout=POLL_S, return_when=FIRST_COMPLETED)
                check_interrupted()
            except KeyboardInterrupt:
                interrupted = True
                done = self._wind_up(futures)
            lost = []
            for future in done:
                task = futures.pop(future)
                if not interrupted and _died(future):
                    lost.append(task)
                elif not interrupted or _finished(future):
                    yield task, future.result()
                    died = 0
            if lost:
                died += 1
                if died > self.deaths:
                    raise Xr0SimError(
                        "a worker process died: expected room for it, and a script that starts "
                        "workers only below if __name__ == '__main__'; use fewer workers, or put "
                        "the run there"
                    )
                # Its executor is broken: none of what waits there will run.
                lost += [task for future, task in futures.items() if not _answered(future)]
                answered = {future: task for future, task in futures.items() if _answered(future)}
                if self._executor is not None:
                    self._executor.shutdown(wait=False)
                self._executor = None
                futures = {**answered, **self._submit(function, lost)}
        if interrupted:
            raise KeyboardInterrupt

    def _submit(
        self, function: Callable[[_TaskT], _ResultT], tasks: Sequence[_TaskT]
    ) -> dict[Future[_ResultT], _TaskT]:
        pool = self._start()
        futures: dict[Future[_ResultT], _TaskT] = {}
        for task in tasks:
            try:
                future = pool.submit(function, task)
            except BrokenProcessPool as error:  # a process has died already
                future = Future()
                future.set_exception(error)
            futures[future] = task
        return futures

    def _wind_up(self, futures: Any) -> set[Future[Any]]:
        """Asks the workers to stop and waits for them; all of ``futures`` are done then."""
        with shielded():
            self._stop.value = True
            for future in futures:
                future.cancel()
            with self._patience():
                return wait(futures).done

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """A block after whose time limit the workers are killed."""
        timer = threading.Timer(GRACE_S, self._kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill(self) -> None:
        """Ends the worker processes at once; their tasks fail."""
        if self._executor is not None:
            for process in multiprocessing.active_children():
                process.kill()

    def _start(self) -> ProcessPoolExecutor:
        if self._executor is None:
            # fork hangs once the parent has drawn with EGL.
            context = multiprocessing.get_context("spawn")
            # Without a lock: a worker that dies while it holds one would stop all others.
            self._stop = context.RawValue(ctypes.c_bool, False)
            self._executor = ProcessPoolExecutor(
                self.workers,
                context,
                initializer=_start_worker,
                initargs=(self._stop, tuple(plugin.name for plugin in loaded_plugins())),
            )
        return self._executor


def _died(future: Future[Any]) -> bool:
    """Whether the process died that had the task, or another one of its executor."""
    return not future.cancelled() and isinstance(future.exception(), BrokenProcessPool)


def _answered(future: Future[Any]) -> bool:
    return future.done() and not _died(future)


def _finished(future: Future[Any]) -> bool:
    return not future.cancelled() and future.exception() is None
