"""Shipped checkpoints: round trip, damage, head names, deterministic sampling, exact prefixes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.checkpoints.manifest import record_shared
from xr0_sim.model.checkpoints.shipped import (
    HEAD_FILE,
    head_names,
    load_config,
    load_vlm,
    save_head,
    save_vlm,
    save_weights,
)
from xr0_sim.model.policy_loading import load_policy_model, random_policy_model
from xr0_sim.model.spec.action_layout import ArmTargets, decode_joints
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.rotations import quat_from_rotvec
from xr0_sim.types import RobotState


@pytest.fixture(scope="module")
def policy():
    return random_policy_model(preset_config("nano", action_length=6, prefix_max=3), seed=0)


@pytest.fixture
def shipped(policy, tmp_path):
    save_vlm(tmp_path, policy.config, policy.model.vlm)
    policy.normalizer.save(tmp_path / "normalizer.safetensors")
    save_head(tmp_path, "prefix", policy.config, policy.model.expert)
    config = preset_config("nano", action_length=6, action_window=2, noisy_position_offset=10)
    other = random_policy_model(config, seed=1)
    save_head(tmp_path, "prefix_lambda", config, other.model.expert)
    return tmp_path


def scene(seed, frames=2):
    rng = np.random.default_rng(seed)
    robot = RobotState(
        joint_pos=rng.normal(size=(frames, 2, 6)),
        joint_vel=rng.normal(size=(frames, 2, 6)),
        jaw=rng.uniform(size=(frames, 2)),
        tool_pos=rng.normal(size=(frames, 2, 3)),
        tool_quat=quat_from_rotvec(rng.normal(size=(frames, 2, 3))),
        command=rng.normal(size=(frames, 14)),
    )
    images = rng.integers(0, 256, (frames, 3, 64, 64, 3), dtype=np.uint8)
    prefix = ArmTargets.from_actions(
        rng.normal(size=(2, 14)),
        rng.normal(size=(2, 2, 3)),
        quat_from_rotvec(rng.normal(size=(2, 2, 3))),
    )
    return images, ["Fold the towel.", "Open the gripper."], robot, prefix


def test_layout_and_head_switches(shipped):
    assert head_names(shipped) == ["prefix", "prefix_lambda"]
    assert (shipped / "vlm.safetensors").is_file() and (shipped / "config.json").is_file()
    assert load_config(shipped, "prefix").prefix_max == 3
    config = load_config(shipped, "prefix_lambda")
    assert (config.action_window, config.noisy_position_offset) == (2, 10)
    assert not list(shipped.rglob(".*.part*"))


def test_round_trip_up_to_half_precision(policy, shipped):
    loaded = load_policy_model(shipped, "prefix")
    mine, theirs = policy.model.state_dict(), loaded.model.state_dict()
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor.half().float(), theirs[name])


def test_tiny_head_fits_ten_megabytes(tmp_path):
    config = preset_config("tiny")
    model = XR0ForActionGeneration(config)
    save_head(tmp_path, "base", config, model.expert)
    assert (tmp_path / "heads" / "base" / HEAD_FILE).stat().st_size <= 10e6


def test_unknown_head_suggests(shipped):
    with pytest.raises(ConfigError, match="did you mean 'prefix_lambda'"):
        load_policy_model(shipped, "prefix_lamda")


@pytest.mark.parametrize("file", ["vlm.safetensors", "heads/prefix/dit.safetensors"])
def test_truncated_weights_are_one_line(shipped, file):
    path = shipped / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="complete safetensors") as caught:
        load_policy_model(shipped, "prefix")
    assert "\n" not in str(caught.value)


def test_wrong_shapes_and_missing_files(policy, shipped, tmp_path):
    weights = dict(policy.model.expert.state_dict())
    weights["sink.weight"] = torch.zeros(1, 7)
    save_weights(shipped / "heads" / "prefix" / HEAD_FILE, weights)
    with pytest.raises(CheckpointError, match=r"sink.weight has shape \(1, 7\)"):
        load_policy_model(shipped, "prefix")
    (shipped / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="readable JSON"):
        load_policy_model(shipped, "prefix")
    weights["sink.weight"] = torch.full((1, 32), float("nan"))
    with pytest.raises(CheckpointError, match="diverged"):
        save_weights(tmp_path / "x", weights)


def test_a_stored_output_head_is_accepted_where_it_is_the_embedding(policy, tmp_path):
    from safetensors.torch import load_file, save_file

    save_vlm(tmp_path, policy.config, policy.model.vlm)
    file = tmp_path / "vlm.safetensors"
    tensors = load_file(file)
    head = tensors["model.language_model.embed_tokens.weight"].clone()
    save_file(tensors | {"lm_head.weight": head}, file)
    vlm = XR0ForActionGeneration(policy.config).vlm
    load_vlm(tmp_path, vlm)
    assert torch.equal(vlm.lm_head.weight, head.float())
    record_shared(tmp_path, ["vlm.safetensors"])
    assert load_config(tmp_path).preset == "nano"
    head[3, 1] += 1.0
    save_file(tensors | {"lm_head.weight": head}, file)
    with pytest.raises(CheckpointError, match=r"expected lm_head\.weight to equal") as caught:
        load_vlm(tmp_path, vlm)
    assert "\n" not in str(caught.value)


def test_sampling_is_deterministic_per_seed_and_independent_of_the_batch(policy):
    images, texts, robot, _ = scene(0)
    seeds = [(7, 0), (7, 1)]
    first = policy.predict(images, texts, robot, [None, None], seeds)
    again = policy.predict(images, texts, robot, [None, None], seeds)
    np.testing.assert_array_equal(first, again)
    other = policy.predict(images, texts, robot, [None, None], [(7, 0), (8, 1)])
    np.testing.assert_array_equal(first[0], other[0])
    assert not np.allclose(first[1], other[1])
    half = RobotState(**{k: v[:1] for k, v in robot.__dict__.items()})
    alone = policy.predict(images[:1], texts[:1], half, [None], seeds[:1])
    np.testing.assert_allclose(alone[0], first[0], atol=1e-4)


def test_a_state_that_is_no_number_is_refused(policy):
    images, texts, robot, _ = scene(3)
    robot.joint_pos[1, 0, 2] = np.nan
    with pytest.raises(ConfigError, match="observation joint_pos: expected finite"):
        policy.predict(images, texts, robot, [None, None], [(1, 0), (1, 1)])


def test_first_rows_equal_the_prefix(policy):
    images, texts, robot, prefix = scene(1)
    relative = policy.predict(images, texts, robot, [None, prefix], [(1, 0), (1, 1)])
    second = RobotState(**{k: v[1] for k, v in robot.__dict__.items()})
    actions = decode_joints(relative[1], second).reshape(-1, 2, 7)
    np.testing.assert_allclose(actions[:2, :, :6], prefix.joint_pos, atol=1e-5)
    np.testing.assert_allclose(actions[:2, :, 6], prefix.jaw, atol=1e-5)
    free = policy.predict(images, texts, robot, [None, None], [(1, 0), (1, 1)])
    np.testing.assert_array_equal(free[0], relative[0])
    assert not np.allclose(free[1, 2:], relative[1, 2:]), "the suffix listens to the prefix"


def test_prefix_rows_come_back_bit_for_bit(policy):
    images, texts, _, _ = scene(2)
    with torch.no_grad():
        cache = policy.model.encode(policy.processor(images, texts))
    prefix = torch.randn(2, 3, 32, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([3, 1])
    sampled = policy.model.sample_actions(
        cache, torch.zeros(2, 32), prefix, lengths, torch.Generator().manual_seed(1)
    )
    assert torch.equal(sampled[0, :3], prefix[0]) and torch.equal(sampled[1, :1], prefix[1, :1])
    with pytest.raises(ConfigError, match="prefix"):
        policy.model.sample_actions(
            cache, torch.zeros(2, 32), prefix, torch.tensor([4, 0]), torch.Generator()
        )


def test_transformers_round_trip_and_auto_classes(policy, tmp_path):
    from transformers import AutoModel

    from xr0_sim.model.auto_classes import pretrained, register_auto_classes

    register_auto_classes()
    pretrained(policy.model).save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    loaded = AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, XR0ForActionGeneration)
    assert loaded.expert.dit is loaded.dit
    for name, tensor in policy.model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name]), name


def test_tensor_names_follow_the_release(policy):
    names = {name for name in policy.model.state_dict() if not name.startswith("vlm.")}
    layer = {
        "attn.qkv_proj.weight", "attn.qkv_proj.bias", "attn.o_proj.weight", "attn.q_norm.weight",
        "attn.k_norm.weight", "mlp.gate_proj.weight", "mlp.up_proj.weight", "mlp.down_proj.weight",
        "input_layernorm.weight", "middle_layernorm.weight", "post_layernorm.weight",
        "final_layernorm.weight", "adaln_table",
    }  # fmt: skip
    wanted = {f"dit.layers.{i}.{name}" for i in range(2) for name in layer}
    for projector in ("state_projector", "action_projector", "action_output_layer"):
        wanted |= {f"{projector}.layers.0.weight", f"{projector}.layers.2.weight"}
    wanted |= {"t_embedder.mlp.0.weight", "t_embedder.mlp.2.weight", "sink.weight"}
    wanted |= {"t_projector.layers.0.weight", "t_projector.layers.0.bias"}
    assert names == wanted
