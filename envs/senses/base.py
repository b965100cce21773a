"""What the policy perceives of the truth: noise, delay and quantisation of pictures and joints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xr0_sim.errors import ConfigError
from xr0_sim.registry import senses


@dataclass(frozen=True)
class Senses:
    """Faults of the cameras and of the joint encoders; all off."""


senses.add("clean", Senses(), "exact proprioception, pictures without faults")


def find_senses(value: Any) -> Senses:
    """Senses from their text, or the value itself.

    Raises:
        ConfigError: Unknown name or field, or no senses.
    """
    found = senses.parse(value) if isinstance(value, str) else value
    found = found() if isinstance(found, type) else found
    if not isinstance(found, Senses):
        raise ConfigError(f"senses: expected an envs.senses.base.Senses, got {found!r}")
    return found
