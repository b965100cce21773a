"""The design of a study: factors, the cells that are run, the ones that are not and why, seeds."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.study.levels import (
    Levels,
    Settings,
    check_option,
    factor_levels,
    known_level,
    option_value,
)
from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.record.runcard import to_json
from xr0_sim.runtime.random_streams import check_seed

Cell = Mapping[str, str]
"""Factor -> text of a level."""
Rule = Callable[[Cell], bool] | Mapping[str, Any]
"""What an exclusion is about: a predicate, or factor -> level or levels."""
MOST_CELLS = 10_000


@dataclass(frozen=True)
class Excluded:
    """A cell of the factorial that is not run.

    Attributes:
        levels: The cell.
        reason: Why.
    """

    levels: Cell
    reason: str


@dataclass(frozen=True)
class Design:
    """What a study varies, and what not.

    Attributes:
        fixed: Options that all conditions share, see `experiments.study.levels.Settings`.
        factors: Factor -> levels, in order.
        cells: Cells that are run, in table order.
        excluded: The others.
        seeds: Seeds of every condition: pairs of episodes are those of one seed.
        cluster: Factor whose levels are a sample, e.g. of trainings; None for none.
        reference: Factor -> level that the others are compared with.
    """

    fixed: Settings
    factors: Mapping[str, Levels]
    cells: tuple[Cell, ...]
    excluded: tuple[Excluded, ...]
    seeds: tuple[int, ...]
    cluster: str | None
    reference: Cell

    @classmethod
    def make(
        cls,
        *,
        fixed: Settings,
        factors: Mapping[str, Any],
        seeds: int | Iterable[int],
        conditions: Sequence[Mapping[str, Any]] | None = None,
        exclude: Mapping[str, Rule] | Sequence[tuple[str, Rule]] | None = None,
        cluster: str | None = None,
        reference: Mapping[str, Any] | None = None,
    ) -> Design:
        """A checked design; arguments as those of `experiments.study.study.Study`."""
        for option in fixed:
            check_option(option, "study")
        levels = {name: factor_levels(name, given) for name, given in factors.items()}
        design = cls(
            fixed={name: option_value(name, value) for name, value in fixed.items()},
            factors=levels,
            cells=tuple(_factorial(levels)),
            excluded=(),
            seeds=_seeds(seeds),
            cluster=cluster,
            reference={name: next(iter(found)) for name, found in levels.items()},
        )
        if cluster is not None and cluster not in levels:
            raise unknown_name("cluster factor", cluster, levels)
        chosen = {n: design._level(n, value) for n, value in (reference or {}).items()}
        design = replace(design, reference={**design.reference, **chosen})
        if conditions is not None:
            listed = [design._cell(given) for given in conditions]
            design = design.without(lambda cell: cell not in listed, "not listed")
        rules = exclude.items() if isinstance(exclude, Mapping) else exclude or ()
        for reason, rule in rules:
            design = design.without(design._predicate(rule), reason)
        if not design.cells:
            raise ConfigError("study: expected at least one condition, got none; exclude fewer")
        return design

    def without(self, rule: Callable[[Cell], bool], reason: str) -> Design:
        """The same without the cells for which ``rule`` holds."""
        gone = [cell for cell in self.cells if rule(cell)]
        return replace(
            self,
            cells=tuple(cell for cell in self.cells if cell not in gone),
            excluded=(*self.excluded, *(Excluded(cell, reason) for cell in gone)),
        )

    def settings(self, cell: Cell) -> Settings:
        """Every option that a cell sets.

        Raises:
            ConfigError: Two factors set one option differently.
        """
        found: dict[str, Any] = {}
        for name, level in cell.items():
            for option, value in self.factors[name][level].items():
                if option in found and found[option] != value:
                    raise ConfigError(
                        f"study: expected one value of {option} in {cell_name(cell)}, got "
                        f"{found[option]} and {value}; exclude it or let one factor set it"
                    )
                found[option] = value
        return {**self.fixed, **found}

    def names(self) -> list[str]:
        """Names of the conditions, in table order."""
        return [cell_name(cell) for cell in self.cells]

    def find(self, given: str | Mapping[str, Any]) -> str:
        """Name of the one condition that has these levels, or this name.

        Raises:
            ConfigError: None has, or several have.
        """
        if isinstance(given, str):
            if given not in self.names():
                raise unknown_name("condition", given, self.names())
            return given
        wanted = {name: self._level(name, value) for name, value in given.items()}
        found = [cell_name(c) for c in self.cells if wanted.items() <= c.items()]
        if len(found) != 1:
            raise ConfigError(
                f"condition {dict(given)}: expected levels of exactly one, got {len(found)}; "
                f"the factors are {', '.join(self.factors)}"
            )
        return found[0]

    def to_json(self) -> dict[str, Any]:
        """JSON form without the seeds, which may grow."""
        return {
            "fixed": to_json(self.fixed),
            "factors": to_json(self.factors),
            "cells": to_json(self.cells),
            "excluded": [
                {"levels": dict(gone.levels), "reason": gone.reason} for gone in self.excluded
            ],
            "cluster": self.cluster,
            "reference": dict(self.reference),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], seeds: Sequence[int]) -> Design:
        """The design that `to_json` wrote."""
        factors = {
            name: {
                text: {option: _tupled(value) for option, value in settings.items()}
                for text, settings in levels.items()
            }
            for name, levels in stored["factors"].items()
        }
        return cls(
            fixed={option: _tupled(value) for option, value in stored["fixed"].items()},
            factors=factors,
            cells=tuple(stored["cells"]),
            excluded=tuple(Excluded(gone["levels"], gone["reason"]) for gone in stored["excluded"]),
            seeds=tuple(seeds),
            cluster=stored["cluster"],
            reference=stored["reference"],
        )

    def _level(self, factor: str, value: Any) -> str:
        if factor not in self.factors:
            raise unknown_name("factor", factor, self.factors)
        return known_level(factor, self.factors[factor], value)

    def _cell(self, given: Mapping[str, Any]) -> Cell:
        missing = [name for name in self.factors if name not in given]
        if missing:
            raise ConfigError(
                f"condition {dict(given)}: expected a level of every factor, got none of "
                f"{', '.join(missing)}"
            )
        chosen = {name: self._level(name, value) for name, value in given.items()}
        return {name: chosen[name] for name in self.factors}

    def _predicate(self, rule: Rule) -> Callable[[Cell], bool]:
        if not isinstance(rule, Mapping):
            return rule
        wanted = {
            name: {
                self._level(name, value)
                for value in (given if isinstance(given, list | tuple | set) else [given])
            }
            for name, given in rule.items()
        }
        return lambda cell: all(cell[name] in levels for name, levels in wanted.items())


def cell_name(cell: Cell) -> str:
    """Name of a condition, e.g. ``strategy=sync, latency=80ms``."""
    return ", ".join(f"{name}={level}" for name, level in cell.items()) or "all"


def _factorial(levels: Mapping[str, Levels]) -> list[Cell]:
    count = 1
    for found in levels.values():
        count *= len(found)
    if count > MOST_CELLS:
        raise ConfigError(f"study: expected at most {MOST_CELLS} conditions, got {count}")
    return [
        dict(zip(levels, combination, strict=True))
        for combination in itertools.product(*levels.values())
    ]


def _seeds(given: int | Iterable[int]) -> tuple[int, ...]:
    seeds = tuple(range(given)) if isinstance(given, int) else tuple(given)
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"study seeds: expected at least one, each once, got {len(seeds)}")
    return tuple(check_seed(seed) for seed in seeds)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
