"""From demonstrations to a policy, its corrections and its probe, at nano size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import envs.towel_folding.events  # noqa: F401
import experiments.datagen.dagger as relabelling
import experiments.datagen.driving as driving
from envs.world import DEFAULT_WORLD
from experiments.cli import main
from experiments.commands.collect import CollectConfig, turns_of
from experiments.commands.run_folder import stage_folders
from experiments.datagen.dagger import RelabelConfig
from experiments.datagen.takeovers import TakeoverConfig
from policies.supervision.block_labels import block_grounding_spec
from policies.xr0.loading import load_chunk_model
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.model.checkpoints.manifest import read_manifest
from xr0_sim.model.checkpoints.shipped import head_names
from xr0_sim.model.correction.files import corrects_head, load_correction, save_correction
from xr0_sim.model.correction.head import CorrectionConfig, CorrectionHead
from xr0_sim.runtime import Executor
from xr0_sim.training.run_log import read_metrics

LONGEST = 6
"""Committed rows the watched executor writes down."""


def collect(root, *words):
    common = ["--out", str(root / "store"), "--image-size", "64", "--workers", "1"]
    return main(["collect", *common, *words])


def train_words(root, *words):
    # The base stops early, so that the heads have something left to learn.
    sizes = {"vlm": 100, "base": 80, "head": 100}
    steps = [part for name, n in sizes.items() for part in (f"--{name}-steps", str(n))]
    common = ["--data", str(root / "store"), "--out", str(root / "run"), "--preset", "nano"]
    common += ["--batch-size", "8", "--log-every", "20", "--threads", "1", "--head-rate", "3e-3"]
    return ["train", *common, *steps, *words]


def checkpoint_of(root):
    return root / "run" / "vlm" / "checkpoint"


def dagger_words(root):
    words = ["--checkpoint", str(checkpoint_of(root)), "--heads", "base", "--source", "dagger1"]
    return [*words, "--seed", "2000000", "--episodes", "2"]


def shards(root):
    return {path: path.stat().st_mtime_ns for path in (root / "store").rglob("*.npy")}


@pytest.fixture(scope="module")
def demos(tmp_path_factory):
    """A folder whose store holds three demonstrations."""
    root = tmp_path_factory.mktemp("blocks")
    assert collect(root, "--episodes", "3") == 0
    return root


@pytest.fixture(scope="module")
def trained(demos):
    """The same folder after all stages of the training."""
    assert main(train_words(demos)) == 0
    return demos


@pytest.fixture(scope="module")
def watched(trained):
    """(seed, tick) -> what the policy had committed, from the corrections of two episodes."""
    seen, episode = {}, []
    original = relabelling.record_corrections

    def record_corrections(env, recorder, oracle, lesson, models, config, seed, source):
        episode.append(seed)
        return original(env, recorder, oracle, lesson, models, config, seed, source)

    class Watched(Executor):
        def tick(self, observe, command=None):
            record = super().tick(observe, command)
            rows = [record.action, *self.committed(LONGEST - 1)]
            seen[episode[-1], record.tick] = np.array(rows, np.float32)
            return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driving, "Executor", Watched)
        patch.setattr(relabelling, "record_corrections", record_corrections)
        assert collect(trained, *dagger_words(trained)) == 0
    return seen


def rows_of(store, source):
    return np.flatnonzero(store.column("source") == store.sources.index(source))


def test_demonstrations_fill_a_store(demos):
    store = ChunkStore(demos / "store")
    rows = rows_of(store, "demo")
    assert len(rows) > 30
    assert set(store.column("episode_seed")[rows].tolist()) == {1_000_000, 1_000_001, 1_000_002}
    assert store.meta.image_size == 64 and store.meta.horizon == 30
    assert store.meta.grounding_dim == block_grounding_spec().width
    assert (store.column("committed")[rows] == 0).all()
    assert (store.column("valid_steps")[rows] == 30).all()
    for name in ("actions", "action_tools", "grounding", "joint_vel"):
        assert np.isfinite(store.column(name)[rows]).all() and store.column(name)[rows].std() > 0
    images = store.images(rows)
    assert images.shape[1:] == (3, 64, 64, 3) and (images.std(axis=(2, 3, 4)) > 1).all()
    gaps = np.diff(store.column("tick")[rows])
    assert ((gaps >= 3) & (gaps <= 8) | (gaps < 0)).all()


def test_a_repeated_collection_adds_nothing(demos, capsys):
    before = shards(demos)
    assert collect(demos, "--episodes", "3") == 0
    assert "0 samples from 0 episodes" in capsys.readouterr().err
    assert shards(demos) == before


TAKEOVER = ("--source", "takeover", "--checkpoint", "block_dismantling")


def test_turns_of_a_policy_are_those_asked_for():
    asked = {"checkpoint": "x", "policy_turn": "15-110", "expert_turn": 45}
    turns = turns_of(CollectConfig(source="takeover", **asked))
    assert (turns.policy_turn, turns.expert_turn) == ((15, 110), 45)
    assert turns_of(CollectConfig(source="takeover", checkpoint="x")) == TakeoverConfig()
    turns = turns_of(CollectConfig(source="dagger1", event_share=0.5, **asked))
    assert turns == RelabelConfig(policy_turn=(15, 111), expert_turn=(0, 46), event_share=0.5)
    turns = turns_of(CollectConfig(source="dagger1", checkpoint="x", no_own_prefix=True))
    assert turns == RelabelConfig(longest_prefix=0)
    turns = turns_of(CollectConfig(source="takeover", checkpoint="x", max_ticks=110))
    assert turns == TakeoverConfig(max_ticks=110)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--source", "dagger1"], "--source 'dagger1': expected one of demo, counterfactual,"),
        (["--checkpoint", "x"], "--source 'demo': expected one of demo, counterfactual,"),
        (["--episodes", "0"], "expected --episodes >= 1"),
        (["--workers", "0"], "--workers: expected 1"),
        (["--events", "shov"], "did you mean 'shove'"),
        (["--source", "takeover", "--checkpoint", "nowhere"], "unknown checkpoint 'nowhere'"),
        (
            ["--source", "takeover", "--checkpoint", "block_dismantling", "--heads", "sync,sink"],
            "did you mean 'sync'",
        ),
        (["--events", "gust"], "expected one for BlockDismantlingEnv"),
        (["--event-share", "1.5"], "--event-share: expected 0 .. 1"),
        (["--source", "sighting", "--events", "shove"], "nothing happens there"),
        (["--expert-turn", "40"], "which sources with --checkpoint have"),
        (["--max-ticks", "40"], "which sources with --checkpoint have"),
        ([*TAKEOVER, "--max-ticks", "0"], "--max-ticks: expected 1 tick or more, got 0"),
        ([*TAKEOVER, "--policy-turn", "20"], "--policy-turn: expected A-B in ticks, got '20'"),
        ([*TAKEOVER, "--policy-turn", "60-20"], "expected 10 <= A <= B, got '60-20'"),
        ([*TAKEOVER, "--no-own-prefix"], "expected no --no-own-prefix, which corrections have"),
        ([*TAKEOVER, "--expert-turn", "0"], "--expert-turn: expected 1 tick or more, got 0"),
    ],
)
def test_what_does_not_fit_is_one_line(words, expected, tmp_path, capsys):
    assert main(["collect", "--out", str(tmp_path / "store"), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and len(err.strip().splitlines()) == 1 and expected in err
    assert not list(tmp_path.iterdir())


def test_training_mistakes_are_one_line(demos, tmp_path, capsys):
    for words, expected in (
        (["--stages", "vlm,hedas"], "did you mean 'heads'"),
        (["--heads", "prefx"], "did you mean 'prefix'"),
        (["--preset", "tiny"], "collect with --image-size 128"),
        (["--threads", "0"], "--threads: expected 1 .. 256"),
    ):
        assert main([*train_words(demos, "--out", str(tmp_path)), *words]) == 2
        lines = [line for line in capsys.readouterr().err.splitlines() if "xr0-sim:" in line]
        assert len(lines) == 1 and expected in lines[0]
    assert not list(tmp_path.iterdir())


STAGE_RUNS = ("vlm", "experts/base", "experts/sync", "experts/prefix", "experts/prefix_lambda")


@pytest.mark.parametrize("stage", STAGE_RUNS)
def test_the_loss_of_a_stage_falls(trained, stage):
    rows = [row["loss"] for row in read_metrics(trained / "run" / stage) if "loss" in row]
    assert len(rows) >= 4 and np.isfinite(rows).all()
    assert rows[-1] < 0.95 * rows[0]


def test_the_checkpoint_holds_all_heads(trained):
    checkpoint = checkpoint_of(trained)
    assert {"base", "sync", "prefix", "prefix_lambda"} <= set(head_names(checkpoint))
    limits = {head: load_chunk_model(checkpoint, head).prefix_max for head in ("sync", "prefix")}
    assert limits == {"sync": 0, "prefix": 6}


def test_the_same_command_again_skips_what_is_finished(trained, capsys):
    run = trained / "run"
    logs = {stage: read_metrics(run / stage) for stage in STAGE_RUNS}
    weights = {path: path.read_bytes() for path in (run / "vlm").rglob("*.safetensors")}
    assert main(train_words(trained)) == 0
    assert "step " not in capsys.readouterr().err
    assert {stage: read_metrics(run / stage) for stage in STAGE_RUNS} == logs
    assert {path: path.read_bytes() for path in weights} == weights


def test_corrections_continue_what_the_policy_had_committed(watched, trained):
    store = ChunkStore(trained / "store")
    rows = rows_of(store, "dagger1")
    committed = store.column("committed")[rows]
    assert (committed == 0).any() and (committed > 0).any() and committed.max() > 1
    assert set(store.column("episode_seed")[rows].tolist()) == {2_000_000, 2_000_001}
    for row, length in zip(rows, committed, strict=True):
        key = store.column("episode_seed")[row], store.column("tick")[row]
        wanted = watched.get(tuple(map(int, key)))
        if wanted is None:  # the expert's turn: nothing was committed
            assert length == 0
            continue
        actions = store.column("actions")[row]
        assert np.array_equal(actions[:length], wanted[:length])
        if length < len(wanted):
            # From here on the expert plans, and it is no untrained network.
            assert not np.allclose(actions[length], wanted[length], atol=1e-4)


def test_a_continued_commitment_has_a_twin_without_one(watched, trained):
    store = ChunkStore(trained / "store")
    rows = rows_of(store, "dagger1")
    continued = rows[store.column("committed")[rows] > 0]
    twins = continued - 1
    assert len(continued) > 0 and (store.column("committed")[twins] == 0).all()
    assert (store.column("tick")[twins] == store.column("tick")[continued]).all()
    assert np.array_equal(store.images(twins), store.images(continued))


def test_corrections_are_collected_once(watched, trained, capsys):
    before = shards(trained)
    assert collect(trained, *dagger_words(trained)) == 0
    assert "0 samples from 0 episodes" in capsys.readouterr().err
    assert shards(trained) == before


def test_the_probe_asks_both_heads_and_the_planner(trained, capsys):
    words = ["--checkpoint", str(checkpoint_of(trained))]
    words += ["--states", "3", "--lengths", "2,4", "--workers", "1", "--json"]
    assert main(["probe", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {(row["head"], row["prefix"]): row for row in found["rows"]}
    heads = ("prefix", "prefix_lambda", "perfect planner")
    assert set(rows) == {(head, length) for head in heads for length in (2, 4)}
    counts = {row["n"] for row in rows.values()}
    assert len(counts) == 1 and 1 <= counts.pop() <= 3
    for length in (2, 4):
        planner = rows["perfect planner", length]
        assert planner["follow"]["value"] == pytest.approx(1, abs=1e-6)
        assert planner["followed"]["value"] == 1


def test_a_shipped_policy_runs_and_carries_its_record(trained, tmp_path, capsys):
    words = ["ship", "--run-folder", str(trained / "run"), "--to", f"{tmp_path}/policy"]
    assert main([*words, "--heads", "sync,prefix"]) == 0
    policy = tmp_path / "policy"
    assert set(head_names(policy)) == {"sync", "prefix"}
    assert load_chunk_model(policy, "prefix").prefix_max == 6
    manifest = read_manifest(policy)
    assert (manifest.task, manifest.world) == ("block_dismantling", DEFAULT_WORLD)
    record = sorted(path.name for path in (policy / "training").iterdir())
    assert record == [
        *("commands.json", "curves.png", "prefix.jsonl", "recipes.json", "sync.jsonl", "vlm.jsonl")
    ]
    recipes = json.loads((policy / "training" / "recipes.json").read_text())
    assert {head: recipe["reweight"] for head, recipe in recipes.items()} == {
        "sync": "none",
        "prefix": "none",
    }
    notes = json.loads((policy / "training" / "commands.json").read_text())
    assert notes[0]["data"]["demo"]["seeds"] == [1_000_000, 1_000_002]
    paths = [notes[0]["config"][key] for key in ("data", "out")]
    assert not [path for path in paths if Path(path).is_absolute()], paths
    before = {path: path.read_bytes() for path in policy.rglob("*") if path.is_file()}
    for more, expected in (
        (["--heads", "sync"], "exists; use --replace"),
        (["--heads", "snyc", "--replace"], "did you mean 'sync'"),
        (["--heads", "sync", "--label", "d9", "--replace"], "check --label"),
        (["--run-folder", str(tmp_path / "none"), "--replace"], "found none; train it"),
        (["--world", "0.1", "--replace"], "expected 0.2, in which it was trained"),
    ):
        assert main([*words, *more]) == 2
        assert expected in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert not [path for path in tmp_path.iterdir() if path != policy]


def test_a_correction_head_stays_with_the_weights_it_was_trained_for(trained, tmp_path, capsys):
    policy = tmp_path / "policy"
    words = ["ship", "--run-folder", str(trained / "run"), "--to", str(policy), "--replace"]
    assert main([*words, "--heads", "sync"]) == 0
    save_correction(policy, CorrectionHead(CorrectionConfig(width=8)))
    assert main([*words, "--heads", "sync,prefix"]) == 0
    assert load_correction(policy).config.width == 8
    assert "correction head" not in capsys.readouterr().err
    assert main([*words, "--heads", "prefix"]) == 0
    assert "was trained for other weights and is gone" in capsys.readouterr().err
    assert not corrects_head(policy, "sync")


def test_a_head_is_added_to_a_shipped_policy(trained, tmp_path, capsys):
    """The rest stays as it is, byte by byte, and so does the record of how it came about."""
    shipped, run, more = (tmp_path / name for name in ("policy", "run", "more"))
    ship = ["ship", "--run-folder", str(trained / "run"), "--to", str(shipped)]
    assert main([*ship, "--heads", "sync,prefix"]) == 0
    save_correction(shipped, CorrectionHead(CorrectionConfig(width=8)))
    words = ["train", "--data", str(trained / "store"), "--out", str(run), "--batch-size", "8"]
    words += ["--threads", "1", "--head-steps", "2", "--heads", "rolled"]
    begin = [*words, "--stages", "heads", "--policy-start", str(shipped)]
    for wrong, expected in (
        ([*begin], "expected head 'base'"),
        ([*begin, "--heads", "sync,rolled", "--head-start", "sync"], "expected a head that is not"),
        ([*words, "--stages", "vlm,heads", "--policy-start", str(shipped)], "without vlm"),
        (
            [*words, "--stages", "heads", "--policy-start", str(tmp_path / "no")],
            "unknown checkpoint",
        ),
    ):
        assert main(wrong) == 2
        assert expected in capsys.readouterr().err
        assert not run.exists()
    begin += ["--head-start", "sync"]
    stopped, record = tmp_path / "stopped", shipped / "training" / "commands.json"
    stopped.mkdir()
    (stopped / "commands.jsonl").write_text("{}\n")
    assert main([*begin, "--out", str(stopped)]) == 2
    assert "training that is not finished" in capsys.readouterr().err
    told = record.read_text()
    record.write_text(told[:-9])
    assert main(begin) == 2
    assert "expected the record of a training as JSON" in capsys.readouterr().err
    assert not run.exists() and (stopped / "commands.jsonl").read_text() == "{}\n"
    record.write_text(told)
    assert main(begin) == main(begin) == 0
    other = ["--out", str(trained / "run"), "--policy-start", str(shipped)]
    other_vlm = shipped / "vlm.safetensors"
    kept = other_vlm.read_bytes()
    other_vlm.write_bytes(kept[:-1])
    assert main([*begin, *other]) == 2
    assert "new or begun from" in capsys.readouterr().err
    other_vlm.write_bytes(kept)
    ship = ["ship", "--run-folder", str(run), "--to", str(more), "--heads", "sync,prefix,rolled"]
    assert main(ship) == 0
    record = shipped / "training"
    for file in [f.relative_to(shipped) for f in shipped.rglob("*.*") if f.parent != record]:
        assert (more / file).read_bytes() == (shipped / file).read_bytes(), file
    for name in ("vlm.jsonl", "sync.jsonl"):
        assert (more / "training" / name).read_bytes() == (record / name).read_bytes()
    before, after = (
        json.loads((f / "training" / "commands.json").read_text()) for f in (shipped, more)
    )
    assert len(after) == len(before) + 2 and after[-1]["config"]["heads"] == "rolled"
    recipes = json.loads((more / "training" / "recipes.json").read_text())
    assert recipes["rolled"]["body"] == {"longest": 12, "probability": 0.75, "source": "RolledBody"}
    assert load_chunk_model(more, "rolled").head == "rolled"
    # A labelled training leaves the records that the policy brought along where they are.
    (run / "experts_x").mkdir()
    (run / "experts" / "rolled").rename(run / "experts_x" / "rolled")
    found = stage_folders(run, "x", ["sync", "rolled"])
    assert found["sync"] == run / "experts" / "sync"
    assert found["rolled"] == run / "experts_x" / "rolled"


def test_sizes_that_do_not_fit_are_refused_before_anything_is_written(demos, tmp_path, capfd):
    words = ["train", "--data", str(demos / "store"), "--out", str(tmp_path / "run")]
    assert main([*words, "--accumulation", "0"]) == 2
    assert "accumulation >= 1" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()
