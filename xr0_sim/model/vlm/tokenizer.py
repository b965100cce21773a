"""A small byte-level BPE tokenizer, built from a prompt corpus and shipped as a file.

It carries the special tokens the Qwen3-VL classes ask for by name. Any text can be encoded, since
all 256 bytes are tokens; words of the corpus take one token each.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from xr0_sim.atomic import write_bytes, write_json
from xr0_sim.errors import CheckpointError
from xr0_sim.model.spec.special_tokens import PAD_TOKEN, SPECIAL_TOKENS, VOCABULARY_SIZE
from xr0_sim.model.vlm.prompt import prompt_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"

COLORS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black", "gray")
SIDES = ("left", "right", "front", "back", "near", "far")
CORPUS = (
    "Take the bricks apart and sort them by color into the bins.",
    "Dismantle the block assembly and put every brick into the bin of its color.",
    "Take the {color} brick off the stack and drop it into the {side} bin.",
    "Put the {color} brick into the {color} bin.",
    "Pick up the {color} brick with the {side} arm and place it in the {side} box.",
    "Move the {color} block to the {side} tray.",
    "Sort the {color} bricks to the {side} and the {color} bricks to the {side}.",
    "Hold the base with the {side} arm and pull the {color} brick off with the other hand.",
    "Fold the towel in half.",
    "Fold the {color} towel in half along the {side} edge, then fold it again into a quarter.",
    "Pick the towel from the pile, flatten it, fold it and put it on the {side} stack.",
    "Grasp the {side} corners of the towel with both arms and lift it.",
    "Open the gripper, release the piece and return both arms to the home pose.",
    "Reach for the {color} square and touch it.",
)
"""Sentences whose words should be single tokens; ``{color}`` and ``{side}`` take every value."""


def prompt_corpus() -> list[str]:
    """Whole prompts over all sentences, colors and sides, in a fixed order."""
    lines = [
        sentence.format(color=color, side=side)
        for sentence in CORPUS
        for color in COLORS
        for side in SIDES
    ]
    return [prompt_text(line, visual_tokens=1) for line in lines]


def build_tokenizer(corpus: Iterable[str], vocabulary_size: int = VOCABULARY_SIZE) -> Tokenizer:
    """Trains the byte-level BPE; equal corpora give equal tokenizers."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Writes the two files transformers' ``AutoTokenizer`` reads as well."""
    write_bytes(directory / TOKENIZER_FILE, tokenizer.to_str(pretty=True).encode())
    write_json(
        directory / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD_TOKEN,
            "eos_token": "<|im_end|>",
            "clean_up_tokenization_spaces": False,
        },
    )


def load_tokenizer(directory: Path) -> Tokenizer:
    """Reads a saved tokenizer; a missing or damaged file is a CheckpointError."""
    from tokenizers import Tokenizer

    path = directory / TOKENIZER_FILE
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # the library raises bare Exception on malformed files
        raise CheckpointError(
            f"tokenizer {path}: expected a tokenizer file, got {type(error).__name__}: {error}; "
            "rebuild it with `python -m xr0_sim.model.vlm.tokenizer DIRECTORY`"
        ) from error


if __name__ == "__main__":
    import sys

    save_tokenizer(build_tokenizer(prompt_corpus()), Path(sys.argv[1]))
