"""Plants faults into copies of the tree, one at a time, and asks the named tests to notice them.

    python tests/run_mutants.py                 every fault of tests/mutants.toml
    python tests/run_mutants.py flow masks-3    those whose id starts with one of the words

A fault is an exact piece of source text and what replaces it. It is *caught* if its tests fail or
run out of time, and has *survived* if they pass. Text that is not found exactly once is an error:
the list has gone stale. The named tests must pass before the first fault is planted.

Exit status: 0 if at least 95 % are caught, 1 if fewer are, 2 if the list or the tests are broken.
"""

from __future__ import annotations

import argparse
import compileall
import multiprocessing
import os
import py_compile
import queue
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAULTS = ROOT / "tests" / "mutants.toml"
WANTED_SHARE = 0.95
TIME_LIMIT_S = 120.0
NOT_COPIED = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "build", "dist")
NOT_COPIED_AT_THE_TOP = ("data", "notebooks", "out", "runs")
NOTICED = (1, 2)
"""Exit statuses of pytest for failed tests and for modules that can no longer be imported."""
WRONG_TREE = 99
OWN_PLACES = (ROOT, ROOT / "tests")
PROCESSES = multiprocessing.get_context("forkserver")
"""Every run of pytest is forked from a process that has loaded the heavy libraries once."""
PRELOADED = ["numpy", "torch", "pytest", "hypothesis", "gymnasium"]


class StaleListError(Exception):
    """The list of faults does not fit the tree, or its tests fail without a fault."""


@dataclass(frozen=True)
class Fault:
    """One fault of the list.

    Attributes:
        id: Unique name.
        file: Source file, relative to the root of the tree.
        old: Text that stands there exactly once.
        new: What replaces it.
        tests: Node ids of pytest that should notice.
    """

    id: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def read_faults(path: Path) -> list[Fault]:
    """Faults of a list; ids must be unique and every fault must change something."""
    rows = tomllib.loads(path.read_text(encoding="utf-8"))["fault"]
    faults = [Fault(**{**row, "tests": tuple(row["tests"])}) for row in rows]
    ids = [fault.id for fault in faults]
    twice = sorted({name for name in ids if ids.count(name) > 1})
    if twice:
        raise StaleListError(f"{path}: expected unique ids, got {', '.join(twice)} twice")
    for fault in faults:
        if fault.old == fault.new or not fault.tests:
            raise StaleListError(f"{fault.id}: expected a change and at least one test")
    return faults


def planted(fault: Fault, source: str) -> str:
    """Source text with the fault in it."""
    count = source.count(fault.old)
    if count != 1:
        raise StaleListError(
            f"{fault.id}: expected its text once in {fault.file}, found it {count} times; "
            "bring tests/mutants.toml up to date"
        )
    text = source.replace(fault.old, fault.new)
    try:
        compile(text, fault.file, "exec")
    except SyntaxError as error:
        raise StaleListError(f"{fault.id}: expected Python, got {error}") from None
    return text


def check_faults(faults: Iterable[Fault], root: Path) -> None:
    """Raises `StaleListError` with one line per fault that cannot be planted."""
    problems = []
    for fault in faults:
        try:
            planted(fault, (root / fault.file).read_text(encoding="utf-8"))
        except (OSError, StaleListError) as error:
            problems.append(str(error))
    if problems:
        raise StaleListError("\n".join(problems))


def enough(caught: int, total: int) -> bool:
    """Whether the share of caught faults is as wanted."""
    return caught >= WANTED_SHARE * total


def _copy_tree(target: Path) -> Path:
    hidden = shutil.ignore_patterns(*NOT_COPIED)

    def left_out(folder: str, names: list[str]) -> set[str]:
        more = NOT_COPIED_AT_THE_TOP if Path(folder) == ROOT else ()
        return {*hidden(folder, names), *(name for name in names if name in more)}

    shutil.copytree(ROOT, target, ignore=left_out)
    # Byte code is checked by the hash of its source: a fault may leave size and time as they were.
    compileall.compile_dir(
        target, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH
    )
    return target


def _pytest(root: Path, tests: Sequence[str], report: Path) -> None:
    """Runs tests on a tree and leaves with the status of pytest; in a process of its own."""
    os.setsid()
    with open(report, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(root)
    os.environ |= {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    sys.dont_write_bytecode = True
    sys.path[:] = [str(root), *(place for place in sys.path if Path(place) not in OWN_PLACES)]
    import pytest

    import xr0_sim

    if not Path(xr0_sim.__file__).is_relative_to(root):
        print(f"expected the copy in {root}, got {xr0_sim.__file__}")
        sys.exit(WRONG_TREE)
    words = ["-q", "-x", "-p", "no:xdist", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    words += ["-m", "not slow and not gpu"]
    sys.exit(int(pytest.main([*words, *tests])))


def _run_tests(root: Path, tests: Sequence[str], limit_s: float | None) -> tuple[int | None, str]:
    """Exit status of pytest, None if it ran out of time, and the line that says what failed."""
    report = root.with_suffix(".txt")
    process = PROCESSES.Process(target=_pytest, args=(root, tests, report))
    process.start()
    process.join(limit_s)
    if process.is_alive():
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
        return None, "out of time"
    said = report.read_text(encoding="utf-8", errors="replace")
    lines = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return process.exitcode, lines[0] if lines else said[-2000:]


def _is_caught(root: Path, fault: Fault) -> tuple[bool, str]:
    path = root / fault.file
    source = path.read_text(encoding="utf-8")
    path.write_text(planted(fault, source), encoding="utf-8")
    try:
        status, said = _run_tests(root, fault.tests, TIME_LIMIT_S)
    finally:
        path.write_text(source, encoding="utf-8")
    if status not in (0, None, *NOTICED):
        raise StaleListError(f"{fault.id}: pytest ended with status {status}\n{said}")
    return status != 0, said


def run(faults: Sequence[Fault], jobs: int) -> int:
    """Plants every fault and prints what became of it; returns the exit status."""
    check_faults(faults, ROOT)
    begun = time.monotonic()
    survivors = []
    os.environ["OMP_NUM_THREADS"] = "1"
    PROCESSES.set_forkserver_preload(PRELOADED)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            trees.put(_copy_tree(Path(folder) / f"tree{number}"))
        tests = sorted({test for fault in faults for test in fault.tests})

        def with_a_tree(fault: Fault) -> tuple[bool, str]:
            tree = trees.get()
            try:
                return _is_caught(tree, fault)
            finally:
                trees.put(tree)

        def healthy(part: Sequence[str]) -> None:
            tree = trees.get()
            status, said = _run_tests(tree, part, None) if part else (0, "")
            trees.put(tree)
            if status != 0:
                raise StaleListError(f"expected the tests to pass without a fault, got\n{said}")

        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(healthy, [tests[k::jobs] for k in range(jobs)]))
            print(f"{len(tests)} tests pass without a fault", flush=True)
            for fault, (caught, said) in zip(faults, pool.map(with_a_tree, faults), strict=True):
                survivors += [] if caught else [fault]
                print(f"{'caught  ' if caught else 'SURVIVED'}  {fault.id}", flush=True)
                if caught:
                    print(f"          {said[:110]}", flush=True)
    caught = len(faults) - len(survivors)
    print(f"{caught} of {len(faults)} faults caught in {time.monotonic() - begun:.0f} s")
    for fault in survivors:
        print(f"survived: {fault.id} in {fault.file}: {fault.new.strip()!r}")
    return 0 if enough(caught, len(faults)) else 1


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Plants faults and asks the tests to notice.")
    parser.add_argument("ids", nargs="*", help="only faults whose id starts with one of these")
    parser.add_argument("--jobs", type=int, default=2, help="copies of the tree that run at once")
    options = parser.parse_args(words)
    try:
        faults = read_faults(FAULTS)
        if options.ids:
            faults = [fault for fault in faults if fault.id.startswith(tuple(options.ids))]
        if not faults or options.jobs < 1:
            raise StaleListError("expected at least one fault and one job")
        return run(faults, options.jobs)
    except StaleListError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
