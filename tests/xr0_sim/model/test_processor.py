"""Prompts, tokenizer and patches; everything offline."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.images import MAX_PIXELS, fit_images, fitted_size, to_patches
from xr0_sim.model.vlm.processor import XR0Processor, shipped_tokenizer_dir
from xr0_sim.model.vlm.prompt import prompt_text
from xr0_sim.model.vlm.tokenizer import (
    build_tokenizer,
    load_tokenizer,
    prompt_corpus,
    save_tokenizer,
)


@pytest.mark.parametrize("temporal", [1, 2])
def test_patches_equal_the_stock_image_processor(temporal):
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    stock = Qwen2VLImageProcessorPil(
        patch_size=16,
        temporal_patch_size=temporal,
        merge_size=2,
        size={"shortest_edge": 32 * 32, "longest_edge": MAX_PIXELS},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 96, 128, 3), dtype=np.uint8)
    want = stock(images=list(images), return_tensors="np", input_data_format="channels_last")
    got = to_patches(fit_images(images), 16, 2, temporal)
    np.testing.assert_allclose(got.flatten(0, 1).numpy(), want["pixel_values"], atol=1e-5)
    assert want["image_grid_thw"].tolist() == [[1, 6, 8]] * 2


@pytest.mark.parametrize(
    ("size", "fitted"),
    [((128, 128), (128, 128)), ((120, 150), (128, 160)), ((20, 20), (32, 32)),
     ((480, 640), (256, 320)), ((300, 300), (288, 288))],
)  # fmt: skip
def test_image_sizes(size, fitted):
    assert fitted_size(*size) == fitted
    assert fitted[0] * fitted[1] <= MAX_PIXELS


def test_prompt_wording():
    text = prompt_text("Fold the towel.", 2)
    assert text == (
        "<|im_start|>user\n"
        "# Base View\n<|vision_start|><|image_pad|><|image_pad|><|vision_end|>\n"
        "# Left-Wrist View\n<|vision_start|><|image_pad|><|image_pad|><|vision_end|>\n"
        "# Right-Wrist View\n<|vision_start|><|image_pad|><|image_pad|><|vision_end|>\n"
        "Generate robot actions for the task:\nFold the towel. /no_cot<|im_end|>\n"
        "<|im_start|>assistant\n<cot></cot><|im_end|>\n"
    )


def test_shipped_tokenizer_is_what_the_corpus_gives(tmp_path):
    save_tokenizer(build_tokenizer(prompt_corpus()), tmp_path)
    shipped = shipped_tokenizer_dir("tokenizer") / "tokenizer.json"
    assert (tmp_path / "tokenizer.json").read_bytes() == shipped.read_bytes()


def test_any_text_survives_the_tokenizer():
    tokenizer = load_tokenizer(shipped_tokenizer_dir("tokenizer"))
    text = "Ünusual wörds & symbols → 3.5 mm"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_prompts_are_short_and_batches_padded():
    config = preset_config("tiny")
    processor = XR0Processor(config)
    texts = ["Fold the towel in half.", "Put the red brick into the left bin."]
    for text in texts:
        prompt = processor.prompt(text, (128, 128))
        assert len(prompt.image_places) == 48 and len(prompt.ids) - 48 <= 62
        assert processor.prompt(text, (128, 128)) is prompt
    images = np.zeros((2, 3, 128, 128, 3), np.uint8)
    inputs = processor(images, texts)
    assert inputs.patches.shape == (6, 64, 3 * 16 * 16) and inputs.image_grid == (8, 8)
    flat = inputs.input_ids.flatten()[inputs.image_index]
    assert (flat == config.vlm_config.image_token_id).all() and len(flat) == 96


def test_bad_input_is_named(tmp_path):
    processor = XR0Processor(preset_config("nano"))
    with pytest.raises(ConfigError, match=r"expected \(1, 3"):
        processor(np.zeros((1, 2, 64, 64, 3), np.uint8), ["x"])
    with pytest.raises(ConfigError, match="uint8"):
        processor(np.zeros((1, 3, 64, 64, 3)), ["x"])
    with pytest.raises(CheckpointError, match="tokenizer"):
        load_tokenizer(tmp_path)


def test_normalised_range():
    white = np.full((1, 32, 32, 3), 255, np.uint8)
    torch.testing.assert_close(to_patches(white, 16, 2, 1), torch.ones(1, 4, 768))
