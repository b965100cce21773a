"""Views of any title and pictures of several sizes, on weights in the released layout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from released_files import write_released

from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.released import load_released, released_processor
from xr0_sim.model.vlm.forward import forward
from xr0_sim.model.vlm.prompt import PUBLISHED_HEADER, prompt_text, view_title
from xr0_sim.model.vlm.stock import stock_forward, stock_positions, stock_vlm
from xr0_sim.model.vlm.tokenizer import build_tokenizer, prompt_corpus, save_tokenizer

TASKS = ["Fold the towel.", "Put the red brick into the left bin."]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    directory = tmp_path_factory.mktemp("released")
    write_released(directory)
    save_tokenizer(build_tokenizer(prompt_corpus()), directory)
    return directory


@pytest.fixture(scope="module")
def model(checkpoint):
    return load_released(checkpoint)


def pictures(*sizes, frames=2):
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (frames, *size, 3), dtype=np.uint8) for size in sizes]


@pytest.mark.parametrize("name", ["ego", "Ego View", "# Ego View"])
def test_the_published_prompt_of_one_ego_view(name):
    assert prompt_text("Pick up the can.", 1, (name,), PUBLISHED_HEADER) == (
        "<|im_start|>user\n"
        "The following observations are captured from multiple views.\n"
        "# Ego View\n<|vision_start|><|image_pad|><|vision_end|>\n"
        "Generate robot actions for the task:\n"
        "Pick up the can. /no_cot<|im_end|>\n"
        "<|im_start|>assistant\n<cot></cot><|im_end|>\n"
    )


def test_any_title_and_no_title():
    assert view_title("Right-Gripper Tactile View") == "# Right-Gripper Tactile View"
    assert view_title("#Top") == "# Top" and view_title("base") == "# Base View"
    with pytest.raises(ConfigError, match="did you mean 'base'"):
        view_title("bse")
    for wrong, expected in (
        ("# ", "unknown camera"),
        ("Two\nlines here", "one line"),
        ("A <|image_pad|> View", r"plain text.*<\|image_pad\|>"),
    ):
        with pytest.raises(ConfigError, match=expected):
            view_title(wrong)


@pytest.mark.parametrize(
    ("cameras", "sizes", "grids"),
    [
        (("base", "left_wrist"), [(200, 200), (84, 84)], [(12, 12), (6, 6)]),
        (("ego", "left_wrist", "right_wrist"), [(64, 96), (84, 84), (64, 96)], [(4, 6), (6, 6)]),
        (("Ego View",), [(256, 320)], [(16, 20)]),
    ],
)
def test_equals_the_stock_forward_on_pictures_of_several_sizes(
    checkpoint, model, cameras, sizes, grids
):
    processor = released_processor(checkpoint, model.config, cameras)
    inputs = processor(pictures(*sizes), TASKS)
    assert [group.grid for group in inputs.pictures] == grids
    assert (inputs.input_ids.flatten()[inputs.image_index] == processor.image_id).all()
    assert len(inputs.image_index) == (inputs.input_ids == processor.image_id).sum()
    stock = inputs.stock(processor.image_id)
    # Every picture in the order of the prompt, prompt by prompt.
    by_size = {size: (round(size[0] / 32) * 2, round(size[1] / 32) * 2) for size in sizes}
    assert stock["image_grid_thw"].tolist() == [[1, *by_size[size]] for size in sizes] * 2
    public = stock_vlm(model.vlm)
    positions = stock_positions(public, inputs)
    real = inputs.key_mask()
    assert torch.equal(positions[:, real], inputs.position_ids[:, real])
    with torch.no_grad():
        _, cache = forward(model.vlm, inputs, 2)
        theirs = stock_forward(public, inputs, use_cache=True).past_key_values.layers[-2:]
    for mine, layer in zip(cache.layers, theirs, strict=True):
        seen = real[:, None, :, None].expand_as(mine[0])
        torch.testing.assert_close(mine[0][seen], layer.keys[seen], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(mine[1][seen], layer.values[seen], atol=1e-5, rtol=1e-5)


def test_patches_are_those_of_each_picture_alone(checkpoint, model):
    processor = released_processor(checkpoint, model.config, ("base", "left_wrist"))
    base, wrist = pictures((200, 200), (84, 84))
    inputs = processor([base, wrist], TASKS)
    alone = released_processor(checkpoint, model.config, ("base",))
    for view, group in ((base, inputs.pictures[0]), (wrist, inputs.pictures[1])):
        assert torch.equal(group.patches, alone([view], TASKS).patches)


def test_one_size_is_one_array_or_a_list(checkpoint, model):
    processor = released_processor(checkpoint, model.config)
    views = pictures((64, 96), (64, 96), (64, 96))
    listed, stacked = processor(views, TASKS), processor(np.stack(views, axis=1), TASKS)
    assert torch.equal(listed.patches, stacked.patches) and listed.image_grid == (4, 6)
    assert torch.equal(listed.image_index, stacked.image_index)
    two = released_processor(checkpoint, model.config, ("base", "left_wrist"))
    with pytest.raises(ConfigError, match="one size"):
        _ = two(pictures((64, 96), (32, 32)), TASKS).patches
    with pytest.raises(ConfigError, match=r"expected \(2, H, W, 3\) for each of base, left_wrist"):
        two(views, TASKS)
    with pytest.raises(ConfigError, match="for each of base, left_wrist"):
        two(pictures((64, 96), (32, 32), frames=1), TASKS)


@pytest.mark.parametrize("token", ["<|image_pad|>", "/no_cot", "<|im_end|>", "<think>", "</cot>"])
def test_the_processor_names_an_instruction_that_is_no_plain_text(checkpoint, model, token):
    processor = released_processor(checkpoint, model.config)
    views = pictures((64, 96), (64, 96), (64, 96), frames=1)
    with pytest.raises(ConfigError, match="instruction: expected plain text") as caught:
        processor(views, [f"describe {token} then sort"])
    assert token in str(caught.value) and "describe" in str(caught.value)
    with pytest.raises(ConfigError, match="plain text"):
        processor.text_only([token])


def test_tokens_of_the_tokenizer_at_hand_are_refused_too(checkpoint, model, tmp_path):
    tokenizer = build_tokenizer(prompt_corpus())
    tokenizer.add_special_tokens(["<|robot|>"])
    save_tokenizer(tokenizer, tmp_path)
    processor = released_processor(tmp_path, model.config)
    with pytest.raises(ConfigError, match=r"<\|robot\|>"):
        processor.prompt("move <|robot|>", (64, 64))
    plain = released_processor(checkpoint, model.config)
    assert len(plain.prompt("move <|robot|> a < b | c > d <0>", (64, 64)).ids) > 0
