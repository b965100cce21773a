"""``ablate``, ``report`` and ``verify`` as typed, with plugs of one's own."""

import json
import shutil

import pytest
from studies import PLUGIN, WORDS

from experiments.cli import dispatch, main
from experiments.commands.ablate import AblateConfig
from experiments.commands.compare import CompareConfig
from experiments.options.arguments import parse_config
from experiments.study import Study
from experiments.study.folder import ROWS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    trace = made / "mine.csv"
    trace.write_text("latency_s\n0.03\n0.1\n")
    words = ["ablate", "--plugin", str(PLUGIN), "--policy", "wave", "--n-bricks", "2"]
    words += ["--max-seconds", "0.5", "--episodes", "2", "--out", str(made / "study")]
    words += ["--factor", f"latency=two_speeds:slow_s=0.1;trace:path={trace}"]
    words += ["--factor", "event=none,nudge@joint_moves:limit_rad_s=0.02"]
    assert dispatch(words) == 0
    return made / "study"


def test_an_ablation_over_plugs_of_ones_own(folder):
    frame = Study.load(folder).frame()
    assert len(frame) == 8 and frame["valid"].all()
    assert (frame.loc[frame["event"] != "none", "event_kind"] == "nudge").all()
    means = frame.groupby("latency", observed=True)["latency_mean_s"].mean()
    assert means.iloc[0] == pytest.approx(0.03, abs=0.03) and means.nunique() == 2


def test_report_prints_the_same_table_again(folder, capsys):
    assert dispatch(["report", str(folder)]) == 0
    text = capsys.readouterr().out
    assert dispatch(["report", str(folder)]) == 0
    assert capsys.readouterr().out == text and "digest   " in text
    assert dispatch(["report", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["complete"] and len(told["conditions"]) == 4 and told["digest"] in text


def test_verify_runs_rows_again(folder, capsys):
    assert dispatch(["verify", str(folder), "--rows", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and all(line.endswith(": same") for line in lines[1:])


def test_verify_says_what_rows_depend_on_where_one_differs(folder, tmp_path, capsys):
    changed = shutil.copytree(folder, tmp_path / "changed")
    rows = [json.loads(line) for line in (changed / ROWS).read_text().splitlines()]
    for row in rows:
        row["figures"]["model_calls"] += 1
    (changed / ROWS).write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert dispatch(["verify", str(changed), "--rows", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "DIFFERS in model_calls" in lines[1]
    assert "kind of processor" in lines[-1] and "commit " in lines[-1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["ablate"], "expected a STUDY.toml or --factor"),
        (["ablate", "--factor", "latncy=0"], "unknown option of factor latncy"),
        (["ablate", "nowhere.toml"], "readable TOML"),
        (["ablate", "--factor", "latency=0", "--engine", "slurm"], "unknown engine"),
        (["report", "nowhere"], "expected a folder with a study.json"),
        (["verify", "nowhere", "--rows", "0"], "--rows"),
    ],
)
def test_bad_input_is_one_line(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*words, *(["--policy", "oracle"] if words[0] == "ablate" else [])]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and told in errors[0]
    assert not (tmp_path / "out").exists()


def test_an_option_of_several_texts_may_be_given_several_times():
    words = [*WORDS[3:], "--workers", "2"]
    found = parse_config(AblateConfig, words, "xr0-sim ablate")
    assert [text.partition("=")[0] for text in found.factor] == ["strategy", "latency", "event"]
    assert found.workers == 2 and found.episodes == 3
    words = ["--latency", "80ms", "0.2s", "--seed", "3", "--latency=none"]
    assert parse_config(CompareConfig, words, "xr0-sim compare").latency == ("80ms", "0.2s", "none")


@pytest.mark.parametrize("episodes", ["0", "-3"])
def test_a_study_without_episodes_is_refused(episodes, tmp_path, capsys):
    words = ["ablate", "--factor", "strategy=sync", "--policy", "oracle", "--episodes", episodes]
    assert main([*words, "--out", str(tmp_path / "none")]) == 2
    assert f"expected at least 1, got {episodes}" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
