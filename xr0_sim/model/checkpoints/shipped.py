"""The directory of a shipped policy: one frozen VLM, several named action-expert heads.

```
    DIR/config.json                 XR0Config of the VLM and what all heads share
    DIR/vlm.safetensors             VLM, float16
    DIR/normalizer.safetensors      action and state statistics
    DIR/heads/NAME/config.json      action window, position offset, longest prefix, Euler steps
    DIR/heads/NAME/dit.safetensors  action expert, float16
    DIR/grounding.safetensors       optional: grounding readout of stage 1
```

Weights are stored as float16 and computed in float32. Training features are made from the stored
VLM, so rounding never separates training from use. Every file is written by rename.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from xr0_sim.atomic import write_bytes, write_json
from xr0_sim.errors import CheckpointError, ConfigError, unknown_name
from xr0_sim.model.spec.config import HEAD_FIELDS, XR0Config
from xr0_sim.model.spec.normalizer import Normalizer

CONFIG_FILE = "config.json"
VLM_FILE = "vlm.safetensors"
NORMALIZER_FILE = "normalizer.safetensors"
GROUNDING_FILE = "grounding.safetensors"
HEADS_DIR = "heads"
HEAD_FILE = "dit.safetensors"
TIED_NAME = "lm_head.weight"
LARGEST_HALF = 65_504.0


def head_names(directory: Path) -> list[str]:
    """Heads that a checkpoint directory holds."""
    return sorted(path.parent.name for path in directory.glob(f"{HEADS_DIR}/*/{HEAD_FILE}"))


def save_vlm(directory: Path, config: XR0Config, vlm: nn.Module) -> None:
    """Writes ``config.json`` and the VLM."""
    write_json(directory / CONFIG_FILE, json.loads(config.to_json_string(use_diff=False)))
    tensors = {k: v for k, v in vlm.state_dict().items() if k != TIED_NAME}
    save_weights(directory / VLM_FILE, tensors)


def save_head(directory: Path, name: str, config: XR0Config, expert: nn.Module) -> None:
    """Writes one head: its switches and its weights."""
    if not name.isidentifier():
        raise ConfigError(f"head name: expected letters, digits and underscores, got {name!r}")
    folder = directory / HEADS_DIR / name
    save_weights(folder / HEAD_FILE, expert.state_dict())
    write_json(folder / CONFIG_FILE, config.head_dict())


def load_config(directory: Path, head: str | None = None) -> XR0Config:
    """The configuration of a checkpoint, with the switches of a head when one is named."""
    values = _read_json(directory / CONFIG_FILE)
    if head is not None:
        names = head_names(directory)
        if head not in names:
            raise unknown_name(f"head of {directory}", head, names)
        switches = _read_json(directory / HEADS_DIR / head / CONFIG_FILE)
        values.update({name: switches[name] for name in HEAD_FIELDS if name in switches})
    try:
        return XR0Config(**values)
    except (TypeError, ValueError) as error:
        raise CheckpointError(
            f"config {directory / CONFIG_FILE}: expected an XR0 configuration, got {error}; "
            "is this a policy checkpoint?"
        ) from error


def load_vlm(directory: Path, vlm: nn.Module) -> None:
    """Reads the VLM's weights into a module of the right sizes."""
    load_weights(directory / VLM_FILE, vlm, tied=(TIED_NAME,))


def load_head(directory: Path, name: str, expert: nn.Module) -> None:
    """Reads a head's weights into an expert of the right sizes."""
    names = head_names(directory)
    if name not in names:
        raise unknown_name(f"head of {directory}", name, names)
    load_weights(directory / HEADS_DIR / name / HEAD_FILE, expert)


def load_normalizer(directory: Path) -> Normalizer:
    """Reads the statistics that ship with a checkpoint."""
    return Normalizer.load(directory / NORMALIZER_FILE)


def save_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors as float16 safetensors, atomically."""
    from safetensors.torch import save

    halves = {}
    for name, tensor in tensors.items():
        if not bool((tensor.abs() <= LARGEST_HALF).all()):
            raise CheckpointError(
                f"weight {name}: expected finite values below {LARGEST_HALF:.0f}, got "
                f"{float(tensor.abs().max())}; training has diverged"
            )
        halves[name] = tensor.detach().to("cpu", torch.float16).contiguous()
    write_bytes(path, save(halves))


def load_weights(path: Path, module: nn.Module, tied: tuple[str, ...] = ()) -> None:
    """Reads safetensors into a module, as float32, checking every name and shape.

    Args:
        path: Weight file.
        module: Where they go.
        tied: Names that may be absent, because another parameter carries them.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        found = load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"weights {path}: expected a complete safetensors file, got "
            f"{type(error).__name__}: {error}; restore the file"
        ) from error
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items() if k not in tied}
    problems = [f"{k} is missing" for k in wanted if k not in found]
    problems += [f"{k} is not part of the model" for k in found if k not in wanted]
    problems += [
        f"{k} has shape {tuple(found[k].shape)} instead of {shape}"
        for k, shape in wanted.items()
        if k in found and tuple(found[k].shape) != shape
    ]
    if problems:
        raise CheckpointError(
            f"weights {path}: expected {len(wanted)} tensors that fit the configuration, got "
            f"{len(problems)} mismatches, first: {problems[0]}; use the matching config.json"
        )
    module.load_state_dict({k: v.float() for k, v in found.items()}, strict=not tied)


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"config {path}: expected readable JSON, got {type(error).__name__}: {error}; "
            "is this a policy checkpoint?"
        ) from error
