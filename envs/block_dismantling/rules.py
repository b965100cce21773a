"""What of a world concerns bricks: how they touch, how high trays are, when one is sorted."""

from __future__ import annotations

from dataclasses import dataclass

from envs.world import World


@dataclass(frozen=True)
class BlockRules:
    """Rules of the block task in one world.

    Attributes:
        rim_m: Height of the trays' walls [m].
        rest_s: Time a brick lies still and untouched before it counts [s].
        lies_inside: Whether it counts only with every corner inside the tray and no hand around it.
        checks_per_tick: How often per control tick clutches are checked; None for every physics
            step.
        look_every: Checks from one look to the next while no clutch carries much.
        contact_s: Time constant of the contacts of bricks [s].
        contact_weight: Weight of a brick's constants against those of what it touches.
    """

    rim_m: float = 0.030
    rest_s: float = 5 / 30
    lies_inside: bool = False
    checks_per_tick: int | None = 2
    look_every: int = 1
    contact_s: float = 0.008
    contact_weight: float = 1.0


STRICT_RIM_M = 0.068
"""Height of a tray's rim where bricks have to lie below it [m].

Chosen: the largest brick lies below it in any posture on the floor (its diagonal is 67 mm), and so
do three layers, so that 34 bricks find room in the two trays."""
STRICT_REST_S = 0.5
"""Time a brick lies at rest before it counts where judges are strict [s]."""
STIFF_CONTACT_S = 0.004
"""Five physics steps of 1/1200 s: landings press less than 2 mm deep [s]. Chosen."""
LOOK_EVERY = 4
"""Physics steps from one look at unloaded clutches to the next: 3.3 ms. Chosen."""


def block_rules(world: World) -> BlockRules:
    """Rules of a world."""
    first = BlockRules()
    judges = (STRICT_RIM_M, STRICT_REST_S) if world.strict_judges else (first.rim_m, first.rest_s)
    slab = world.table == "slab"
    return BlockRules(
        *judges,
        lies_inside=world.strict_judges,
        checks_per_tick=None if world.clutch_every_step else first.checks_per_tick,
        look_every=LOOK_EVERY if world.clutch_every_step else first.look_every,
        contact_s=STIFF_CONTACT_S if slab else first.contact_s,
        contact_weight=100.0 if slab else first.contact_weight,
    )
