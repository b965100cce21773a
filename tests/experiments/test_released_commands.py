"""A checkpoint of the released layout through every command that runs a policy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from released_files import released_config, write_released

from experiments.cli import main
from xr0_sim.model.vlm.tokenizer import build_tokenizer, prompt_corpus, save_tokenizer

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = ["--robot-type", "two_arms", "--views", "ego=base"]
RUN = ["--max-seconds", "0.3", "--world", "0.1", "--event", "none", "--latency", "60ms"]


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Two bfloat16-sized shards, statistics of two robot types, a tokenizer."""
    path = tmp_path_factory.mktemp("released")
    write_released(path)
    rng = np.random.default_rng(9)
    types = {}
    for name, active in (("two_arms", range(28)), ("one_arm", range(7))):
        mean, std = np.zeros((4, 32)), np.zeros((4, 32))
        std[:, list(active)] = rng.uniform(0.01, 0.03, size=(4, len(active)))
        types[name] = {"mean": mean.tolist(), "std": std.tolist()}
    (path / "preprocessor_config.json").write_text(json.dumps({"action_config": types}))
    save_tokenizer(build_tokenizer(prompt_corpus()), path)
    return path


def command(capsys, *words):
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def test_rollout_keeps_robot_type_views_and_digest(released, tmp_path, capsys):
    words = ["--checkpoint", released, *OPTIONS, *RUN, "--no-video", "--json", "--episodes", 1]
    words += ["--strategy", "sync:execution_horizon=3"]
    found = [
        json.loads(command(capsys, "rollout", *words, "--out", tmp_path / name)) for name in "ab"
    ]
    assert found[0]["digest"] == found[1]["digest"]
    weights = found[0]["config"]["weights"]
    assert weights["head"] == "released" and weights["robot_type"] == "two_arms"
    assert weights["views"] == ["ego=base"] and len(weights["digest"]) == 16
    assert "graph" not in weights
    status = main([str(w) for w in ["rollout", *words, "--robot-type", "one_arm"]])
    said = capsys.readouterr().err
    assert status == 2 and "moves two arms" in said and said.count("\n") == 1


def test_compare_and_ablate_take_it(released, tmp_path, capsys):
    common = ["--checkpoint", released, *OPTIONS, "--max-seconds", "0.3", "--world", "0.1"]
    common += ["--event", "none", "--execution-horizon", 3, "--episodes", 1]
    text = command(
        capsys,
        *["compare", *common, "--latency", "60ms", "--out", tmp_path / "compare", "--json"],
    )
    found = json.loads(text)["conditions"]
    assert set(found) == {"sync @ 60ms", "naive_async @ 60ms"}
    assert {one["config"]["weights"]["robot_type"] for one in found.values()} == {"two_arms"}
    text = command(
        capsys,
        *["ablate", *common, "--strategy", "sync", "--latency", "60ms"],
        *["--factor", "temperature=0;1", "--out", tmp_path / "study", "--json"],
    )
    study = json.loads(text)
    assert study["complete"] and set(study["conditions"]) == {"temperature=0", "temperature=1"}


def test_serve_takes_it(released):
    words = ["serve", "--port", "0", "--json", "--checkpoint", released, *OPTIONS]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        facts = json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()
    assert facts["horizon"] == 4 and facts["views"] == ["base"]


MEMORY = """
import sys
import torch
from pathlib import Path
from xr0_sim.model.checkpoints.released import load_released
dtype = None if sys.argv[2] == "stored" else getattr(torch, sys.argv[2])
def largest():
    # Unlike getrusage, this starts anew with the program.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
load_released(Path(sys.argv[3]), dtype)
before = largest()
model = load_released(Path(sys.argv[1]), dtype)
total = sum(float(p.sum(dtype=torch.float32)) for p in model.parameters())
held = sum(p.numel() * p.element_size() for p in model.parameters())
after = largest()
print((after - before) * 1024 / held)
"""


def write_large(path, gigabytes, stored):
    """A file of a size and kind of number: many layers of a narrow VLM and a small expert."""
    import torch
    from safetensors.torch import save_file

    from xr0_sim.model.checkpoints.tensor_layout import expected_tensors

    dtype = getattr(torch, stored)
    config = released_config()
    text = config["vlm_config"]["text_config"]
    layers = round(72 / dtype.itemsize * gigabytes)
    text |= {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": layers}
    config["vlm_config"]["vision_config"]["out_hidden_size"] = 1024
    shapes = expected_tensors(config)
    size = sum(dtype.itemsize * int(np.prod(shape)) for shape in shapes.values())
    assert 0.9 < size / gigabytes / 1e9 < 1.3
    tensors = {name: torch.full(shape, 0.01, dtype=dtype) for name, shape in shapes.items()}
    save_file(tensors, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(config | {"dtype": stored}))


@pytest.mark.slow
@pytest.mark.parametrize("stored", ["bfloat16", "float32"])
@pytest.mark.parametrize("kept", ["stored", "float32", "bfloat16"])
def test_loading_holds_the_weights_once(released, tmp_path, stored, kept):
    write_large(tmp_path, 1.0, stored)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(tmp_path), kept, str(released)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) <= 1.15


def test_the_digest_of_a_checkpoint_is_read_piece_by_piece(released, monkeypatch):
    import hashlib

    from policies.xr0 import checkpoints

    whole = hashlib.sha256()
    for file in sorted(path for path in released.rglob("*") if path.is_file()):
        whole.update(f"|{file.name}|".encode() + file.read_bytes())
    monkeypatch.setattr(checkpoints, "READ_BYTES", 1000)
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("read at once"))
    assert checkpoints.checkpoint_digest(released) == whole.hexdigest()[:16]
