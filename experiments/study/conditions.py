"""From the settings of a cell to the condition that is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.options.condition_options import ConditionOptions
from experiments.runner.condition import Condition
from experiments.study.design import Design, cell_name
from xr0_sim.errors import ConfigError
from xr0_sim.perturb.registry import split_events


def conditions_of(design: Design) -> dict[str, Condition]:
    """Conditions of all cells by name, in table order.

    Raises:
        ConfigError: A cell stands for no condition; the message names it.
    """
    found = {}
    for cell in design.cells:
        name = cell_name(cell)
        try:
            found[name] = condition_of(design.settings(cell))
        except ConfigError as error:
            raise ConfigError(
                f"condition {name}: {error} (or exclude it, with the reason)"
            ) from error
    return found


def condition_of(settings: Mapping[str, Any]) -> Condition:
    """Condition of plain options and of fields of plugs, see `experiments.study.levels.PLUGS`."""
    plain = {option: value for option, value in settings.items() if "." not in option}
    for option, value in settings.items():
        plug, dot, field = option.partition(".")
        if dot:
            text = str(plain.get(plug) or getattr(ConditionOptions, plug) or "")
            plain[plug] = with_field(text, field, value, option)
    try:
        return ConditionOptions(**plain).condition()
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"expected options of the right type; {error}") from error


def with_field(text: str, field: str, value: Any, option: str) -> str:
    """A plug's text with one more field, e.g. ``shove@2s`` as ``shove:distance_m=0.1@2s``.

    Args:
        text: ``NAME[:field=value,...][@TRIGGER]``.
        field: Name of the field; ``trigger`` is what stands behind the ``@`` of an event.
        value: Its value.
        option: For messages.

    Raises:
        ConfigError: There is no plug to set it in, or more than one.
    """
    if text in ("", "none") or (option.startswith("event.") and len(split_events(text)) != 1):
        raise ConfigError(f"{option}: expected one plug to set it in, got {text or 'none'!r}")
    if option.startswith("event."):
        text, at, trigger = text.rpartition("@") if "@" in text else (text, "", "")
        if field == "trigger":
            return f"{text}@{value}"
    else:
        at, trigger = "", ""
    mark = "," if ":" in text else ":"
    return f"{text}{mark}{field}={value}{at}{trigger}"
