"""Action statistics per robot type: masks, scaling per chunk index, slots, file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from released_files import write_statistics

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.spec.action_layout import action_valid
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.spec.robot_schema import (
    ACTION_SLOTS,
    RobotSchema,
    load_schemas,
    save_schemas,
)
from xr0_sim.model.vlm.processor import XR0Processor

ARM = [0, 1, 2, 3, 4, 5, 6]


@pytest.fixture
def statistics(tmp_path):
    mean, std = write_statistics(tmp_path, ARM)
    return tmp_path, mean, std


def test_the_file_gives_masks_and_slots(statistics):
    directory, mean, std = statistics
    schema = load_schemas(directory)["tiny_arm"]
    np.testing.assert_array_equal(schema.mean, mean)
    assert schema.action_length == 4
    assert schema.action_mask.sum() == 4 * len(ARM) and schema.action_mask[:, ARM].all()
    assert list(schema.slots) == ["left_tool_pos", "left_tool_rot", "left_jaw"]
    edge = RobotSchema("edge", mean, np.full_like(std, 1e-5))
    assert not edge.action_mask.any(), "the spread must exceed 1e-5"


def test_scaling_is_per_chunk_index_and_follows_the_release(statistics):
    directory, mean, std = statistics
    schema = load_schemas(directory)["tiny_arm"]
    normalised = np.random.default_rng(0).normal(size=(3, 4, 32))
    np.testing.assert_allclose(schema.decode(normalised), normalised * std + mean)
    physical = schema.decode(normalised)
    encoded = schema.encode(physical)
    np.testing.assert_allclose(
        encoded[..., ARM], (physical - mean)[..., ARM] / (std[:, ARM] + 1e-6), rtol=1e-5
    )
    assert (encoded[..., 7:] == 0).all()
    np.testing.assert_allclose(encoded[..., ARM], normalised[..., ARM], atol=1e-4)
    np.testing.assert_array_equal(schema.encode(physical[:, :2]), encoded[:, :2])
    assert not np.allclose(schema.decode(normalised[:, ::-1])[:, ::-1], physical)


def test_slots_cover_the_dual_arm_layout():
    covered = np.zeros(32, int)
    for part in ACTION_SLOTS.values():
        covered[part] += 1
    np.testing.assert_array_equal(covered, action_valid().astype(int))
    assert ACTION_SLOTS["right_joints"] == slice(21, 27)
    assert ACTION_SLOTS["right_jaw"] == slice(20, 21)


def test_our_normaliser_is_a_robot_type_with_the_same_inverse():
    rng = np.random.default_rng(1)
    normalizer = Normalizer(
        rng.normal(size=(5, 32)).astype(np.float32),
        rng.uniform(0.01, 2.0, size=(5, 32)).astype(np.float32),
        np.zeros(32, np.float32),
        np.ones(32, np.float32),
    )
    schema = RobotSchema.of("dual_arm", normalizer, action_valid())
    assert (schema.action_mask == action_valid()).all() and list(schema.slots) == list(ACTION_SLOTS)
    actions = rng.normal(size=(2, 5, 32)) * action_valid()
    want = normalizer.denormalize_actions(actions) * action_valid()
    np.testing.assert_allclose(schema.decode(actions), want, rtol=1e-12, atol=1e-12)


def test_the_processor_decodes_by_robot_type(statistics):
    directory, mean, std = statistics
    processor = XR0Processor(preset_config("nano"), schemas=load_schemas(directory))
    assert processor.robot_types == ["tiny_arm"]
    mask = processor.action_mask("tiny_arm", batch_size=3)
    assert mask.shape == (3, 4, 32) and mask.dtype == torch.float32
    np.testing.assert_array_equal(mask[1].bool().numpy(), std > 1e-5)
    actions = torch.randn(3, 4, 32, generator=torch.Generator().manual_seed(0)).bfloat16()
    decoded = processor.decode_action(actions, "tiny_arm")
    np.testing.assert_allclose(decoded, actions.float().numpy() * std + mean, rtol=1e-6)
    with pytest.raises(ConfigError, match="did you mean 'tiny_arm'"):
        processor.decode_action(actions, "tiny_amr")
    with pytest.raises(ConfigError, match="expected a processor with action statistics"):
        XR0Processor(preset_config("nano")).action_mask("tiny_arm")


def test_saving_keeps_the_rest_of_the_file(statistics):
    directory, _, _ = statistics
    schemas = load_schemas(directory)
    save_schemas(directory, schemas | {"second": schemas["tiny_arm"]})
    again = load_schemas(directory)
    assert sorted(again) == ["second", "tiny_arm"]
    np.testing.assert_array_equal(again["second"].std, schemas["tiny_arm"].std)
    kept = json.loads((directory / "preprocessor_config.json").read_text())
    assert kept["image_processor_type"] == "Qwen2VLImageProcessor"


@pytest.mark.parametrize(
    "text",
    ["{", "{}", '{"action_config": {"a": {"mean": [0]}}}', '{"action_config": {"a": {}}}',
     '{"action_config": {"a": {"mean": [[0, 1]], "std": [[1, 1]]}}}'],
)  # fmt: skip
def test_damaged_statistics_are_one_line(tmp_path, text):
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(CheckpointError, match="preprocessor_config") as caught:
        load_schemas(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError):
        load_schemas(tmp_path / "nowhere")


def test_bad_shapes_are_named(statistics):
    schema = load_schemas(statistics[0])["tiny_arm"]
    with pytest.raises(ConfigError, match="at most 4, 32"):
        schema.decode(np.zeros((5, 32)))
    with pytest.raises(ConfigError, match="at most 4, 32"):
        schema.encode(np.zeros((4, 14)))
    with pytest.raises(ConfigError, match="std >= 0"):
        RobotSchema("x", np.zeros((2, 32)), np.full((2, 32), -1.0))
