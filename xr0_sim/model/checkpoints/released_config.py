"""``config.json`` of a released checkpoint, in both directions, and the full-size sizes.

The released file nests ``vlm_config`` (a stock Qwen3-VL configuration) and ``dit_config`` beside
``action_length``, ``action_dim`` and ``state_dim``; its ``model_type`` asks for remote code, which
is never run: the sizes are read and the switches are those of the released inference path
(`reference_paths`). A file written here has our ``model_type`` and carries every switch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xr0_sim.errors import CheckpointError
from xr0_sim.model.checkpoints.reference_paths import RELEASED_INFERENCE
from xr0_sim.model.checkpoints.weight_files import CONFIG_FILE, read_config_json
from xr0_sim.model.spec.action_layout import LAYOUT_DIM
from xr0_sim.model.spec.config import XR0Config, XR0DiTConfig
from xr0_sim.model.spec.config_schema import check_sizes, policy_fields, vlm_fields
from xr0_sim.model.spec.qwen_sizes import QWEN3_VL_4B

SIZE_FIELDS = ("action_length", "action_dim", "state_dim")
DIT_FIELDS = ("hidden_size", "head_dim", "num_hidden_layers", "num_key_value_heads")


def full_size_config(**overrides: object) -> XR0Config:
    """The 4.7 B model on the released inference path; build it on the ``meta`` device.

    Args:
        **overrides: Fields of `XR0Config` to replace, e.g. ``action_length=10`` for LIBERO.
    """
    own = {"action_length": 30, "preset": "xr0"}
    fields: dict[str, Any] = {**RELEASED_INFERENCE, **own, **overrides}
    return XR0Config(vlm_config=QWEN3_VL_4B, dit_config=XR0DiTConfig(), **fields)


def load_released_config(directory: Path, **overrides: object) -> XR0Config:
    """Configuration of a checkpoint in the released layout.

    Args:
        directory: Where ``config.json`` lies.
        **overrides: Switches to set otherwise, e.g. those of `reference_paths.POST_TRAINING`.

    Raises:
        CheckpointError: Not such a file, or an architecture this model does not have.
    """
    path = directory / CONFIG_FILE
    values = read_config_json(directory)
    missing = [name for name in ("vlm_config", "dit_config", *SIZE_FIELDS) if name not in values]
    if missing:
        raise CheckpointError(
            f"config {path}: expected the released layout, {', '.join(missing)} missing; "
            "is this an XR-0 checkpoint?"
        )
    for name, supported in (("action_dim", LAYOUT_DIM), ("state_length", 1)):
        if values.get(name, supported) != supported:
            raise CheckpointError(
                f"config {path}: expected {name} = {supported}, got {values[name]}; this is not an "
                "XR-0 architecture"
            )
    fields = _fields(values, path)
    try:
        return XR0Config(**(fields | overrides))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CheckpointError(
            f"config {path}: expected the sizes of an XR-0 model, got {error}; restore the file"
        ) from error


def released_config_json(config: XR0Config) -> dict[str, Any]:
    """What `save_released` writes as ``config.json``: released nesting, our switches beside it."""
    return config.to_json() | {"architectures": ["XR0ForActionGeneration"]}


def _fields(values: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if values.get("model_type") == XR0Config.model_type:
        return policy_fields(values, path, XR0Config.__annotations__)
    check_sizes(values, path)
    sizes = {name: values[name] for name in SIZE_FIELDS}
    dit = {name: values["dit_config"][name] for name in DIT_FIELDS}
    vlm = vlm_fields(values["vlm_config"])
    return {"vlm_config": vlm, "dit_config": dit, **sizes, **RELEASED_INFERENCE}
