"""The directory of a shipped policy: one frozen VLM, several named action-expert heads.

```
    DIR/config.json                 XR0Config of the VLM and what all heads share
    DIR/vlm.safetensors             VLM, float16
    DIR/normalizer.safetensors      action and state statistics
    DIR/heads/NAME/config.json      action window, position offset, longest prefix, Euler steps
    DIR/heads/NAME/dit.safetensors  action expert, float16
    DIR/grounding.safetensors       optional: grounding readout of stage 1
    DIR/manifest.json               task, execution horizon and digests (`manifest`); so in heads
```

Weights are stored as float16 and computed in float32. Training features are made from the stored
VLM, so rounding never separates training from use. Every file is written by rename.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from xr0_sim.atomic import write_bytes, write_json
from xr0_sim.errors import CheckpointError, ConfigError, unknown_name
from xr0_sim.model.checkpoints.manifest import (
    CONFIG_FILE,
    GROUNDING_FILE,
    HEAD_FILE,
    HEADS_DIR,
    NORMALIZER_FILE,
    VLM_FILE,
    check_belonging,
    record_head,
    record_shared,
)
from xr0_sim.model.checkpoints.tensor_layout import (
    EMBEDDING_NAME,
    expected_tensors,
    tied_words,
    without_tied_head,
)
from xr0_sim.model.checkpoints.tensor_layout import TIED_NAME as LAYOUT_TIED_NAME
from xr0_sim.model.checkpoints.weight_files import (
    mismatches,
    read_config_json,
    read_header,
    read_mapped,
)
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.config_schema import check_head_config, policy_fields
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.vlm.qwen import Qwen3VL

VLM_PREFIX = "vlm."
TIED_NAME = LAYOUT_TIED_NAME.removeprefix(VLM_PREFIX)
TIED = {TIED_NAME: EMBEDDING_NAME.removeprefix(VLM_PREFIX)}
NOTHING_TIED: Mapping[str, str] = MappingProxyType({})
LARGEST_HALF = 65_504.0


def head_names(directory: Path) -> list[str]:
    """Heads that a checkpoint directory holds."""
    return sorted(path.parent.name for path in directory.glob(f"{HEADS_DIR}/*/{HEAD_FILE}"))


def save_vlm(
    directory: Path,
    config: XR0Config,
    vlm: nn.Module,
    task: str | None = None,
    execution_horizon: int | None = None,
    instructions: Iterable[str] = (),
    world: str | None = None,
) -> None:
    """Writes ``config.json`` and the VLM, and records them (`manifest`).

    Args:
        directory: The checkpoint.
        config: Of the VLM and what all heads share.
        vlm: Weights.
        task: Task of the policy; None keeps what is recorded.
        execution_horizon: See `manifest.Manifest`; None keeps what is recorded.
        instructions: What the policy is told in training; none keep what is recorded.
        world: World of its episodes; None keeps what is recorded.
    """
    write_json(directory / CONFIG_FILE, config.to_json())
    tensors = {k: v for k, v in vlm.state_dict().items() if k != TIED_NAME}
    save_weights(directory / VLM_FILE, tensors)
    files = (CONFIG_FILE, VLM_FILE)
    record_shared(directory, files, task, execution_horizon, instructions, world)


def save_normalizer(directory: Path, normalizer: Normalizer) -> None:
    """Writes the statistics and records them; to be written before the heads that need them."""
    normalizer.save(directory / NORMALIZER_FILE)
    record_shared(directory, (NORMALIZER_FILE,))


def save_grounding(directory: Path, readout: nn.Module) -> None:
    """Writes the grounding readout of stage 1 and records it."""
    save_weights(directory / GROUNDING_FILE, readout.state_dict())
    record_shared(directory, (GROUNDING_FILE,))


def save_head(directory: Path, name: str, config: XR0Config, expert: nn.Module) -> None:
    """Writes one head: its switches, its weights, and what it belongs to."""
    if not name.isidentifier():
        raise ConfigError(f"head name: expected letters, digits and underscores, got {name!r}")
    folder = directory / HEADS_DIR / name
    save_weights(folder / HEAD_FILE, expert.state_dict())
    write_json(folder / CONFIG_FILE, config.head_dict())
    record_head(directory, name)


def load_config(directory: Path, head: str | None = None) -> XR0Config:
    """The configuration of a checkpoint, with the switches of a head when one is named.

    Raises:
        CheckpointError: A field is missing, unknown or out of range, the weight files hold other
            tensors than it says, or a file does not belong to the others (`manifest`); found out
            before a network is built.
    """
    path = directory / CONFIG_FILE
    values = policy_fields(read_config_json(directory), path, XR0Config.__annotations__)
    if head is not None:
        names = head_names(directory)
        if head not in names:
            raise unknown_name(f"head of {directory}", head, names)
        path = directory / HEADS_DIR / head / CONFIG_FILE
        switches = read_config_json(path.parent)
        check_head_config(switches, path)
        values |= switches
    try:
        config = XR0Config(**values)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise CheckpointError(
            f"config {path}: expected an XR0 configuration, got {error}; is this a policy "
            "checkpoint?"
        ) from error
    check_headers(directory, values, head)
    check_belonging(directory, head)
    return config


def check_headers(directory: Path, values: Mapping[str, Any], head: str | None) -> None:
    """Compares what the weight files say they hold with a configuration; reads no weight."""
    shapes = expected_tensors(values)
    vlm = {n.removeprefix(VLM_PREFIX): s for n, s in shapes.items() if n.startswith(VLM_PREFIX)}
    wanted = {directory / VLM_FILE: vlm}
    if head is not None:
        expert = {n: shape for n, shape in shapes.items() if not n.startswith(VLM_PREFIX)}
        wanted[directory / HEADS_DIR / head / HEAD_FILE] = expert
    for path, tensors in wanted.items():
        found = without_tied_head(tensors, read_header(path), VLM_PREFIX)
        _refuse(path, tensors, mismatches(tensors, found))


def load_vlm(directory: Path, vlm: Qwen3VL) -> None:
    """Reads the VLM's weights into a module of the right sizes."""
    load_weights(directory / VLM_FILE, vlm, TIED)


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


def load_weights(path: Path, module: nn.Module, tied: Mapping[str, str] = NOTHING_TIED) -> None:
    """Reads safetensors into a module, as float32, checking every name and shape.

    Args:
        path: Weight file.
        module: Where they go.
        tied: Names that may be absent, and the parameter that carries each; a stored one must
            equal it.
    """
    found = read_mapped(path)
    for name, carrier in tied.items():
        if name in found and carrier in found:
            if not torch.equal(found[name], found[carrier]):
                raise CheckpointError(tied_words(path, name, carrier))
            del found[name]
    wanted = {k: tuple(v.shape) for k, v in module.state_dict().items() if k not in tied}
    _refuse(path, wanted, mismatches(wanted, found))
    # Copied into the weights that are there, which an optimizer may know already.
    module.load_state_dict(found, strict=not tied)


def _refuse(path: Path, wanted: Mapping[str, object], problems: Sequence[str]) -> None:
    if problems:
        raise CheckpointError(
            f"weights {path}: expected {len(wanted)} tensors that fit the configuration, got "
            f"{len(problems)} mismatches, first: {problems[0]}; use the matching config.json"
        )
