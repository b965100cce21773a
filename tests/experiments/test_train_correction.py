"""From episodes of the policy that ships to a correction head that runs, at the smallest size."""

from __future__ import annotations

import json
import re
import shutil
from typing import ClassVar

import numpy as np
import pytest

import experiments.datagen.correction_episodes as episodes
from experiments.cli import main
from policies.xr0.checkpoints import checkpoint_digest, find_checkpoint, head_digest
from policies.xr0.corrector import Corrector
from policies.xr0.loading import load_chunk_model
from xr0_sim.data.correction_store import read_episodes, stored_seeds
from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.manifest import record_head
from xr0_sim.model.correction.head import CorrectionHead
from xr0_sim.model.correction.residual import BOUND
from xr0_sim.runtime import Constant, Executor
from xr0_sim.runtime.strategies.corrected import Corrected
from xr0_sim.training.correction_training import CorrectionSamples
from xr0_sim.training.run_log import read_metrics

TICKS = 60
POLICY = "block_dismantling_world02"


def words(root, *more):
    sizes = ["--episodes", "2", "--first-seed", "7990000", "--event-share", "1", "--steps", "12"]
    # Twelve steps teach little: whatever the head says is executed.
    sizes += ["--dead-zone", "0", "0", "0"]
    return ["train-correction", "--out", str(root), "--validation", "0.5", *sizes, *more]


class Noted(episodes.Teacher):
    """Keeps what a head would be told where the teacher writes a sample down."""

    told: ClassVar[list] = []

    def _note(self, request, fresh):
        super()._note(request, fresh)
        head = Recording()
        Corrector(head, self._model.views).correct(request)
        self.told.append(head.given)


class Recording(CorrectionHead):
    def forward(self, features, now, then):
        self.given = (features[0].numpy(), now[0].numpy(), then[0].numpy())
        return super().forward(features, now, then)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a short training, and what the head would have been told at each sample."""
    root = tmp_path_factory.mktemp("correction")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(episodes.CorrectionEpisodeConfig, "__init__", _short(episodes))
        patch.setattr(episodes, "Teacher", Noted)
        Noted.told = []
        assert main(words(root)) == 0
    return root, Noted.told


def _short(module):
    original = module.CorrectionEpisodeConfig.__init__

    def __init__(self, **fields):
        original(self, **{"max_ticks": TICKS, **fields})

    return __init__


def test_samples_are_what_the_head_is_told_at_run_time(run):
    root, told = run
    samples = CorrectionSamples.of_store(root / "episodes")
    assert len(samples.features) == len(told) > 20
    for k, (features, now, then) in enumerate(told):
        np.testing.assert_allclose(samples.features[k], features, atol=2e-4)
        np.testing.assert_array_equal(samples.now[k], now)
        np.testing.assert_array_equal(samples.then[samples.chunk[k]], then)
    assert (np.abs(samples.targets) <= BOUND + 1e-6).all() and samples.targets.std() > 0


def test_ticks_rows_and_gains_are_kept(run):
    arrays, seed = read_episodes(run[0] / "episodes")
    assert stored_seeds(run[0] / "episodes") == [7990000, 7990001] == np.unique(seed).tolist()
    gaps = np.diff(arrays["tick"])[np.diff(seed) == 0]
    assert ((gaps >= 2) & (gaps <= 4)).all()
    # 80 ms are three ticks; the first chunk is captured at a standstill.
    late = arrays["age_ticks"] - arrays["index"]
    assert set(late.tolist()) == {0, 3}
    assert set(arrays["gain"].tolist()) <= {0.0, 0.3, 0.6, 1.0}


def test_the_head_runs_in_a_copy_of_its_policy_and_changes_actions(run):
    checkpoint = run[0] / "checkpoint"
    rows = read_metrics(run[0] / "head")
    assert rows[-1]["planned_mm"] > 0 and {"corrected_mm", "correction_mm"} <= set(rows[-1])
    record = json.loads((checkpoint / "correction" / "record.json").read_text())
    assert record["episodes"] == {"count": 2, "seeds": [7990000, 7990001]}
    assert str(run[0]) not in json.dumps(record)
    model = load_chunk_model(checkpoint, "sync")
    assert "correct" in model.capabilities
    assert "correct" not in load_chunk_model(checkpoint, "prefix").capabilities
    from envs.tasks import make_env

    env = make_env("block_dismantling", image_size=128, n_bricks=2)
    env.reset_scene(5)
    executor = Executor(model, Corrected(20), Constant(0.08))
    executor.reset(5, env.robot_state().command)
    changed, told = 0, 0.0
    for _ in range(8):
        record = executor.tick(env.observe)
        slot = executor._last_slot
        if not record.hold:
            changed += not np.array_equal(record.action, slot.chunk.actions[slot.index])
            told = record.correction_flops
        env.advance(record.action)
    assert changed == 5
    assert told == CorrectionHead().flops()


def test_a_finished_training_is_left_alone(run, capsys):
    files = {p: p.stat().st_mtime_ns for p in (run[0] / "episodes").glob("*.npz")}
    weights = (run[0] / "checkpoint" / "correction" / "head.safetensors").read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(episodes.CorrectionEpisodeConfig, "__init__", _short(episodes))
        assert main(words(run[0])) == 0
    assert files == {p: p.stat().st_mtime_ns for p in (run[0] / "episodes").glob("*.npz")}
    assert weights == (run[0] / "checkpoint" / "correction" / "head.safetensors").read_bytes()


@pytest.mark.parametrize("stage", ["collect", "train"])
@pytest.mark.parametrize(
    ("more", "differs"),
    [
        (["--latency-ms", "200"], "episodes"),
        (["--head", "prefix"], "head, weights"),
        (["--checkpoint", "block_dismantling"], "checkpoint, episodes, weights"),
    ],
)
def test_data_made_otherwise_are_not_mixed_in(run, capsys, stage, more, differs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(episodes.CorrectionEpisodeConfig, "__init__", _short(episodes))
        assert main(words(run[0], "--stages", stage, *more)) == 2
    assert f"expected data made with the same {differs}, got" in capsys.readouterr().err


def test_training_without_episodes_writes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    assert main(words(out, "--stages", "train")) == 2
    assert "expected episodes, found none" in capsys.readouterr().err
    assert not out.exists()


def test_a_policy_without_a_head_is_refused(run):
    model = load_chunk_model(POLICY, "prefix")
    with pytest.raises(ConfigError, match="expected a chunk model that can do correct"):
        Executor(model, Corrected(20))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--stages", "play"], "stage"),
        (["--steps", "0"], "--steps: expected 1"),
        (["--events", "earthquake"], "earthquake"),
    ],
)
def test_options_without_sense_are_refused(tmp_path, capsys, more, told):
    assert main(words(tmp_path, *more)) == 2
    assert re.search(told, capsys.readouterr().err)


def test_another_head_beside_it_leaves_the_data_of_a_head_valid(tmp_path):
    own = tmp_path / "policy"
    shutil.copytree(find_checkpoint(POLICY), own)
    before = head_digest(own, "sync"), checkpoint_digest(own)
    shutil.rmtree(own / "heads" / "prefix")
    assert head_digest(own, "sync") == before[0] != head_digest(own, "prefix_lambda")
    assert checkpoint_digest(own) != before[1]
    (own / "vlm.safetensors").write_bytes(b"other weights")
    record_head(own, "sync")
    assert head_digest(own, "sync") != before[0]
