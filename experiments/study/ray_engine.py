"""Jobs over a Ray cluster; the same results as in processes of this machine."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from experiments.runner.interruption import check_interrupted, shielded
from experiments.runner.pool import MAX_WORKERS, POLL_S
from xr0_sim.errors import ConfigError, Xr0SimError
from xr0_sim.plugins import load_plugin, loaded_plugins

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")

RETRIES = 5
"""How often a job is run again whose node or worker is lost; chosen."""
AHEAD = 2
"""Jobs that wait for a free worker, next to the ones that run; the rest stays here, in order."""


class RayEngine:
    """Runs functions over tasks on a Ray cluster; a context manager.

    A job whose worker or node is lost runs again elsewhere. Connections are authenticated by the
    token in ``RAY_AUTH_TOKEN`` or ``~/.ray/auth_token``; Ray makes one for a cluster that is
    started here. ``RAY_AUTH_MODE=disabled`` turns that off.

    Args:
        workers: Jobs at a time, a CPU each.
        address: Of a running cluster, e.g. ``10.0.0.1:6379`` or ``auto``; None starts one on this
            machine and ends it.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, workers: int = 1, address: str | None = None) -> None:
        if not 1 <= workers <= MAX_WORKERS:
            raise ConfigError(f"--workers: expected 1 .. {MAX_WORKERS}, got {workers}")
        self.workers = workers
        self._address = address
        self._ray: Any = None

    def __enter__(self) -> RayEngine:
        """Connects."""
        own = self._address is None
        if not own and "ray" not in sys.modules:
            # Read once, by its import; for a cluster of its own Ray does so by itself.
            os.environ.setdefault("RAY_AUTH_MODE", "token")
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "--engine ray: expected the package ray, got none; pip install 'xr0-sim[ray]'"
            ) from None
        # What this process runs, the workers shall run: the same code, with one thread each.
        passed = {"OMP_NUM_THREADS": "1"}
        passed |= {name: os.environ[name] for name in ("PYTHONPATH", "MUJOCO_GL") if _set(name)}
        start: dict[str, Any] = {"num_cpus": self.workers, "include_dashboard": False}
        try:
            ray.init(
                address=self._address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"env_vars": passed},
                **(start if own else {}),
            )
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ConfigError(
                f"--address {self._address}: expected a Ray cluster, got {reason}"
            ) from None
        self._ray = ray
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Disconnects, and ends the cluster if it was started here."""
        with shielded():
            if self._ray is not None:
                self._ray.shutdown()
                self._ray = None

    def run(
        self, function: Callable[[TaskT], ResultT], tasks: Sequence[TaskT]
    ) -> Iterator[tuple[TaskT, ResultT]]:
        """Yields (task, result) as they finish; arguments as those of `TaskPool.run`.

        Raises:
            KeyboardInterrupt: This process was interrupted; what had not finished is cancelled.
            Xr0SimError: A job lost its worker too often.
        """
        ray = self._ray
        if ray is None:
            raise RuntimeError("RayEngine: expected to be entered; use it in a with block")
        plugins = tuple(plugin.name for plugin in loaded_plugins())
        remote = ray.remote(num_cpus=1, max_retries=0)(_unpacked)
        waiting = list(reversed(tasks))
        running: dict[Any, TaskT] = {}
        lost: Counter[int] = Counter()
        later: list[tuple[float, TaskT]] = []
        try:
            while waiting or running or later:
                now = time.monotonic()
                waiting += [task for again, task in later if again <= now]
                later = [entry for entry in later if entry[0] > now]
                while waiting and len(running) < self.workers + AHEAD:
                    task = waiting.pop()
                    # As bytes: its classes may be a plug-in's, which the worker loads first.
                    running[remote.remote(pickle.dumps((function, task)), plugins)] = task
                if not running:
                    time.sleep(POLL_S)
                    check_interrupted()
                    continue
                done, _ = ray.wait(list(running), num_returns=1, timeout=POLL_S)
                check_interrupted()
                for reference in done:
                    task = running.pop(reference)
                    try:
                        result = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        raise error.as_instanceof_cause() from None
                    except _losses(ray) as error:
                        lost[id(task)] += 1
                        if lost[id(task)] > RETRIES:
                            raise Xr0SimError(
                                f"a job was lost {RETRIES} times with its worker or node, most "
                                "likely for want of memory; use fewer --workers"
                            ) from error
                        # A node counts as dead only after it has missed some heartbeats.
                        again = time.monotonic() + 2.0 ** (lost[id(task)] - 1)
                        later.append((again, task))
                        continue
                    yield task, result
        except BaseException:
            for reference in running:
                ray.cancel(reference, force=True)
            raise


def _unpacked(packed: bytes, plugins: tuple[str, ...]) -> Any:
    for name in plugins:
        load_plugin(name)
    function, task = pickle.loads(packed)
    return function(task)


def _losses(ray: Any) -> tuple[type[BaseException], ...]:
    """What Ray raises for a job whose process or machine is gone."""
    found = ray.exceptions
    return (found.WorkerCrashedError, found.NodeDiedError, found.LocalRayletDiedError)


def _set(name: str) -> bool:
    return bool(os.environ.get(name))
