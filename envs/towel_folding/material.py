"""What a towel is made of: stiffness, memory of bends, and how hard its contacts are."""

from __future__ import annotations

from dataclasses import dataclass

from envs.world import World

LAYER_HEIGHT = 0.012
"""Height a towel may have per layer [m]; creases stand up a little."""
BEND_YIELD = 0.005
"""Bending strain from which on a bend stays [1]; chosen, see `ClothMaterial`."""

Impedance = tuple[float, float, float]
"""Constraint impedance at first touch [1], at depth [1], and the depth over which it rises [m]."""


@dataclass(frozen=True)
class ClothMaterial:
    """A cloth.

    Attributes:
        young: Young's modulus [Pa].
        thickness: Thickness that resists stretching and bending [m].
        bend_yield: Bending strain beyond which a bend stays; 0 for none [1].
        spheres_everywhere: Whether every mass point keeps layers apart, without friction; otherwise
            a sparse set of them does, with friction.
        touch: Impedance of contacts with the table, None for the engine's mixture.
        layers: The same of layer on layer.
        fingers: The same of fingers on cloth.
        layer_height: Height a folded towel may have per layer; creases stand up a little [m].
        pad_friction: Sliding friction of a pad on it [1].
        jaw_kp: Stiffness [N/m] and
        jaw_kd: damping [N·s/m] of the jaw that pinches it.
        firm_jaw: Opening below which its pinch has closed [fraction].
    """

    young: float = 2.3e5
    thickness: float = 1.7e-3
    bend_yield: float = 0.0
    spheres_everywhere: bool = False
    touch: Impedance | None = None
    layers: Impedance | None = None
    fingers: Impedance | None = None
    layer_height: float = LAYER_HEIGHT
    pad_friction: float = 0.8
    jaw_kp: float = 1000.0
    jaw_kd: float = 20.0
    firm_jaw: float = 0.21


SOFT = ClothMaterial()
"""The cloth of the first world."""
FIRM = ClothMaterial(
    # As stiff in bending as the soft one (E·t³), 2.7 times as stiff along the cloth (E·t); chosen,
    # so that no edge changes its length by more than a tenth.
    young=1.0e6,
    thickness=1.04e-3,
    bend_yield=BEND_YIELD,
    spheres_everywhere=True,
    # Soft at first touch, where the solver has to converge, hard before the middle plane of the
    # cloth reaches the table or the next layer; chosen.
    touch=(0.9, 0.999, 0.003),
    layers=(0.9, 0.999, 0.005),
    fingers=(0.9, 0.99, 0.003),
    # Layers that do not sink into each other make a rounder crease: 31 to 33 mm for one fold.
    layer_height=0.018,
    # Its ridge pushes harder against the pads and slips out of the soft cloth's pinch; chosen.
    pad_friction=1.2,
    jaw_kp=1500.0,
    jaw_kd=25.0,
    firm_jaw=0.22,
)
"""A cloth that neither sinks into the table nor passes through itself, and that keeps wrinkles."""


def material_of(world: World) -> ClothMaterial:
    """Cloth of a world."""
    return FIRM if world.cloth == "0.2" else SOFT
