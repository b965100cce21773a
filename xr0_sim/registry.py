"""One table per kind of plug; `xr0_sim.grammar` reads them from text.

A *plug* is a frozen dataclass: a strategy, a latency, an estimator, an event, a trigger, a task or
a policy. Its registry knows it by a name and a source; text names a plug and sets its fields::

    name[:field=value,field=value...]

A registry is filled by the package's own modules, by entry points of installed packages (group
``xr0_sim.<registry>``), and by plug-ins (`xr0_sim.plugins`). Whatever is heavy is named by a
``module:attribute`` string and imported on first use.
"""

from __future__ import annotations

import importlib
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any, Generic, TypeVar

from xr0_sim.errors import ConfigError, unknown_name
from xr0_sim.grammar import configured

EntryT = TypeVar("EntryT")

_told: set[tuple[str, str]] = set()

ENTRY_POINTS = "xr0_sim."
"""Entry-point groups are this plus the name of a registry."""


@dataclass(frozen=True)
class Entry(Generic[EntryT]):
    """One line of a registry.

    Attributes:
        plug: The plug, a prototype of it, or ``module:attribute`` where it is imported from.
        source: Paper, file or reason behind it.
    """

    plug: EntryT | str
    source: str = ""


class Registry(Generic[EntryT]):
    """Plugs of one kind by name.

    Args:
        group: Plural name, e.g. ``strategies``; entry points are sought in ``xr0_sim.strategies``.
        kind: Singular for messages, e.g. ``strategy``.
        home: Module whose import fills the registry with the package's own entries; imported on
            the first look-up.
    """

    def __init__(self, group: str, kind: str, home: str | None = None) -> None:
        self.group, self.kind = group, kind
        self._home = home
        self._entries: dict[str, Entry[EntryT]] = {}
        self._aliases: dict[str, str] = {}
        self._filled = False

    def add(self, name: str, plug: EntryT | str, source: str = "") -> None:
        """Registers a plug under a name.

        Args:
            name: Letters, digits, ``_``, ``.`` and ``-``.
            plug: The plug or ``module:attribute``.
            source: Where its figures or its idea come from.

        Raises:
            ConfigError: The name is not a name, or stands for something else already.
        """
        if not name or not name.replace("_", "").replace(".", "").replace("-", "").isalnum():
            raise ConfigError(
                f"{self.kind} name: expected letters, digits, '_', '.' or '-', got {name!r}"
            )
        entry = Entry(plug, source)
        known = self._entries.setdefault(name, entry)
        if known != entry and not _same_definition(known.plug, plug):
            raise ConfigError(
                f"{self.kind} {name!r}: already taken by {_plug_words(known.plug)}; "
                "choose another name"
            )
        self._entries[name] = entry

    def register(self, name: str, source: str = "") -> Callable[[Any], Any]:
        """`add` as a decorator."""

        def decorate(plug: Any) -> Any:
            self.add(name, plug, source)
            return plug

        return decorate

    def alias(self, old: str, name: str) -> None:
        """Lets an old name stand for ``name``, for one release."""
        self._aliases[old] = name

    def canonical(self, text: str) -> str:
        """``name[:...]`` with an old name replaced, which is said once on standard error."""
        self._fill()
        name, colon, values = text.strip().partition(":")
        if name not in self._aliases or name in self._entries:
            return text.strip()
        new = self._aliases[name]
        if (self.group, name) not in _told:
            _told.add((self.group, name))
            print(f"{self.kind} {name!r} is called {new!r} now", file=sys.stderr)
        return new + colon + values

    def names(self) -> tuple[str, ...]:
        """Registered names, in the order of their registration."""
        self._fill()
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        """Whether a name or an old name is known."""
        self._fill()
        return name in self._entries or name in self._aliases

    def __iter__(self) -> Iterator[str]:
        """Names in order."""
        return iter(self.names())

    def entry(self, name: str) -> Entry[EntryT]:
        """Line of a name, its plug imported.

        Raises:
            ConfigError: Unknown name, with the nearest one.
        """
        self._fill()
        name = self._aliases.get(name, name)
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        found = self._entries[name]
        if isinstance(found.plug, str):
            found = replace(found, plug=import_attribute(found.plug))
            self._entries[name] = found
        return found

    def __getitem__(self, name: str) -> EntryT:
        """Plug of a name, see `entry`."""
        return typing.cast(EntryT, self.entry(name).plug)

    def parse(self, text: str) -> Any:
        """Plug from ``name[:field=value,...]``.

        >>> strategies.parse("prefix_async:execution_horizon=8,prefix_steps=3")
        PrefixAsync(execution_horizon=8, prefix_steps=3, alignment='report', overrun='play')

        Raises:
            ConfigError: Unknown name or field, or a value that does not fit.
        """
        name, _, values = text.strip().partition(":")
        plug = self[name]
        return configured(plug, values, f"{self.kind} {name!r}")

    def value(self, given: Any, base: type) -> Any:
        """A plug from its text, its class, or itself.

        Raises:
            ConfigError: Unknown name or field, a value that does not fit, or no `base`.
        """
        found = self.parse(given) if isinstance(given, str) else given
        found = found() if isinstance(found, type) else found
        if not isinstance(found, base):
            raise ConfigError(
                f"{self.kind}: expected an {base.__module__}.{base.__qualname__}, got "
                f"{found!r}; derive the plug from it"
            )
        return found

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        if self._home is not None:
            importlib.import_module(self._home)
        for point in entry_points(group=ENTRY_POINTS + self.group):
            self.add(point.name, point.value, f"package {point.dist.name if point.dist else '?'}")


def look_up(kind: str, name: str, table: Mapping[str, EntryT]) -> EntryT:
    """Entry of a plain table, or an error with the nearest name."""
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]


def import_attribute(where: str) -> Any:
    """What ``module:attribute`` names.

    Raises:
        ConfigError: There is no such module or attribute.
    """
    module, _, attribute = where.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{where!r}: expected module:attribute, {error}") from error
    return found


def _same_definition(first: Any, second: Any) -> bool:
    """Whether two plugs are one definition, executed twice (a file that was loaded again)."""
    if isinstance(first, str) or isinstance(second, str):
        return first == second
    kinds = [plug if isinstance(plug, type) else type(plug) for plug in (first, second)]
    same = len({(kind.__module__, kind.__qualname__) for kind in kinds}) == 1
    return same and (
        any(isinstance(p, type) for p in (first, second)) or repr(first) == repr(second)
    )


def _plug_words(plug: Any) -> str:
    return plug.__qualname__ if isinstance(plug, type) else repr(plug)


strategies: Registry[Any] = Registry("strategies", "strategy", "xr0_sim.runtime.strategies.table")
latencies: Registry[Any] = Registry("latencies", "latency", "xr0_sim.runtime.latency.presets")
estimators: Registry[Any] = Registry(
    "estimators", "delay estimator", "xr0_sim.runtime.latency.estimator"
)
triggers: Registry[Any] = Registry("triggers", "trigger", "xr0_sim.perturb.trigger_text")
events: Registry[Any] = Registry("events", "event", "xr0_sim.perturb.signals")
tasks: Registry[Any] = Registry("tasks", "env", "envs.tasks")
policies: Registry[Any] = Registry("policies", "policy", "policies.table")
servos: Registry[Any] = Registry("servos", "servo", "envs.robot.servos")
senses: Registry[Any] = Registry("senses", "senses", "envs.senses.table")
looks: Registry[Any] = Registry("looks", "looks", "envs.scene.looks")

REGISTRIES: dict[str, Registry[Any]] = {
    registry.group: registry
    for registry in (
        tasks,
        policies,
        strategies,
        latencies,
        estimators,
        events,
        triggers,
        servos,
        senses,
        looks,
    )
}
"""Every registry by group."""
