"""What a short episode imports: nothing that takes longer than the episode and is not used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EPISODE = """
import sys
from experiments.cli import main
words = ["rollout", "--policy", "xr0", "--world", "0.1", "--episodes", "1", "--max-seconds", "0.2"]
assert main([*words, "--event", "none", "--no-video", "--json", "--out", sys.argv[1]]) == 0
heavy = ("transformers", "pandas", "matplotlib", "torchao", "torch._dynamo", "huggingface_hub")
print([name for name in heavy if name in sys.modules])
"""


def test_an_episode_of_the_trained_policy_loads_no_library_it_does_not_use(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", EPISODE, str(tmp_path / "run")],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
