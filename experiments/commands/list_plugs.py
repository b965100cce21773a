"""``xr0-sim list``: every plug of every registry, with its fields, defaults and source."""

from __future__ import annotations

import json
import typing
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any

import tyro

from xr0_sim.errors import unknown_name
from xr0_sim.grammar import type_words
from xr0_sim.record.runcard import to_json
from xr0_sim.registry import REGISTRIES, Registry


@dataclass(frozen=True)
class ListConfig:
    """Prints what can be named on the command line: tasks, policies, strategies and so on.

    A field is set with NAME:field=value; its unit is the ending of its name (_s, _m, _deg, _steps).

    Attributes:
        group: tasks, policies, strategies, latencies, estimators, events or triggers; all if left
            out.
        json: Print one JSON object.
    """

    group: Annotated[str | None, tyro.conf.Positional] = None
    json: bool = False


def run(config: ListConfig) -> int:
    """Prints, returns the exit status."""
    if config.group is not None and config.group not in REGISTRIES:
        raise unknown_name("group of plugs", config.group, REGISTRIES)
    _load_task_events()
    chosen = [config.group] if config.group else list(REGISTRIES)
    found = {group: describe(REGISTRIES[group]) for group in chosen}
    if config.json:
        print(json.dumps(to_json(found), ensure_ascii=False))
        return 0
    print("\n\n".join(_page(group, plugs) for group, plugs in found.items()))
    return 0


def describe(registry: Registry[Any]) -> dict[str, dict[str, Any]]:
    """Plugs of a registry by name: what they are, their source and their fields."""
    plugs = {}
    for name in registry:
        entry = registry.entry(name)
        plugs[name] = {"source": entry.source, "fields": _fields(registry, entry.plug)}
    return plugs


def _fields(registry: Registry[Any], plug: Any) -> dict[str, dict[str, Any]]:
    if registry.group == "tasks":
        return {
            name: {"default": value, "type": type_words(type(value))}
            for name, value in plug.env_kwargs.items()
        }
    if not is_dataclass(plug):
        return {}
    hints = typing.get_type_hints(plug if isinstance(plug, type) else type(plug))
    found = {}
    for field in fields(plug):
        if not field.init or field.name == "trigger":
            continue
        default = getattr(plug, field.name, None)
        if isinstance(plug, type):
            made = None if field.default_factory is MISSING else field.default_factory()
            default = made if field.default is MISSING else field.default
        required = (
            isinstance(plug, type) and field.default is MISSING and field.default_factory is MISSING
        )
        found[field.name] = {
            "default": "required" if required else _shown(default),
            "type": type_words(hints[field.name]),
        }
    return found


def _shown(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | str | type(None)) else str(value)


def _load_task_events() -> None:
    from envs.tasks import register_events

    for task in REGISTRIES["tasks"]:
        register_events(task)


def _page(group: str, plugs: dict[str, dict[str, Any]]) -> str:
    lines = [group]
    for name, plug in plugs.items():
        lines.append(f"  {name:<22} {plug['source']}".rstrip())
        for field, about in plug["fields"].items():
            lines.append(f"      {field} = {about['default']}   ({about['type']})")
    return "\n".join(lines)
