"""Loads and saves `XR0ForActionGeneration` in the layout of the released checkpoints.

```
    DIR/config.json                       nested sizes (`released_config`)
    DIR/model-0000i-of-0000n.safetensors  932 tensors at full size, bfloat16, no lm_head
    DIR/model.safetensors.index.json      which shard holds which tensor; or one model.safetensors
    DIR/preprocessor_config.json          action statistics per robot type (`robot_schema`)
    DIR/tokenizer.json                    the Qwen3-VL tokenizer
```

No remote code and no pickle: our modules carry the released names, so a file's tensors are assigned
to them one for one. The model is built on the ``meta`` device first; memory holds the weights once,
and where they stay as stored they are the file itself, mapped.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor

from xr0_sim.atomic import replacing, write_json
from xr0_sim.conventions import CAMERAS
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.checkpoints.released_config import load_released_config, released_config_json
from xr0_sim.model.checkpoints.tensor_layout import (
    EMBEDDING_NAME,
    TIED_NAME,
    tied_words,
    without_tied_head,
)
from xr0_sim.model.checkpoints.weight_files import (
    CONFIG_FILE,
    INDEX_FILE,
    SINGLE_FILE,
    StoredTensor,
    find_weights,
    mismatches,
    read_mapped,
    read_one,
)
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.robot_schema import PREPROCESSOR_FILE, load_schemas
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.processor import XR0Processor

SHARD_BYTES = 5_000_000_000
"""Largest shard, as transformers splits by default."""


def meta_model(config: XR0Config) -> XR0ForActionGeneration:
    """The model without memory behind its weights, for counting and for loading into."""
    with torch.device("meta"):
        return XR0ForActionGeneration(config)


def load_released(
    directory: Path, dtype: torch.dtype | None = None, **overrides: object
) -> XR0ForActionGeneration:
    """Reads a checkpoint; every tensor must be there, none may be left over.

    Args:
        directory: Released layout.
        dtype: Kind of the weights in memory; as stored when None.
        **overrides: Switches to set otherwise than the file says (`load_released_config`).

    Returns:
        The model in evaluation mode, on the CPU.
    """
    directory = Path(directory)
    config = load_released_config(directory, **overrides)
    found = find_weights(directory)
    model = meta_model(config)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = _is_tied(config)
    if tied:
        del wanted[TIED_NAME]
        _check_tied(directory, found)
        found = without_tied_head(wanted, found)
    problems = mismatches(wanted, found)
    if problems:
        raise CheckpointError(
            f"weights {directory}: expected {len(wanted)} tensors that fit {CONFIG_FILE}, got "
            f"{len(problems)} mismatches, first: {problems[0]}; use the matching {CONFIG_FILE}"
        )
    model.load_state_dict(_read(found, dtype), strict=False, assign=True)
    model.vlm.tie_head()
    return model.eval()


def save_released(
    model: XR0ForActionGeneration,
    directory: Path,
    dtype: torch.dtype = torch.bfloat16,
    shard_bytes: int = SHARD_BYTES,
) -> None:
    """Writes the model in the released layout; a failed write leaves the previous files.

    Args:
        model: Weights in any floating kind.
        directory: Created when missing.
        dtype: Kind of the stored weights; bfloat16 in the release.
        shard_bytes: Largest file; one file and no index when everything fits.
    """
    from safetensors.torch import save_file

    if shard_bytes < 1:
        raise ConfigError(f"shard_bytes: expected a positive size, got {shard_bytes}")
    directory = Path(directory)
    tensors = dict(model.state_dict())
    if _is_tied(model.config):
        del tensors[TIED_NAME]
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(
                f"weight {name}: expected finite values, got NaN or infinity; training has diverged"
            )
    shards = _shards(tensors, shard_bytes, dtype.itemsize)
    files = [
        SINGLE_FILE if len(shards) == 1 else f"model-{i:05d}-of-{len(shards):05d}.safetensors"
        for i in range(1, len(shards) + 1)
    ]
    with ExitStack() as stack:
        # All shards are written before the first one replaces an old file.
        for file, names in zip(files, shards, strict=True):
            temporary = stack.enter_context(replacing(directory / file))
            shard = {name: tensors[name].detach().to(dtype).contiguous() for name in names}
            save_file(shard, temporary, metadata={"format": "pt"})
    if len(shards) > 1:
        places = {name: file for file, names in zip(files, shards, strict=True) for name in names}
        total = sum(tensor.numel() for tensor in tensors.values()) * dtype.itemsize
        index = {"metadata": {"total_size": total}, "weight_map": places}
        write_json(directory / INDEX_FILE, index)
    else:
        (directory / INDEX_FILE).unlink(missing_ok=True)
    values = released_config_json(model.config)
    write_json(directory / CONFIG_FILE, values | {"dtype": str(dtype).removeprefix("torch.")})


def released_processor(
    directory: Path, config: XR0Config, cameras: tuple[str, ...] = CAMERAS
) -> XR0Processor:
    """Processor of a checkpoint: its tokenizer and, when there, its action statistics."""
    directory = Path(directory)
    schemas = load_schemas(directory) if (directory / PREPROCESSOR_FILE).is_file() else None
    return XR0Processor(config, directory, cameras, schemas)


def _is_tied(config: XR0Config) -> bool:
    vlm = config.vlm_config
    return bool(vlm.tie_word_embeddings)


def _check_tied(directory: Path, found: Mapping[str, StoredTensor]) -> None:
    """Accepts a stored output head beside tied embeddings where it is their copy.

    Raises:
        CheckpointError: It holds other numbers, which would be lost.
    """
    names = (TIED_NAME, EMBEDDING_NAME)
    if not all(name in found for name in names):
        return
    stored = _read({name: found[name] for name in names}, None)
    if not torch.equal(*(stored[name] for name in names)):
        raise CheckpointError(tied_words(directory, TIED_NAME, EMBEDDING_NAME))


def _read(found: dict[str, StoredTensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    if dtype is None:
        tensors: dict[str, Tensor] = {}
        for path in sorted({stored.file for stored in found.values()}):
            mapped = read_mapped(path)
            tensors |= {name: mapped[name] for name in mapped if name in found}
        return tensors
    # One tensor at a time, so that no more than it lies in memory twice.
    return {name: read_one(stored.file, name).to(dtype) for name, stored in found.items()}


def _shards(tensors: dict[str, Tensor], limit: int, item_bytes: int) -> list[list[str]]:
    """Names per shard in order, each shard within the limit or a single tensor."""
    shards: list[list[str]] = [[]]
    used = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * item_bytes
        if shards[-1] and used + size > limit:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    return shards
