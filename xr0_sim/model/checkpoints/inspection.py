"""What a checkpoint holds and lacks, from its file headers and ``config.json`` alone.

Works on the released layout, on the directory of a shipped policy and on single safetensors files,
in well under a second: no weight is read and torch is not imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xr0_sim.errors import CheckpointError
from xr0_sim.model.checkpoints.tensor_layout import (
    OTHER,
    PARTS,
    Shapes,
    expected_tensors,
    part_of,
    without_tied_head,
)
from xr0_sim.model.checkpoints.weight_files import (
    CONFIG_FILE,
    INDEX_FILE,
    SINGLE_FILE,
    StoredTensor,
    find_weights,
    mismatches,
    read_config_json,
    read_header,
)

POLICY_VLM = "vlm.safetensors"
POLICY_HEADS = "heads/*/dit.safetensors"
"""Files of a shipped policy (`xr0_sim.model.checkpoints.shipped`, which imports torch)."""
VLM_PREFIX = "vlm."
DTYPE_NAMES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}


@dataclass(frozen=True)
class PartSummary:
    """One part of the model as it is stored.

    Attributes:
        part: Key of `tensor_layout.PARTS`; heads of a shipped policy are named.
        tensors: Number of stored tensors.
        parameters: Their entries.
        size_bytes: Their size on disk.
        dtypes: Kinds of numbers, sorted.
    """

    part: str
    tensors: int
    parameters: int
    size_bytes: int
    dtypes: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """Findings on one checkpoint.

    Attributes:
        path: What was looked at.
        layout: "released", "policy" or "file".
        files: Number of weight files.
        parts: Summaries in model order.
        problems: Phrases on tensors that are missing, unexpected or of the wrong shape; None when
            there is no ``config.json`` to compare with.
    """

    path: Path
    layout: str
    files: int
    parts: tuple[PartSummary, ...]
    problems: tuple[str, ...] | None

    @property
    def total(self) -> PartSummary:
        """All parts together."""
        return PartSummary(
            "total",
            sum(part.tensors for part in self.parts),
            sum(part.parameters for part in self.parts),
            sum(part.size_bytes for part in self.parts),
            tuple(sorted({dtype for part in self.parts for dtype in part.dtypes})),
        )


def inspect_checkpoint(path: Path) -> Inspection:
    """Looks at a checkpoint directory or a safetensors file.

    Raises:
        CheckpointError: Nothing there, not a checkpoint, or a file is damaged or truncated.
    """
    if path.is_file():
        return _inspect_file(path)
    if not path.is_dir():
        raise CheckpointError(
            f"checkpoint {path}: expected a directory or a .safetensors file, found nothing there"
        )
    if (path / POLICY_VLM).is_file() or any(path.glob(POLICY_HEADS)):
        return _inspect_policy(path)
    if not (path / INDEX_FILE).is_file() and not (path / SINGLE_FILE).is_file():
        raise CheckpointError(
            f"checkpoint {path}: expected {INDEX_FILE}, {SINGLE_FILE} or {POLICY_VLM}, found "
            "none of them; is this a checkpoint directory?"
        )
    found = find_weights(path)
    wanted = expected_tensors(read_config_json(path))
    problems = mismatches(wanted, without_tied_head(wanted, found))
    return Inspection(path, "released", _count_files(found), _by_part(found), tuple(problems))


def _inspect_policy(path: Path) -> Inspection:
    wanted = expected_tensors(read_config_json(path))
    vlm_shapes = {n.removeprefix(VLM_PREFIX): s for n, s in wanted.items() if _of_vlm(n)}
    head_shapes = {name: shape for name, shape in wanted.items() if not _of_vlm(name)}
    problems: list[str] = []
    parts: list[PartSummary] = []
    files = 0
    if (path / POLICY_VLM).is_file():
        found = read_header(path / POLICY_VLM)
        problems += mismatches(vlm_shapes, without_tied_head(vlm_shapes, found, VLM_PREFIX))
        parts += _by_part({f"{VLM_PREFIX}{name}": tensor for name, tensor in found.items()})
        files += 1
    else:
        problems.append(f"{POLICY_VLM} is missing")
    heads = sorted(path.glob(POLICY_HEADS))
    if not heads:
        problems.append("no head in heads/")
    for file in heads:
        head, found = file.parent.name, read_header(file)
        problems += [f"head {head}: {problem}" for problem in mismatches(head_shapes, found)]
        parts += _by_part(found, f" of head {head}")
        files += 1
    return Inspection(path, "policy", files, tuple(parts), tuple(problems))


def _inspect_file(path: Path) -> Inspection:
    found = read_header(path)
    wanted = _wanted_in(path)
    problems = None if wanted is None else tuple(mismatches(wanted, found))
    vlm_file = path.name == POLICY_VLM
    named = {f"{VLM_PREFIX}{n}": t for n, t in found.items()} if vlm_file else found
    return Inspection(path, "file", 1, _by_part(named), problems)


def _wanted_in(path: Path) -> Shapes | None:
    """What the nearest ``config.json`` says a single file should hold, None without one."""
    policy = path.absolute().parents[2] if path.match(POLICY_HEADS) else path.parent
    if not (policy / CONFIG_FILE).is_file() or (path.parent / INDEX_FILE).is_file():
        return None
    wanted = expected_tensors(read_config_json(policy))
    if path.name == POLICY_VLM:
        return {n.removeprefix(VLM_PREFIX): s for n, s in wanted.items() if _of_vlm(n)}
    if path.match(POLICY_HEADS):
        return {name: shape for name, shape in wanted.items() if not _of_vlm(name)}
    return wanted if path.name == SINGLE_FILE else None


def _of_vlm(name: str) -> bool:
    return name.startswith(VLM_PREFIX)


def _count_files(found: Mapping[str, StoredTensor]) -> int:
    return len({tensor.file for tensor in found.values()})


def _by_part(found: Mapping[str, StoredTensor], suffix: str = "") -> tuple[PartSummary, ...]:
    summaries = []
    for part in (*PARTS, OTHER):
        tensors = [tensor for name, tensor in found.items() if part_of(name) == part]
        if tensors:
            summaries.append(
                PartSummary(
                    part + suffix,
                    len(tensors),
                    sum(tensor.parameters for tensor in tensors),
                    sum(tensor.size_bytes for tensor in tensors),
                    tuple(sorted({DTYPE_NAMES.get(t.dtype, t.dtype.lower()) for t in tensors})),
                )
            )
    return tuple(summaries)
