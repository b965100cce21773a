"""Safetensors on disk, one file or several with an index: what is in them, without loading it.

Reading a header also proves that the file is whole: its length is part of what the header says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xr0_sim.errors import CheckpointError
from xr0_sim.model.spec.json_file import LARGEST_TABLE_BYTES, read_object

if TYPE_CHECKING:
    from torch import Tensor

CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"
DTYPE_BYTES = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "U8": 1, "I8": 1}


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as its file describes it.

    Attributes:
        file: Where it lies.
        shape: Its sizes.
        dtype: Name in the safetensors header, e.g. "BF16".
    """

    file: Path
    shape: tuple[int, ...]
    dtype: str

    @property
    def parameters(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self.parameters * DTYPE_BYTES.get(self.dtype, 1)


def read_config_json(directory: Path) -> dict[str, Any]:
    """The raw ``config.json`` of a checkpoint directory."""
    return read_object(directory / CONFIG_FILE, "config", "is this a policy checkpoint?")


def read_header(path: Path) -> dict[str, StoredTensor]:
    """Tensors of one safetensors file; a missing, damaged or truncated one is a CheckpointError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}
            return {
                name: StoredTensor(path, tuple(part.get_shape()), part.get_dtype())
                for name, part in parts.items()
            }
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def read_mapped(path: Path) -> dict[str, Tensor]:
    """All tensors of one safetensors file as views into it; nothing is read before it is used."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def read_one(path: Path, name: str) -> Tensor:
    """One tensor of a file, as a view into it; the file is let go with the tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)
    except (OSError, SafetensorError) as error:
        raise damaged(path, error) from error


def damaged(path: Path, error: Exception) -> CheckpointError:
    """What to say of a file that cannot be read."""
    return CheckpointError(
        f"weights {path}: expected a complete safetensors file, got "
        f"{type(error).__name__}: {error}; restore the file"
    )


def find_weights(directory: Path) -> dict[str, StoredTensor]:
    """All tensors of a directory with ``model.safetensors`` or shards and their index.

    Raises:
        CheckpointError: A shard is missing or damaged, or does not hold what the index promises.
    """
    index = directory / INDEX_FILE
    if not index.is_file():
        single = directory / SINGLE_FILE
        if not single.is_file():
            raise CheckpointError(
                f"weights {directory}: expected {INDEX_FILE} or {SINGLE_FILE}, got neither; is "
                "this a released checkpoint?"
            )
        return read_header(single)
    promised = _read_index(index)
    tensors: dict[str, StoredTensor] = {}
    for name in sorted(set(promised.values())):
        tensors |= read_header(directory / name)
    lost = [n for n, file in promised.items() if n not in tensors or tensors[n].file.name != file]
    extra = [name for name in tensors if name not in promised]
    if lost or extra:
        first = f"{lost[0]} is not in {promised[lost[0]]}" if lost else f"{extra[0]} is not listed"
        raise CheckpointError(
            f"weights {index}: expected shards that hold {len(promised)} listed tensors, got "
            f"{len(lost)} lost and {len(extra)} unlisted, first: {first}; fetch the shards again"
        )
    return tensors


def mismatches(wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, Any]) -> list[str]:
    """One phrase for every tensor that is missing, unexpected or of the wrong shape."""
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is not part of the model" for name in found if name not in wanted]
    problems += [
        f"{name} has shape {tuple(found[name].shape)} instead of {tuple(shape)}"
        for name, shape in wanted.items()
        if name in found and tuple(found[name].shape) != tuple(shape)
    ]
    return problems


def _read_index(path: Path) -> dict[str, str]:
    promised = read_object(path, "weights", "restore the file", LARGEST_TABLE_BYTES).get(
        "weight_map"
    )
    if (
        not isinstance(promised, dict)
        or not promised
        or not all(isinstance(file, str) and Path(file).name == file for file in promised.values())
    ):
        raise CheckpointError(
            f"weights {path}: expected JSON with a weight_map from tensors to files beside it, got "
            "none, or files elsewhere; restore the file"
        )
    return promised
