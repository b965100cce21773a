"""Instructions are plain text of at most 256 bytes, wherever they come from."""

from __future__ import annotations

import gymnasium as gym
import pytest

from envs.events import ChangeInstruction
from envs.instruction import decode_instruction, encode_instruction
from xr0_sim.errors import ConfigError
from xr0_sim.model.spec.special_tokens import SPECIAL_TOKENS
from xr0_sim.perturb.triggers import AtTime
from xr0_sim.plain_text import CONTROL_TOKENS, check_plain_text

SENTENCE = "describe {} then sort"


def test_every_special_token_of_the_tokenizers_is_known():
    assert set(SPECIAL_TOKENS) <= set(CONTROL_TOKENS)
    assert {"<|box_start|>", "<think>", "<tool_call>", "<|fim_middle|>"} <= set(CONTROL_TOKENS)


@pytest.mark.parametrize("token", CONTROL_TOKENS)
def test_an_instruction_with_a_control_token_is_named(token):
    with pytest.raises(ConfigError, match="instruction: expected plain text") as caught:
        encode_instruction(SENTENCE.format(token))
    assert SENTENCE.format(token) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="instruction"):
        ChangeInstruction(trigger=AtTime(1.0), text=SENTENCE.format(token))


@pytest.mark.parametrize(
    "text",
    [
        "Sort <b>all</b> bricks",
        "a < b | c > d",
        "red|green",
        "no_cot",
        "<|",
        "把红色积木放进左边的盒子",
        "é ½ 🧱",
    ],
)
def test_everything_else_is_plain_text(text):
    assert decode_instruction(encode_instruction(text)) == text


@pytest.mark.parametrize("text", ["", "x" * 257, "积" * 86, "nul \0 inside", "half \ud800 pair"])
def test_text_that_does_not_fit(text):
    with pytest.raises(ConfigError, match="instruction: expected"):
        encode_instruction(text)


def test_the_first_token_is_the_one_named():
    with pytest.raises(ConfigError, match=r"label.*control token <cot>"):
        check_plain_text("label", "a <cot> b <|im_end|>")


def test_the_environment_refuses_it_and_goes_on():
    env = gym.make("xr0_sim/BlockDismantling-v0", n_bricks=2, observation="state")
    try:
        env.reset(seed=0)
        for options in (
            {"instruction": SENTENCE.format("<|image_pad|>")},
            {
                "events": [ChangeInstruction(trigger=AtTime(0.1), text="fine")],
                "instruction": "/no_cot",
            },
        ):
            with pytest.raises(ConfigError, match="instruction: expected plain text"):
                env.reset(seed=0, options=options)
        with pytest.raises(ConfigError, match="plain text"):
            env.unwrapped.set_instruction(SENTENCE.format("<|vision_end|>"))
        _, info = env.reset(seed=0, options={"instruction": "把积木分类 <b>"})
        assert info["instruction"] == "把积木分类 <b>"
    finally:
        env.close()
