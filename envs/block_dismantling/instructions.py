"""Which colour goes into which bin, and the sentences that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from envs.block_dismantling.bins import BINS
from envs.block_dismantling.bricks import COLOURS
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.fields import CheckedFields

Rule = Mapping[str, int]
"""Brick colour -> bin index (0 left, 1 right)."""


@dataclass(frozen=True)
class Style(CheckedFields):
    """How an instruction names a bin: by ``side`` of the table or by tray ``colour``."""

    name: str

    def __post_init__(self) -> None:
        """Checks the name."""
        if self.name not in ("side", "colour"):
            raise unknown_name("instruction style", self.name, ("side", "colour"))


TEMPLATES = (
    "take the blocks apart, {a} into the {A}, {b} into the {B}",
    "dismantle the blocks: {a} go to the {A}, {b} to the {B}",
    "pull the bricks apart and sort them, {a} in the {A} and {b} in the {B}",
    "disassemble the stack; put {a} into the {A} and {b} into the {B}",
    "separate all bricks, {a} belong in the {A}, {b} in the {B}",
    "break up the assembly and drop {a} in the {A}, {b} in the {B}",
)

ONE_BIN_TEMPLATE = "take the blocks apart, all of them into the {A}"


def sample_rule(rng: np.random.Generator) -> dict[str, int]:
    """A random split of the colours over both bins, none of them empty."""
    names = list(COLOURS)
    code = int(rng.integers(1, 2 ** len(names) - 1))
    return {name: code >> i & 1 for i, name in enumerate(names)}


def _listing(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def write_instruction(rng: np.random.Generator, rule: Rule, bin_names: tuple[str, str]) -> str:
    """One of the paraphrases of a rule; colours and bins in random order.

    Args:
        rng: Chooses template and order.
        rule: Colour -> bin index.
        bin_names: What the left and the right bin are called, e.g. ``("left bin", "right bin")``.
    """
    groups = []
    for index in range(2):
        names = [c for c in rule if rule[c] == index]
        if not names:
            return ONE_BIN_TEMPLATE.format(A=bin_names[1 - index])
        groups.append((_listing([names[i] for i in rng.permutation(len(names))]), bin_names[index]))
    if rng.random() < 0.5:
        groups.reverse()
    (a, bin_a), (b, bin_b) = groups
    template = TEMPLATES[rng.integers(len(TEMPLATES))]
    return template.format(a=a, A=bin_a, b=b, B=bin_b)


def check_rule(rule: Rule) -> dict[str, int]:
    """Validates a colour -> bin rule given as a reset option."""
    if not isinstance(rule, Mapping):
        raise ConfigError(f"rule: expected brick colour -> 'left' or 'right', got {rule!r}")
    out: dict[str, int] = {}
    for colour, target in rule.items():
        if colour not in COLOURS:
            raise unknown_name("brick colour", str(colour), COLOURS)
        if target not in (0, 1, *BINS):
            raise ConfigError(f"rule[{colour!r}]: expected 'left' or 'right', got {target!r}")
        out[colour] = BINS.index(target) if isinstance(target, str) else int(target)
    missing = sorted(set(COLOURS) - set(out))
    if missing:
        raise ConfigError(f"rule: expected every brick colour, missing {', '.join(missing)}")
    return out
