"""Whether the packages of each extra are there, in a version that will do."""

from __future__ import annotations

import platform
from importlib import metadata

from packaging.requirements import Requirement

from experiments.commands.finding import Finding, Status, install_command

DISTRIBUTION = "xr0-sim"
UNPINNED = ("lerobot",)
"""Extras that want other versions than the tested set has."""
RARELY_WANTED = ("dev", "docs", "lerobot", "test")
"""Extras whose absence is no loss to somebody who runs policies."""


def extras_of(requirements: list[str]) -> dict[str, list[Requirement]]:
    """Extra -> what it adds here; extras that this Python cannot have are left empty.

    Args:
        requirements: ``Requires-Dist`` lines of a distribution.
    """
    found: dict[str, list[Requirement]] = {}
    for line in requirements:
        requirement = Requirement(line)
        if requirement.marker is None or "extra" not in str(requirement.marker):
            continue
        name = str(requirement.marker).rpartition("extra ==")[2].strip(" \"'()")
        found.setdefault(name, [])
        if requirement.marker.evaluate({"extra": name}):
            found[name].append(requirement)
    return found


def check_extras() -> list[Finding]:
    """Optional dependency groups of the package, and what each lacks."""
    extras = extras_of(metadata.requires(DISTRIBUTION) or [])
    return [_finding(name, wanted) for name, wanted in sorted(extras.items())]


def _finding(extra: str, wanted: list[Requirement]) -> Finding:
    name = f"extra {extra}"
    if not wanted:
        return Finding(name, "note", f"not for Python {platform.python_version()}")
    problems = [problem for problem in map(_problem, wanted) if problem]
    if not problems:
        return Finding(name, "ok", f"{len(wanted)} package{'s' if len(wanted) > 1 else ''}")
    remedy = install_command(extra, tested_set=extra not in UNPINNED)
    status: Status = "note" if extra in RARELY_WANTED else "warn"
    return Finding(name, status, ", ".join(problems), remedy)


def _problem(requirement: Requirement) -> str:
    """What is wrong with a package; empty if nothing."""
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"missing {requirement.name}"
    if not requirement.specifier.contains(version, prereleases=True):
        return f"{requirement.name} {version}, wanted {requirement.specifier}"
    return ""
