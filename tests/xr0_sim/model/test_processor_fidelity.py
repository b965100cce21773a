"""The published prompt, the stock image rule and a foreign Qwen3-VL tokenizer."""

from __future__ import annotations

import numpy as np
import pytest
from released_files import released_config

from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.released_config import load_released_config
from xr0_sim.model.spec.image_rules import MAX_PIXELS, image_size
from xr0_sim.model.spec.presets import preset_config
from xr0_sim.model.vlm.processor import XR0Processor
from xr0_sim.model.vlm.prompt import PUBLISHED_HEADER, prompt_text
from xr0_sim.model.vlm.tokenizer import save_tokenizer


def test_published_prompt():
    """Wording of the release README, with the third view of the dual-arm robot."""
    assert prompt_text("Pick up the red block.", 1, header=PUBLISHED_HEADER) == (
        "<|im_start|>user\n"
        "The following observations are captured from multiple views.\n"
        "# Base View\n<|vision_start|><|image_pad|><|vision_end|>\n"
        "# Left-Wrist View\n<|vision_start|><|image_pad|><|vision_end|>\n"
        "# Right-Wrist View\n<|vision_start|><|image_pad|><|vision_end|>\n"
        "Generate robot actions for the task:\n"
        "Pick up the red block. /no_cot<|im_end|>\n"
        "<|im_start|>assistant\n<cot></cot><|im_end|>\n"
    )
    two = prompt_text("x", 1, ("base", "left_wrist"), PUBLISHED_HEADER)
    assert "Right-Wrist" not in two and two.count("<|image_pad|>") == 2


def test_qwen_rule_equals_the_stock_one():
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    rng = np.random.default_rng(0)
    chosen = [[239, 383], [480, 640], [128, 128], [8, 9]]
    sizes = [*rng.integers(1, 1200, (4000, 2)).tolist(), *chosen]
    for height, width in sizes:
        if max(height, width) / min(height, width) > 200:
            continue
        want = smart_resize(height, width, 32, 32 * 32, MAX_PIXELS)
        assert image_size(height, width, "qwen") == want, (height, width)
    assert image_size(239, 383, "qwen") != image_size(239, 383, "fit")
    with pytest.raises(ConfigError, match="did you mean 'qwen'"):
        image_size(10, 10, "qwenn")
    with pytest.raises(ConfigError, match="positive sides"):
        image_size(0, 10, "qwen")


def test_the_rule_of_the_config_is_the_one_used():
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 239, 383, 3), dtype=np.uint8)
    for rule, grid in (("fit", (14, 22)), ("qwen", (14, 24))):
        processor = XR0Processor(preset_config("nano", image_rule=rule))
        assert processor(images, ["Fold the towel."]).image_grid == grid
        assert processor.expected_size(239, 383) == (grid[0] * 16, grid[1] * 16)
    with pytest.raises(ConfigError, match="image_rule: expected"):
        preset_config("nano", image_rule="crop")


def qwen_like_tokenizer():
    """Byte-level vocabulary first, special tokens behind it, none for the chain of thought."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>",
             "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")  # fmt: skip
    tokenizer.add_special_tokens([AddedToken(n, special=True, normalized=False) for n in names])
    return tokenizer


def test_a_qwen_tokenizer_on_disk_is_used_as_it_is(tmp_path):
    import json

    tokenizer = qwen_like_tokenizer()
    save_tokenizer(tokenizer, tmp_path)
    image_token = tokenizer.token_to_id("<|image_pad|>")
    assert image_token == 262 and tokenizer.token_to_id("<cot>") is None
    config = released_config(vocabulary=300, image_token=image_token)
    (tmp_path / "config.json").write_text(json.dumps(config))
    processor = XR0Processor(load_released_config(tmp_path), tmp_path)
    images = np.zeros((2, 3, 64, 96, 3), np.uint8)
    inputs = processor(images, ["Fold it.", "Put the red brick into the left bin."])
    text = prompt_text("Fold it.", 6, header=PUBLISHED_HEADER)
    length = int(inputs.lengths[0])
    assert inputs.input_ids[0, :length].tolist() == tokenizer.encode(text).ids
    decoded = tokenizer.decode(inputs.input_ids[0, :length].tolist(), skip_special_tokens=False)
    assert decoded == text
    assert (inputs.input_ids.flatten()[inputs.image_index] == image_token).all()
    assert inputs.patches.shape == (6, 24, 2 * 3 * 16 * 16)
    with pytest.raises(ConfigError, match="use the tokenizer the model was built for"):
        XR0Processor(preset_config("nano"), tmp_path)


def test_equals_the_stock_qwen3_vl_processor(tmp_path):
    """Same text and pictures through transformers: ids, patches and grids."""
    import json

    from transformers import PreTrainedTokenizerFast, Qwen3VLProcessor
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    class WithoutVideos(Qwen3VLProcessor):
        """Its video part needs torchvision, which is no dependency here."""

        def check_argument_for_proper_class(self, argument_name, argument):
            if argument_name != "video_processor":
                super().check_argument_for_proper_class(argument_name, argument)

    tokenizer = qwen_like_tokenizer()
    save_tokenizer(tokenizer, tmp_path)
    config = released_config(vocabulary=300, image_token=262)
    (tmp_path / "config.json").write_text(json.dumps(config))
    processor = XR0Processor(load_released_config(tmp_path), tmp_path, ("base", "left_wrist"))
    images = np.random.default_rng(1).integers(0, 256, (1, 2, 120, 200, 3), dtype=np.uint8)
    inputs = processor(images, ["Pick up the red block."])
    stock = WithoutVideos(
        Qwen2VLImageProcessorPil(
            patch_size=16,
            temporal_patch_size=2,
            merge_size=2,
            size={"shortest_edge": 32 * 32, "longest_edge": MAX_PIXELS},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<|endoftext|>"),
        video_processor=None,
    )
    text = prompt_text("Pick up the red block.", 1, ("base", "left_wrist"), PUBLISHED_HEADER)
    want = stock(text=[text], images=list(images[0]), return_tensors="np")
    np.testing.assert_array_equal(inputs.input_ids.numpy(), want["input_ids"])
    got = inputs.patches.flatten(0, 1).numpy()
    np.testing.assert_allclose(got, want["pixel_values"], atol=1e-5)
    assert want["image_grid_thw"].tolist() == [[1, *inputs.image_grid]] * 2
