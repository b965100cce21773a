"""``xr0-sim checkpoint inspect``: parts, gaps, and one line for every damaged file."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from released_files import released_config, write_released, write_shards, write_statistics

from experiments.cli import main


@pytest.fixture
def released(tmp_path):
    directory = tmp_path / "released"
    directory.mkdir()
    write_released(directory)
    return directory


def inspect(capsys, *words):
    status = main(["checkpoint", "inspect", *map(str, words)])
    out, err = capsys.readouterr()
    return status, out, err


def test_parts_of_a_whole_checkpoint(released, capsys):
    write_statistics(released, [0, 1, 2, 6])
    status, out, err = inspect(capsys, released)
    assert status == 0 and err == ""
    lines = out.splitlines()
    assert "released layout" in lines[0] and "in 2 files" in lines[0]
    assert [line.split("  ")[0] for line in lines[3:8]] == [
        "VLM vision", "VLM text", "DiT", "projectors", "total",
    ]  # fmt: skip
    assert all("float32" in line for line in lines[3:8])
    assert "robot type tiny_arm: left_jaw, left_tool_pos" in out
    assert lines[-1] == "missing: nothing"


def test_json_adds_up(released, capsys):
    status, out, _ = inspect(capsys, released, "--json")
    found = json.loads(out)
    assert status == 0 and found["complete"] is True and found["problems"] == []
    assert found["total"]["tensors"] == sum(part["tensors"] for part in found["parts"])
    assert found["total"]["size_bytes"] == 4 * found["total"]["parameters"]


def test_gaps_are_listed(released, capsys):
    _, tensors = write_released(released)
    for index in (0, 1):
        del tensors[f"dit.layers.{index}.adaln_table"]
    tensors["sink.weight"] = np.zeros((2, 64), np.float32)
    tensors["score_head.weight"] = np.zeros((1, 4), np.float32)
    write_shards(released, tensors)
    status, out, _ = inspect(capsys, released)
    assert status == 1
    assert "4 mismatches with config.json:" in out
    for phrase in (
        "dit.layers.0.adaln_table is missing",
        "score_head.weight is not part of the model",
        "sink.weight has shape (2, 64) instead of (1, 64)",
    ):
        assert phrase in out


def test_damage_gets_one_line_and_status_2(released, tmp_path, capsys):
    shard = released / "model-00001-of-00002.safetensors"
    whole = shard.read_bytes()
    empty = tmp_path / "empty"
    empty.mkdir()

    def refused(path, expected):
        status, out, err = inspect(capsys, *([path] if path else []))
        assert status == 2 and out == ""
        assert len(err.strip().splitlines()) == 1 and expected in err

    for damage in (whole[:-1], whole[:100], b"not safetensors at all", b""):
        shard.write_bytes(damage)
        refused(released, "expected a complete safetensors file")
        refused(shard, "expected a complete safetensors file")
    shard.unlink()
    refused(released, shard.name)
    refused(empty, "is this a checkpoint directory?")
    refused(tmp_path / "nowhere", "found nothing there")
    refused(None, "PATH: expected")
    shard.write_bytes(whole)
    (released / "config.json").write_text('{"model_type": "llama"}')
    refused(released, "released XR-0")
    (released / "config.json").write_text("{")
    refused(released, "readable JSON")


def test_a_single_shard_and_a_stranger(released, tmp_path, capsys):
    from safetensors.numpy import save_file

    status, out, _ = inspect(capsys, released / "model-00001-of-00002.safetensors")
    assert status == 0 and "missing: unknown" in out
    stranger = tmp_path / "model.safetensors"
    save_file({"encoder.weight": np.zeros((3, 5), np.float16)}, stranger)
    status, out, _ = inspect(capsys, stranger)
    assert status == 0 and "other" in out and "15" in out and "float16" in out
    (tmp_path / "config.json").write_text(json.dumps(released_config()))
    status, out, _ = inspect(capsys, stranger)
    assert status == 1 and "encoder.weight is not part of the model" in out


def test_a_shipped_policy_and_its_files(tmp_path, capsys):
    from xr0_sim.model.checkpoints import inspection
    from xr0_sim.model.checkpoints import shipped as checkpoint
    from xr0_sim.model.policy_loading import random_policy_model
    from xr0_sim.model.spec.presets import preset_config

    assert inspection.POLICY_VLM == checkpoint.VLM_FILE
    assert inspection.POLICY_HEADS == f"{checkpoint.HEADS_DIR}/*/{checkpoint.HEAD_FILE}"
    policy = random_policy_model(preset_config("nano"), seed=0)
    checkpoint.save_vlm(tmp_path, policy.config, policy.model.vlm)
    status, out, _ = inspect(capsys, tmp_path)
    assert status == 1 and "no head in heads/" in out
    for head in ("sync", "prefix"):
        checkpoint.save_head(tmp_path, head, policy.config, policy.model.expert)
    status, out, _ = inspect(capsys, tmp_path)
    assert status == 0 and "shipped policy" in out and "DiT of head prefix" in out
    for file in (tmp_path / "vlm.safetensors", tmp_path / "heads/sync/dit.safetensors"):
        status, out, _ = inspect(capsys, file)
        assert status == 0 and out.splitlines()[-1] == "missing: nothing"
    (tmp_path / "vlm.safetensors").unlink()
    status, out, _ = inspect(capsys, tmp_path)
    assert status == 1 and "vlm.safetensors is missing" in out


def test_looking_is_light(released):
    program = (
        "import sys; from experiments.cli import main\n"
        f"status = main(['checkpoint', 'inspect', {str(released)!r}])\n"
        "print(status, [name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr
