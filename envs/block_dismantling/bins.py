"""Bins, the colour -> bin rule, and the sentences that state it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np

from envs.block_dismantling.bricks import COLOURS
from envs.scene.stage import COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC
from xr0_sim.errors import ConfigError, unknown_name

BINS = ("left", "right")
BIN_HALF_SIZE = 0.085
"""Half side of the square tray, inside [m]."""
BIN_HEIGHT = 0.030
WALL = 0.004
BIN_X, BIN_Y = 0.185, 0.215
"""Nominal tray centre [m]; the right one at -y."""
BIN_COLOURS = {"light": (0.90, 0.90, 0.88, 1.0), "dark": (0.22, 0.22, 0.25, 1.0)}

Rule = Mapping[str, int]
"""Brick colour -> bin index (0 left, 1 right)."""


@dataclass(frozen=True)
class Style:
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


def add_bins(spec: mujoco.MjSpec, centres: np.ndarray, colours: tuple[str, str]) -> None:
    """Adds both trays; `centres` (2, 2) [m], `colours` keys of `BIN_COLOURS`."""
    for name, centre, colour in zip(BINS, centres, colours, strict=True):
        body = spec.worldbody.add_body(name=f"bin_{name}", pos=[*centre, 0.0])
        rgba = list(BIN_COLOURS[colour])
        outer = BIN_HALF_SIZE + 2 * WALL
        body.add_geom(
            name=f"bin_{name}_floor",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[outer, outer, 0.0008],
            pos=[0, 0, 0.0004],
            rgba=[*(0.8 * np.array(rgba[:3])), 1.0],
            contype=0,
            conaffinity=0,
            group=1,
        )
        for k, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
            reach = BIN_HALF_SIZE + WALL
            body.add_geom(
                name=f"bin_{name}_wall{k}",
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=[
                    WALL if x else outer,
                    WALL if y else outer,
                    BIN_HEIGHT / 2,
                ],
                pos=[x * reach, y * reach, BIN_HEIGHT / 2],
                rgba=rgba,
                contype=COLLIDE_STATIC,
                conaffinity=COLLIDE_ARM | COLLIDE_OBJECT,
                friction=[0.5, 0.01, 0.0001],
                solref=[0.008, 1],
                group=1,
            )


def paint_bin(model: mujoco.MjModel, name: str, colour: str) -> None:
    """Gives a compiled tray another colour."""
    rgba = np.array(BIN_COLOURS[colour])
    model.geom(f"bin_{name}_floor").rgba[:3] = 0.8 * rgba[:3]
    for k in range(4):
        model.geom(f"bin_{name}_wall{k}").rgba[:] = rgba


def sample_bin_centres(rng: np.random.Generator, jitter: float) -> np.ndarray:
    """Tray centres (2, 2) [m], each moved by up to `jitter` along x and y."""
    nominal = np.array([[BIN_X, BIN_Y], [BIN_X, -BIN_Y]])
    return nominal + rng.uniform(-jitter, jitter, (2, 2))
