"""Instructions are plain text: what a tokenizer would read as control is refused.

A language model's tokenizer turns some strings into single tokens that structure the prompt: turns,
pictures, chains of thought. Inside an instruction they would open another turn or claim a picture
that is not there. The check lives here, so that environments, events and the model's processor
agree; a processor adds the tokens of its own tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable

from xr0_sim.errors import ConfigError

CONTROL_TOKENS = (
    *("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    *("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>"),
    *("<cot>", "</cot>", "/no_cot"),
    *("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    *("<|quad_start|>", "<|quad_end|>", "<tool_call>", "</tool_call>"),
    *("<tool_response>", "</tool_response>", "<think>", "</think>"),
    *("<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", "<|fim_pad|>"),
    *("<|repo_name|>", "<|file_sep|>"),
)
"""Special tokens of the small tokenizer and of the Qwen3-VL one."""


def control_token(text: str, further: Iterable[str] = ()) -> str | None:
    """The first control token in a text, or None.

    Args:
        text: What a user writes.
        further: Special tokens of a tokenizer at hand.
    """
    found = {token for token in (*CONTROL_TOKENS, *further) if token in text}
    return min(found, key=text.index, default=None)


def check_plain_text(what: str, text: str, further: Iterable[str] = ()) -> None:
    """Rejects text that a tokenizer would read as control.

    Args:
        what: What the text is, for the message.
        text: What a user writes, e.g. an instruction.
        further: Special tokens of a tokenizer at hand.

    Raises:
        ConfigError: The text holds a control token.
    """
    found = control_token(text, further)
    if found is not None:
        raise ConfigError(
            f"{what}: expected plain text, got {text!r} with the control token {found}; "
            "leave it out or say it in words"
        )
