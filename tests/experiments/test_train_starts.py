"""Training stages whose start is missing are refused before data is read or anything computed."""

from __future__ import annotations

import pytest

from experiments.cli import main


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--stages", "heads", "--vlm-start", "block_dismantling"], "use --stages vlm,heads"),
        (["--stages", "base,heads", "--brain-start", "towel_folding"], "expected the stage vlm"),
        (["--stages", "vlm", "--vlm-start", "block_dismantlin"], "mean 'block_dismantling'"),
        (["--stages", "vlm", "--vlm-start", "nowhere/checkpoint"], "nowhere/checkpoint"),
        (["--stages", "heads"], "train it first with --stages vlm,heads"),
        (["--stages", "base"], "expected a VLM in"),
        (["--stages", "vlm,heads"], "expected head 'base'"),
        (["--stages", "vlm,base", "--start", "jonit"], "expected head 'jonit'"),
        (["--stages", "vlm", "--flow-weight", "-1"], "--flow-weight: expected a number >= 0"),
        (["--stages", "vlm", "--flow-draws", "0"], "--flow-draws: expected 1 .. 64"),
    ],
)
def test_a_missing_start_is_one_line(words, expected, tmp_path, capsys):
    out = tmp_path / "run"
    assert main(["train", "--data", str(tmp_path / "none"), "--out", str(out), *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "xr0-sim:" in line]
    assert len(lines) == 1 and expected in lines[0]
    assert not out.exists()


def test_heads_need_the_base_of_the_checkpoint(tmp_path, capsys):
    checkpoint = tmp_path / "run" / "vlm" / "checkpoint"
    (checkpoint / "heads" / "joint").mkdir(parents=True)
    for folder in (checkpoint, checkpoint / "heads" / "joint"):
        (folder / "config.json").write_text("{}")
    words = ["train", "--data", str(tmp_path / "none"), "--out", str(tmp_path / "run")]
    assert main([*words, "--stages", "heads"]) == 2
    assert "expected head 'base'" in capsys.readouterr().err
    assert main([*words, "--stages", "base"]) == 2
    assert "sample store" in capsys.readouterr().err
