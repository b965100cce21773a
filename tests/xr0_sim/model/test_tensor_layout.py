"""Tensor names, sizes and parameter counts of the released layout, against the built modules."""

from __future__ import annotations

import pytest
from released_files import released_config

from xr0_sim.errors import CheckpointError
from xr0_sim.model.checkpoints.released import meta_model
from xr0_sim.model.checkpoints.released_config import full_size_config, released_config_json
from xr0_sim.model.checkpoints.tensor_layout import (
    REFERENCE_BILLIONS,
    REFERENCE_TENSORS,
    TIED_NAME,
    count_parameters,
    expected_tensors,
    part_of,
)
from xr0_sim.model.spec.presets import preset_config


def module_shapes(config):
    state = meta_model(config).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in state.items() if name != TIED_NAME}


def test_full_size_has_the_published_tensors_and_parameters(capsys):
    config = full_size_config()
    model = meta_model(config)
    assert all(parameter.is_meta for parameter in model.parameters())
    shapes = {n: tuple(t.shape) for n, t in model.state_dict().items() if n != TIED_NAME}
    assert len(shapes) == REFERENCE_TENSORS
    assert shapes == expected_tensors(released_config_json(config))
    counts = count_parameters(shapes)
    with capsys.disabled():
        print("\n" + "\n".join(f"{part:<11} {n:>13,}" for part, n in counts.items()))
    for part, billions in REFERENCE_BILLIONS.items():
        digits = 1 if part == "total" else 2
        assert round(counts[part] / 1e9, digits) == billions, part
    # Qwen3-VL-4B-Instruct as its model card counts it
    assert counts["VLM"] == 4_437_815_808
    # torch counts a tied head once
    assert counts["total"] == sum(parameter.numel() for parameter in model.parameters())


def test_full_size_expert_by_hand():
    counts = count_parameters(expected_tensors(released_config_json(full_size_config())))
    h = 1024
    layer = 3 * h * h + 3 * h + h * h + 3 * 4 * h * h + 2 * 128 + 4 * h + 6 * h
    assert counts["DiT"] == 16 * layer
    projectors = 2 * (32 * h + h * h) + (h * 32 + 32 * 32)
    time = 256 * h + h * h + 6 * h * h + 6 * h
    assert counts["projectors"] == projectors + time + h


@pytest.mark.parametrize(("preset", "vlm"), [("base", 2_127_532_032), ("xr0", 4_437_815_808)])
def test_presets_on_a_public_brain_have_its_parameters(preset, vlm):
    config = preset_config(preset, action_length=10)
    shapes = {n: tuple(t.shape) for n, t in meta_model(config).state_dict().items()}
    shapes.pop(TIED_NAME)
    counts = count_parameters(shapes)
    assert counts["VLM"] == vlm
    assert counts["DiT"] == count_parameters(expected_tensors(released_config_json(config)))["DiT"]


@pytest.mark.parametrize("name", ["nano", "tiny"])
def test_small_presets_share_the_layout(name):
    config = preset_config(name)
    values = config.to_json()
    assert module_shapes(config) == expected_tensors(values)


def test_an_untied_head_is_stored():
    config = released_config()
    config["vlm_config"]["tie_word_embeddings"] = False
    assert expected_tensors(config)[TIED_NAME] == (1024, 48)
    assert TIED_NAME not in expected_tensors(released_config())


def test_parts_and_bad_config():
    assert part_of("vlm.model.visual.pos_embed.weight") == "VLM vision"
    assert part_of("vlm.model.language_model.norm.weight") == "VLM text"
    assert part_of("sink.weight") == "projectors" and part_of("score_head.weight") == "other"
    config = released_config()
    del config["dit_config"]["head_dim"]
    with pytest.raises(CheckpointError, match="head_dim"):
        expected_tensors(config)
