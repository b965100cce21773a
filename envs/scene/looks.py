"""How a scene looks: what is drawn anew for every seed, beside the physics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.registry import looks


@dataclass(frozen=True)
class Looks:
    """Spread of cameras, lights, textures and hues over seeds; none."""


looks.add("none", Looks(), "the same cameras, lights and colours in every seed")


def find_looks(value: Any) -> Looks:
    """Looks from their text, or the value itself.

    Raises:
        ConfigError: Unknown name or field, or no looks.
    """
    found = looks.parse(value) if isinstance(value, str) else value
    found = found() if isinstance(found, type) else found
    if not isinstance(found, Looks):
        raise ConfigError(f"looks: expected an envs.scene.looks.Looks, got {found!r}")
    return found
