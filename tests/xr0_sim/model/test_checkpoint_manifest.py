"""Files of a checkpoint belong together: those of another task have its shapes, and are refused."""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
from safetensors.numpy import load_file, save_file

from assets import CHECKPOINT_DIR, checkpoint_names
from envs.world import WORLDS
from policies.xr0.checkpoints import checkpoint_digest
from xr0_sim.errors import CheckpointError
from xr0_sim.model.checkpoints.manifest import CORRECTION_DIR, read_manifest, record_checkpoint
from xr0_sim.model.checkpoints.shipped import load_config, save_head, save_normalizer, save_vlm
from xr0_sim.model.policy_loading import load_policy_model, random_policy_model
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.spec.presets import preset_config

SHARED = ("config.json", "vlm.safetensors", "normalizer.safetensors", "grounding.safetensors")
IN_HEAD = ("heads/sync/config.json", "heads/sync/dit.safetensors")


def write(path, task, seed):
    points = [[task, 0]]
    config = preset_config("nano", action_length=6, prefix_max=3, grounding={"points": points})
    policy = random_policy_model(config, seed)
    save_vlm(path, config, policy.model.vlm, task, 4)
    normalizer = Normalizer.identity(6)
    normalizer.state_mean[:] = seed
    save_normalizer(path, normalizer)
    for head, window in (("sync", None), ("prefix", 2)):
        switches = {"action_window": window, "grounding": {"points": points}}
        save_head(
            path, head, preset_config("nano", action_length=6, **switches), policy.model.expert
        )


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folders = [tmp_path_factory.mktemp(task) for task in ("one", "two")]
    for seed, folder in enumerate(folders):
        write(folder, f"task_{seed}", seed)
    return folders


@pytest.fixture
def pair(both, tmp_path):
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in both]


def refused(path, what, head="sync"):
    with pytest.raises(CheckpointError, match=what) as caught:
        load_policy_model(path, head)
    assert "\n" not in str(caught.value)


def test_saving_records_task_and_digests(both):
    shared, head = (read_manifest(path) for path in (both[0], both[0] / "heads" / "sync"))
    assert (shared.task, shared.execution_horizon, head.task) == ("task_0", 4, "task_0")
    assert set(shared.files) == set(SHARED[:3]) and set(head.files) == {
        "config.json",
        "dit.safetensors",
    }
    assert set(head.needs) == {"vlm.safetensors", "normalizer.safetensors"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_policy_model(both[0], "sync")


@pytest.mark.parametrize("file", [*SHARED[:3], "heads/sync/dit.safetensors"])
def test_a_file_of_another_task_is_refused(pair, file):
    mine, other = pair
    shutil.copyfile(other / file, mine / file)
    refused(mine, "task 'task_0' that manifest.json records, got another one")


def test_a_whole_head_of_another_task_is_refused_under_any_name(pair):
    mine, other = pair
    shutil.copytree(other / "heads" / "sync", mine / "heads" / "mine")
    refused(mine, "expected one for task 'task_0', got one for 'task_1'", "mine")
    (mine / "heads" / "mine" / "manifest.json").unlink()
    refused(mine, "says it belongs to task 'task_0', found none", "mine")


def test_a_head_of_the_same_task_but_another_vlm_is_refused(pair):
    mine, other = pair
    record_checkpoint(other, "task_0")
    shutil.copytree(other / "heads" / "sync", mine / "heads" / "mine")
    refused(mine, "safetensors it was trained on, got another one", "mine")


def test_a_foreign_record_does_not_cover_foreign_files(pair):
    mine, other = pair
    for name in ("manifest.json", *SHARED[:3]):
        shutil.copyfile(other / name, mine / name)
    refused(mine, "expected one for task 'task_1', got one for 'task_0'")


def test_switches_of_another_head_are_refused_and_euler_steps_are_free(pair):
    path = pair[0] / "heads" / "sync" / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"num_euler_steps": 9}))
    assert load_config(pair[0], "sync").num_euler_steps == 9
    shutil.copyfile(pair[0] / "heads" / "prefix" / "config.json", path)
    refused(pair[0], "got another one")


def test_files_beside_the_record_and_lost_ones_are_refused(pair):
    (pair[0] / "grounding.safetensors").write_bytes((pair[0] / SHARED[2]).read_bytes())
    refused(pair[0], "got grounding.safetensors beside them")
    (pair[1] / "normalizer.safetensors").unlink()
    refused(pair[1], "expected normalizer.safetensors, found none")


def test_a_checkpoint_without_a_record_loads_with_one_warning(pair):
    for path in pair[0].rglob("manifest.json"):
        path.unlink()
    with pytest.warns(UserWarning, match="nobody knows whether its files belong") as said:
        load_policy_model(pair[0], "sync")
    assert len(said) == 1


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"format": 2}', "null", '{"task": 3}', "{", "[" * 50_000]
)
@pytest.mark.parametrize("folder", [".", "heads/sync"])
def test_a_damaged_record_is_one_line(pair, folder, text):
    (pair[0] / folder / "manifest.json").write_text(text)
    refused(pair[0], "manifest")


@pytest.mark.parametrize("name", checkpoint_names())
def test_shipped_checkpoints_carry_their_record(name):
    shared = read_manifest(CHECKPOINT_DIR / name)
    assert name.startswith(shared.task) and shared.world in WORLDS
    assert shared.execution_horizon in (8, 12, 20)
    assert set(shared.files) == set(SHARED)
    for head in ("sync", "prefix", "prefix_lambda"):
        load_config(CHECKPOINT_DIR / name, head)


@pytest.mark.parametrize("file", [*SHARED[:3], *IN_HEAD, "manifest.json"])
def test_one_byte_changes_the_digest_of_the_run_card(pair, file):
    before = checkpoint_digest(pair[0])
    assert before == checkpoint_digest(pair[0]) and len(before) == 16
    data = bytearray((pair[0] / file).read_bytes())
    data[-2] ^= 1
    (pair[0] / file).write_bytes(data)
    assert checkpoint_digest(pair[0]) != before


def test_a_correction_head_is_in_no_digest_of_a_run_card(pair):
    before = checkpoint_digest(pair[0])
    folder = pair[0] / CORRECTION_DIR
    folder.mkdir()
    (folder / "head.safetensors").write_bytes(b"head")
    assert checkpoint_digest(pair[0]) == before
    folder.rename(pair[0] / "other")
    assert checkpoint_digest(pair[0]) != before


def test_one_byte_of_a_weight_is_noticed_at_load(pair):
    path = pair[0] / "heads" / "sync" / "dit.safetensors"
    tensors = load_file(path)
    tensors["sink.weight"].view("uint16")[0, 0] ^= 1
    save_file(tensors, path)
    refused(pair[0], "got another one")
