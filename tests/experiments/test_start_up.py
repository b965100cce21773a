"""What a short episode imports and collects: nothing that takes longer than it and is not used."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.runner.uncollected import uncollected

ROOT = Path(__file__).resolve().parents[2]
EPISODE = """
import sys
from experiments.cli import main
words = ["rollout", "--policy", "xr0", "--world", "0.1", "--episodes", "1", "--max-seconds", "0.2"]
assert main([*words, "--event", "none", "--no-video", "--json", "--out", sys.argv[1]]) == 0
heavy = ("transformers", "pandas", "matplotlib", "torchao", "torch._dynamo", "huggingface_hub")
import gc
print(gc.isenabled(), gc.get_stats()[2]["collections"], [n for n in heavy if n in sys.modules])
"""
ENDING = """
import atexit
from experiments.runner.uncollected import leave_uncollected
class Ring:
    def __init__(self):
        self.own = self
    def __del__(self):
        print("collected")
ring = Ring()
atexit.register(print, "handled")
leave_uncollected()
"""


def printed_by(code: str, *words: str) -> list[str]:
    """Lines of standard output of a process that runs ``code``."""
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_episode_of_the_trained_policy_loads_no_library_it_does_not_use(tmp_path):
    enabled, full_collections, heavy = printed_by(EPISODE, str(tmp_path / "run"))[-1].split(" ", 2)
    assert heavy == "[]"
    assert enabled == "True"
    assert full_collections == "0"


def test_nothing_is_collected_within_the_outermost_block_and_again_after_it():
    with uncollected():
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ValueError, match="as raised"), uncollected():
        raise ValueError("as raised")
    assert gc.isenabled()


def test_a_collector_that_was_off_before_a_block_stays_off():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_first_thing_that_stays_is_never_looked_through_again():
    gc.unfreeze()
    try:
        with uncollected(stays=True):
            kept = [[]]
        first = gc.get_freeze_count()
        assert first > 0
        assert not any(one is kept for one in gc.get_objects())
        with uncollected(stays=True):
            later = [[]]
        assert gc.get_freeze_count() <= first
        assert any(one is later for one in gc.get_objects())
    finally:
        gc.unfreeze()


def test_a_process_ends_with_its_handlers_run_and_nothing_collected():
    assert printed_by(ENDING) == ["handled"]
    assert sorted(printed_by(ENDING.replace("leave_uncollected()", ""))) == ["collected", "handled"]
