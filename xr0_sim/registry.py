"""One table per kind of plug, one grammar for all of them, and plug-ins from outside the package.

A *plug* is a frozen dataclass: a strategy, a latency, an estimator, an event, a trigger, a task or
a policy. Its registry knows it by a name and a source; text names a plug and sets its fields::

    name[:field=value,field=value...]

A registry is filled by the package's own modules, by entry points of installed packages (group
``xr0_sim.<registry>``), and by plug-ins, modules or files that register something when they are
imported. Whatever is heavy is named by a ``module:attribute`` string and imported on first use.
"""

from __future__ import annotations

import importlib
import sys
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from hashlib import sha256
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Generic, TypeVar

from xr0_sim.errors import ConfigError, unknown_name

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
        PrefixAsync(execution_horizon=8, prefix_steps=3, alignment='report')

        Raises:
            ConfigError: Unknown name or field, or a value that does not fit.
        """
        name, _, values = text.strip().partition(":")
        plug = self[name]
        return configured(plug, values, f"{self.kind} {name!r}")

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


def configured(plug: Any, values: str, what: str) -> Any:
    """A plug with fields set from ``field=value,field=value``.

    Args:
        plug: Frozen dataclass, or an instance whose other fields stay.
        values: Text after the colon; "" sets nothing.
        what: For messages.
    """
    given = split_fields(values, what)
    if not is_dataclass(plug):
        if given:
            raise ConfigError(f"{what}: expected no fields, got {', '.join(given)}; leave them out")
        return plug
    known = {field.name: field for field in fields(plug) if field.init}
    cls = plug if isinstance(plug, type) else type(plug)
    hints = typing.get_type_hints(cls)
    set_to: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            raise unknown_name(f"field of {what}", name, known)
        set_to[name] = field_value(known[name], hints[name], value, f"{what}, field {name}")
    if not isinstance(plug, type):
        return replace(typing.cast(Any, plug), **set_to) if set_to else plug
    missing = [
        name
        for name, field in known.items()
        if name not in set_to and field.default is MISSING and field.default_factory is MISSING
    ]
    if missing:
        raise ConfigError(
            f"{what}: expected a value for {', '.join(missing)}; write "
            f"{what.split()[-1].strip(chr(39))}:{missing[0]}=VALUE"
        )
    return plug(**set_to)


def split_fields(values: str, what: str) -> dict[str, str]:
    """``a=1,b=2`` as a mapping; a value may hold commas inside brackets."""
    found: dict[str, str] = {}
    depth, start = 0, 0
    parts = []
    for index, letter in enumerate(values):
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and depth == 0:
            parts.append(values[start:index])
            start = index + 1
    parts.append(values[start:])
    for part in parts:
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name:
            raise ConfigError(f"{what}: expected field=value, got {part.strip()!r}")
        if name in found:
            raise ConfigError(f"{what}: field {name!r} is given twice; keep one")
        found[name] = value.strip()
    return found


def field_value(field: Field[Any], hint: Any, text: str, what: str) -> Any:
    """Value of a field from its text, by the field's own parser or by its type."""
    parser = field.metadata.get("parse")
    if parser is not None:
        return parser(text)
    return parse_value(hint, text, what)


def parse_value(hint: Any, text: str, what: str) -> Any:
    """Value of a type (bool, int, float, str, Path, Literal, None, tuple or a union) from text."""
    options = union_members(hint)
    for option in options:
        try:
            return _parse_one(option, text)
        except ValueError:
            continue
    raise ConfigError(f"{what}: expected {type_words(hint)}, got {text!r}")


def union_members(hint: Any) -> tuple[Any, ...]:
    """Types of a union, text last since it takes anything; a plain type alone."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(sorted(typing.get_args(hint), key=lambda member: member is str))
    return (hint,)


def type_words(hint: Any) -> str:
    """A type in words, e.g. ``a whole number or none``."""
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    words |= {type(None): "none", Path: "a path"}

    def one(member: Any) -> str:
        if typing.get_origin(member) is typing.Literal:
            return " | ".join(map(str, typing.get_args(member)))
        if typing.get_origin(member) is tuple:
            return "(a, b, ...)"
        return words.get(member, getattr(member, "__name__", str(member)))

    return " or ".join(one(member) for member in union_members(hint))


def _parse_one(option: Any, text: str) -> Any:
    if option is type(None):
        if text.lower() in ("none", ""):
            return None
        raise ValueError
    if option is bool:
        if text.lower() in ("true", "1", "yes", "on"):
            return True
        if text.lower() in ("false", "0", "no", "off"):
            return False
        raise ValueError
    if option in (int, float, str, Path):
        return option(text)
    if typing.get_origin(option) is typing.Literal:
        for choice in typing.get_args(option):
            if str(choice) == text:
                return choice
        raise ValueError
    if typing.get_origin(option) is tuple:
        return _parse_tuple(option, text)
    raise ValueError


def _parse_tuple(option: Any, text: str) -> tuple[Any, ...]:
    items = [part.strip() for part in text.strip("()[] ").split(",") if part.strip()]
    members = typing.get_args(option)
    if len(members) == 2 and members[1] is Ellipsis:
        members = (members[0],) * len(items)
    if len(members) != len(items):
        raise ValueError
    return tuple(
        parse_value(member, item, "tuple") for member, item in zip(members, items, strict=True)
    )


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

REGISTRIES: dict[str, Registry[Any]] = {
    registry.group: registry
    for registry in (tasks, policies, strategies, latencies, estimators, events, triggers)
}
"""Every registry by group."""


@dataclass(frozen=True)
class Plugin:
    """A plug-in that was loaded.

    Attributes:
        name: As given: a file, a module, or ``module:attribute``.
        module: Name of the module that was imported.
        digest: First 16 hex digits of the SHA-256 of its file; "" for one without a file.
    """

    name: str
    module: str
    digest: str


_loaded: dict[str, Plugin] = {}


def loaded_plugins() -> tuple[Plugin, ...]:
    """Plug-ins loaded so far, in order; workers load the same."""
    return tuple(_loaded.values())


def load_plugin(name: str) -> Plugin:
    """Imports a plug-in: a ``.py`` file, a module, or ``module:attribute`` that is then called.

    Raises:
        ConfigError: It cannot be found, or fails while it is imported.
    """
    file = Path(name).expanduser()
    is_file = name.endswith(".py") or file.is_file()
    key = str(file.resolve()) if is_file else name
    if key in _loaded:
        return _loaded[key]
    try:
        module = _import_file(file) if is_file else _import_module(name)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"plug-in {name}: expected a module that can be imported, got "
            f"{type(error).__name__}: {error}"
        ) from error
    where = getattr(module, "__file__", None)
    digest = sha256(Path(where).read_bytes()).hexdigest()[:16] if where else ""
    _loaded[key] = Plugin(key, module.__name__, digest)
    return _loaded[key]


def _import_file(file: Path) -> types.ModuleType:
    if not file.is_file():
        raise ConfigError(f"plug-in {file}: expected a file or an importable module, found neither")
    name = f"xr0_sim_plugin_{file.stem}"
    if name in sys.modules:
        known = getattr(sys.modules[name], "__file__", "?")
        if known != str(file.resolve()):
            raise ConfigError(f"plug-in {file}: its name is taken by {known}; rename one of them")
    spec = spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"plug-in {file}: expected a Python file; give it the ending .py")
    module = module_from_spec(spec)
    # Classes of the plug-in are pickled by this name, for worker processes.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> types.ModuleType:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            raise ConfigError(
                f"plug-in {name}: expected a file or an importable module, found neither"
            ) from None
        raise
    if attribute:
        hook = getattr(found, attribute, None)
        if not callable(hook):
            raise ConfigError(f"plug-in {name}: expected {module} to have a function {attribute!r}")
        hook()
    return found
