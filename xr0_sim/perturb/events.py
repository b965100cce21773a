"""What an event is: a value that changes a scene once, at its trigger.

An event of a task is a frozen dataclass beside that task::

    @event_kind("block_shift")
    @dataclass(frozen=True)
    class BlockShift(Event):
        distance_m: float = 0.05

        def apply(self, scene, rng):
            angle = rng.uniform(0, 2 * np.pi)
            scene.shift_block(self.distance_m, angle)
            return {"angle_rad": angle}

Its fields are checked by their types when it is built (`xr0_sim.fields`): an event that
exists can be applied. It holds parameters only. Whatever it changes lives in the scene, so that
snapshots of the scene cover it and a second run with the same seed repeats it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from xr0_sim.fields import CheckedFields
from xr0_sim.perturb.trigger_text import parse_trigger
from xr0_sim.perturb.triggers import AtTime, Trigger
from xr0_sim.types import REFUSED


@dataclass(frozen=True)
class Event(CheckedFields, ABC):
    """Base of every event.

    Attributes:
        trigger: When it fires; text is parsed.
        kind: Name of the class in the registry, set by `xr0_sim.perturb.registry.event_kind`.
    """

    trigger: Trigger = field(default=AtTime(0.0), kw_only=True, metadata={"parse": parse_trigger})

    kind: ClassVar[str] = ""

    def recorded_as(self, scene: Any) -> str:
        """Kind that the log tells; another one than `kind` where the scene's world knew it so."""
        del scene
        return self.kind

    @abstractmethod
    def apply(self, scene: Any, rng: np.random.Generator) -> Mapping[str, Any] | None:
        """Changes the scene; called once, at the start of the tick in which the event is due.

        Args:
            scene: The task's scene; which methods it needs is the event's business.
            rng: Generator of this event alone, derived from the episode seed.

        Returns:
            What was drawn or done, as JSON values, for the log; None if the fields say it all.
            `refused` where it could not happen: the episode is then invalid.
        """


def refused(reason: str, **told: Any) -> dict[str, Any]:
    """What `Event.apply` returns for an event that cannot happen now.

    Args:
        reason: Why, in a few words.
        told: Whatever else the log shall tell, JSON values.
    """
    return {**told, REFUSED: reason}
