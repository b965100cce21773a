"""Names and layout of the grounding vectors that a VLM is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class LiftTarget:
    """One lift: its point and camera by index, and the slots of its regression."""

    point: int
    camera: int
    slots: slice

    @property
    def width(self) -> int:
        """Values asked for."""
        return self.slots.stop - self.slots.start


@dataclass(frozen=True)
class GroundingSpec:
    """Names and layout of the grounding vector: regressions, then classes, then points.

    Attributes:
        regressions: (name, width) pairs; scale values to about -1..1.
        classes: (name, number of classes) pairs; each takes one slot holding the index.
        points: (name, camera index) pairs; each takes two slots: image coordinates (u right, v
            down), both 0..1 across the image. Mask points that are outside or hidden.
        lifts: (point name, camera index, regression name) triples: the visual token that holds the
            point is asked for that regression, too. Takes no slot.
    """

    regressions: tuple[tuple[str, int], ...] = ()
    classes: tuple[tuple[str, int], ...] = ()
    points: tuple[tuple[str, int], ...] = ()
    lifts: tuple[tuple[str, int, str], ...] = ()

    @property
    def width(self) -> int:
        """Length G of the vector."""
        return self.regression_width + len(self.classes) + 2 * len(self.points)

    @property
    def regression_width(self) -> int:
        """Slots taken by regressions."""
        return sum(width for _, width in self.regressions)

    def slots(self) -> dict[str, slice]:
        """Name -> place in the vector; a point is named ``name@camera_index``."""
        entries = [*self.regressions, *((name, 1) for name, _ in self.classes)]
        entries += [(f"{name}@{camera}", 2) for name, camera in self.points]
        places, start = {}, 0
        for name, width in entries:
            if name in places:
                raise ConfigError(f"grounding spec: expected unique names, got {name!r} twice")
            places[name] = slice(start, start + width)
            start += width
        return places

    def pack(self, values: Mapping[str, Any]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Named values to (vector, mask); names that are missing or None are masked."""
        places = self.slots()
        unknown = sorted(set(values) - set(places))
        if unknown:
            raise ConfigError(f"grounding: expected names from {sorted(places)}, got {unknown}")
        vector, mask = np.zeros(self.width, np.float32), np.zeros(self.width, bool)
        for name, value in values.items():
            if value is not None:
                vector[places[name]] = value
                mask[places[name]] = True
        for name, camera in self.points:
            place = places[f"{name}@{camera}"]
            mask[place] &= bool(((vector[place] >= 0) & (vector[place] < 1)).all())
        return vector, mask

    def read(
        self, vector: NDArray[np.floating], mask: NDArray[np.bool_]
    ) -> dict[str, NDArray[np.float64]]:
        """Inverse of `pack`: name -> values; masked names are missing."""
        return {
            name: np.asarray(vector[place], np.float64)
            for name, place in self.slots().items()
            if mask[place].all()
        }

    def lift_targets(self) -> list[LiftTarget]:
        """Where the lifts read and what they must say."""
        places = self.slots()
        found = []
        for name, camera, regression in self.lifts:
            if (name, camera) not in self.points or regression not in places:
                raise ConfigError(
                    f"lift {name!r}@{camera}: expected a point and a regression of the spec, got "
                    f"{regression!r}"
                )
            found.append(LiftTarget(self.points.index((name, camera)), camera, places[regression]))
        return found

    def to_dict(self) -> dict[str, list]:
        """JSON form."""
        return {name: [list(e) for e in getattr(self, name)] for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, value: Mapping[str, list]) -> GroundingSpec:
        """Inverse of `to_dict`."""
        return cls(
            **{
                name: tuple(tuple(e) for e in value.get(name, ()))
                for name in cls.__dataclass_fields__
            }
        )
