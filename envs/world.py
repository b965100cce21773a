"""A world: the physics, judges and views that an episode is played under, as one named value.

Figures are comparable within a world only. A world that figures were published with stays: its
name prints them again, bit for bit. The newest is the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from xr0_sim.registry import look_up


@dataclass(frozen=True)
class World:
    """What differs between worlds.

    Attributes:
        name: Its name, ``major.minor``.
        servo: Default servo, text of `xr0_sim.registry.servos`.
        robot: ``0.1``: rounded inertias, fingers of 45 mm stroke; ``described``: centres of mass,
            products of inertia and finger stroke of the robot's description.
        guards: Whether joint speeds are limited as measured, and a protective stop ends an episode.
        table: ``plane``: endless; ``slab``: a table top of the drawn size over a floor.
        cloth: What towels are made of, see `envs.towel_folding.material`.
        cloths: Levels of towel folding with another cloth, and which.
        towel_contact: What of a towel meets the table: ``faces``, of which the engine makes one
            contact a mass point on a plane but three a triangle on a slab, or ``points``, always
            one a mass point.
        towel: How towels are drawn: the bare mesh, or a smooth cloth as thick as its contacts, see
            `envs.towel_folding.skins`.
        clutch_every_step: Whether a brick's clutch is looked at in every physics step.
        strict_judges: Whether success asks for height, withdrawn hands and half a second of rest.
        views: Fixed cameras and size of the policy's pictures, see `envs.scene.views`.
        pushes: Whether a paddle stands ready for events that push, and whether events that place
            something look for room first.
    """

    name: str
    servo: str = "ideal"
    robot: Literal["0.1", "described"] = "0.1"
    guards: bool = False
    table: Literal["plane", "slab"] = "plane"
    cloth: str = "soft"
    cloths: tuple[tuple[str, str], ...] = ()
    towel_contact: Literal["faces", "points"] = "faces"
    towel: Literal["0.1", "thick"] = "0.1"
    clutch_every_step: bool = False
    strict_judges: bool = False
    views: Literal["0.1", "close"] = "0.1"
    pushes: bool = False


FIRST = World("0.1")
"""The world of the first release."""
WORLDS: dict[str, World] = {
    world.name: world
    for world in (
        FIRST,
        replace(
            FIRST,
            name="0.2",
            servo="identified",
            robot="described",
            guards=True,
            table="slab",
            # Where the expert holds its line on layers that stay apart, see docs/physics.md.
            cloths=(("half", "layered"),),
            towel_contact="points",
            towel="thick",
            clutch_every_step=True,
            strict_judges=True,
            views="close",
            pushes=True,
        ),
    )
}
DEFAULT_WORLD = "0.2"

STAGE_ARGUMENTS: dict[str, str] = {
    "world": DEFAULT_WORLD,
    "servo": "",
    "senses": "clean",
    "looks": "none",
}
"""Arguments that every environment takes besides its task's own, with their defaults; an empty
servo stands for the world's."""


def find_world(name: str | World) -> World:
    """World of a name.

    Raises:
        ConfigError: Unknown name.
    """
    return name if isinstance(name, World) else look_up("world", name, WORLDS)


def world_name(env_kwargs: Mapping[str, Any]) -> str:
    """Name of the world that an environment's arguments choose."""
    return find_world(env_kwargs.get("world", DEFAULT_WORLD)).name
