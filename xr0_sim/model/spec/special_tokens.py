"""Special tokens of the tokenizer, in id order, as the Qwen3-VL classes expect them by name."""

from __future__ import annotations

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<cot>",
    "</cot>",
    "/no_cot",
)
PAD_TOKEN = "<|endoftext|>"
IMAGE_TOKEN = "<|image_pad|>"

VOCABULARY_SIZE = 1024
"""Special tokens, 256 bytes and up to 757 merges; ids beyond the last merge stay unused."""
