"""A study as a TOML file, or as factors on the command line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.study.levels import factor_levels, known_level, split_levels
from experiments.study.study import Study
from xr0_sim.errors import ConfigError, unknown_name

KEYS = ("factors", "seeds", "conditions", "exclude", "cluster", "reference")
"""What a file may say besides the options that all conditions share."""


def read_study_file(path: str | Path) -> dict[str, Any]:
    """Arguments of `Study` from a TOML file.

    ::

        env = "block_dismantling:n_bricks=2"
        policy = "oracle"
        seeds = 20

        [factors]
        strategy = ["sync", "prefix_async"]
        latency = [0, 80, 200]

        [factors.training]
        "seed 1" = {checkpoint = "out/a"}
        "seed 2" = {checkpoint = "out/b"}

        [[exclude]]
        reason = "no delay to hide"
        strategy = "prefix_async"
        latency = 0

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        found = tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"study file {path}: expected readable TOML; {error}") from None
    if "exclude" in found:
        found["exclude"] = [_exclusion(entry, path) for entry in found["exclude"]]
    for name in ("factors", "reference"):
        if not isinstance(found.get(name, {}), Mapping):
            raise ConfigError(f"study file {path}: expected {name} as a table, got something else")
    return found


def factor_arguments(texts: Sequence[str]) -> dict[str, list[str]]:
    """Factors from ``NAME=LEVEL,LEVEL,...``, see `split_levels`.

    Raises:
        ConfigError: A text is no factor, or one is given twice.
    """
    factors: dict[str, list[str]] = {}
    for text in texts:
        name, equals, levels = text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--factor: expected NAME=LEVEL,LEVEL,..., got {text!r}")
        if name in factors:
            raise ConfigError(f"--factor: expected {name} once, got it twice; join its levels")
        factors[name.strip()] = split_levels(levels)
    return factors


def with_factors(given: Mapping[str, Any], asked: Mapping[str, list[str]]) -> dict[str, Any]:
    """Factors of a file with those of a command line in their place.

    Of a factor whose levels are a table, a command line picks levels by their names.

    Raises:
        ConfigError: A level that the table does not have.
    """
    factors = dict(given)
    for name, levels in asked.items():
        table = given.get(name)
        if isinstance(table, Mapping):
            for level in levels:
                if level not in table:
                    raise unknown_name(f"level of {name}", level, table)
            factors[name] = {level: table[level] for level in levels}
        else:
            factors[name] = levels
    return factors


def narrowed(
    rules: Sequence[tuple[str, Any]], given: Mapping[str, Any], picked: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    """Exclusions of a file, for the levels that a command line picks.

    A rule says nothing any more where none of its levels of a factor is picked.

    Args:
        rules: Reasons and what they leave out.
        given: Factors of the file.
        picked: Factors of the study.

    Raises:
        ConfigError: A rule names a factor that there is not, or a level that the factor does not
            have: in the file, or on the command line where the file lacks the factor.
    """
    found = []
    for reason, rule in rules:
        left: dict[str, list[Any]] = {}
        for name, value in rule.items():
            if name not in picked:
                raise unknown_name("factor", name, picked)
            kept = factor_levels(name, picked[name])
            known = factor_levels(name, given[name]) if name in given else kept
            values = value if isinstance(value, list) else [value]
            left[name] = [one for one in values if known_level(name, known, one) in kept]
        if all(left.values()):
            found.append((reason, left))
    return found


def make_study(arguments: Mapping[str, Any]) -> Study:
    """A study from the arguments of `Study`; complete, or a `ConfigError`."""
    given = {"factors": {}, **arguments}
    seeds = given.get("seeds", 10)
    if not isinstance(seeds, int | Sequence) or isinstance(seeds, bool | str):
        raise ConfigError(f"seeds: expected a whole number or a list of them, got {seeds!r}")
    return Study(**given)


def _exclusion(entry: Any, path: str | Path) -> tuple[str, dict[str, Any]]:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("reason"), str):
        raise ConfigError(f"study file {path}: expected every [[exclude]] with a reason, got none")
    rule = {name: value for name, value in entry.items() if name != "reason"}
    if not rule:
        raise ConfigError(f"study file {path}: expected a factor in every [[exclude]], got none")
    return entry["reason"], rule
