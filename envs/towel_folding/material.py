"""What a towel is made of: stiffness, memory of bends, and how hard its contacts are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from envs.world import World
from xr0_sim.registry import look_up

Impedance = tuple[float, float, float]
"""Constraint impedance at first touch [1], at depth [1], and the depth over which it rises [m]."""


@dataclass(frozen=True)
class ClothMaterial:
    """A cloth.

    Attributes:
        young: Young's modulus [Pa].
        thickness: Thickness that resists stretching and bending [m].
        bend_yield: Bending strain beyond which a bend stays, by the engine; 0 for none [1].
        bend_friction: Moment by which yarns that rub on each other hold a bend, per length of the
            crease; 0 for none [N·m/m]. It is half the hysteresis HB of a bending tester, 1 gf·cm/cm
            being 9.8e-3 N, see `envs.towel_folding.bend_friction`.
        bend_slip: Change of curvature over which that friction builds up, then slips [1/m].
        spheres_everywhere: Whether every mass point keeps layers apart, without friction; otherwise
            a sparse set of them does, with friction.
        touch: Impedance of contacts with the table, None for the engine's mixture.
        layers: The same of layer on layer.
        fingers: The same of fingers on cloth.
        pad_friction: Sliding friction of a pad on it [1].
        jaw_kp: Stiffness [N/m] and
        jaw_kd: damping [N·s/m] of the jaw that pinches it.
        firm_jaw: Opening below which its pinch has closed [fraction].
        at_points: Whether the expert pinches an edge at a mass point, not between two of them.
        iterations: Of the solver, at most. A folded towel at rest has about 1200 contacts; with 50
            it trembles by 0.2 m/s, with 200 by 1 mm/s, and needs 33 of them on average.
        tolerance: Improvement per iteration at which the solver stops early [1].
        keeps_apart: Whether its layers stay apart, so that success asks for that, too.
    """

    young: float = 2.3e5
    thickness: float = 1.7e-3
    bend_yield: float = 0.0
    bend_friction: float = 0.0
    bend_slip: float = 5.0
    spheres_everywhere: bool = False
    touch: Impedance | None = None
    layers: Impedance | None = None
    fingers: Impedance | None = None
    pad_friction: float = 0.8
    jaw_kp: float = 1000.0
    jaw_kd: float = 20.0
    firm_jaw: float = 0.21
    at_points: bool = False
    iterations: int = 50
    tolerance: float = 1e-6
    keeps_apart: bool = False


SOFT = ClothMaterial()
"""The cloth of the first world: its layers pass through each other where they are pinched."""
LAYERED = ClothMaterial(
    spheres_everywhere=True,
    # Hard before the middle plane of one layer reaches that of the next; chosen.
    layers=(0.9, 0.999, 0.005),
    at_points=True,
    iterations=200,
    keeps_apart=True,
)
"""The soft cloth, with a contact sphere on every mass point and a solver that converges."""
FIRM = ClothMaterial(
    # As stiff in bending as the soft one (E·t³), 4 times as stiff along the cloth (E·t); chosen, so
    # that no edge changes its length by more than a tenth in a pinch.
    young=2.0e6,
    thickness=0.826e-3,
    # Bends sharper than 1 cm stay: fold lines and the creases of a heap. From a yield of 0.02 down
    # the crease of a fold keeps one edge of the mesh upright, and stands 28 mm high.
    bend_yield=0.04,
    spheres_everywhere=True,
    # Soft at first touch, hard before the middle plane of the cloth reaches the table; chosen.
    touch=(0.9, 0.999, 0.003),
    layers=(0.9, 0.999, 0.005),
    fingers=(0.9, 0.99, 0.003),
    # Its ridge pushes harder against the pads and slips out of the soft cloth's pinch; chosen.
    pad_friction=1.2,
    jaw_kp=1500.0,
    jaw_kd=25.0,
    firm_jaw=0.22,
    iterations=200,
    keeps_apart=True,
)
"""A cloth that neither sinks into the table nor changes its lengths, and keeps its fold lines."""
CREASED = replace(
    SOFT,
    # Chosen: friction over rigidity is 0.5 per cm, so that cloth which is bent round a finger and
    # let go keeps a radius of 20 mm where nothing weighs on it.
    bend_friction=5.0e-3,
    # Of the contacts: with 1e-6 the free corners of a wrinkled towel never come to rest.
    tolerance=1e-8,
    iterations=200,
)
"""The soft cloth with internal friction: wrinkles stay until a hand takes them out."""
MATERIALS = {"soft": SOFT, "layered": LAYERED, "firm": FIRM, "creased": CREASED}


def find_material(name: str) -> ClothMaterial:
    """Cloth of a name.

    Raises:
        ConfigError: Unknown name.
    """
    return look_up("material", name, MATERIALS)


def cloth_of(world: World, level: str) -> str:
    """Name of the cloth of a level of towel folding in a world."""
    return dict(world.cloths).get(level, world.cloth)


def material_of(world: World) -> ClothMaterial:
    """Cloth of a world."""
    return find_material(world.cloth)
