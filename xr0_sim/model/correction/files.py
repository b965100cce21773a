"""A correction head on disk, in the directory of the policy whose rows it corrects.

```
    DIR/correction/config.json       sizes (`CorrectionConfig`)
    DIR/correction/head.safetensors  weights and feature statistics, float32
    DIR/correction/manifest.json     task, digests of these files and of those they were made for
    DIR/correction/record.json       options, code and data of its training; metrics.jsonl, its loss
```

The record of the policy itself does not name it: a policy is whole with or without.
"""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from xr0_sim.atomic import write_bytes, write_json
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.checkpoints.manifest import (
    CONFIG_FILE,
    CORRECTION_DIR,
    HEAD_FILE,
    HEADS_DIR,
    MANIFEST_FILE,
    NEEDED_FILES,
    REMEDY,
    Manifest,
    file_digest,
    read_manifest,
)
from xr0_sim.model.checkpoints.weight_files import mismatches, read_mapped
from xr0_sim.model.correction.head import CorrectionConfig, CorrectionHead
from xr0_sim.model.spec.json_file import read_object

WEIGHTS_FILE = "head.safetensors"
LARGEST_BYTES = 2_000_000
"""A head may take so much per task."""


def corrects_head(checkpoint: Path, action_head: str) -> bool:
    """Whether a policy has a correction head for the chunks of an action-expert head."""
    path = Path(checkpoint) / CORRECTION_DIR / CONFIG_FILE
    if not path.is_file():
        return False
    return read_object(path, "config", "restore the file").get("action_head") == action_head


def save_correction(checkpoint: Path, head: CorrectionHead) -> None:
    """Writes a head, and records the weights whose rows it corrects.

    Raises:
        ConfigError: It is larger than `LARGEST_BYTES`.
    """
    from safetensors.torch import save

    folder = Path(checkpoint) / CORRECTION_DIR
    payload = save({k: v.detach().cpu().contiguous() for k, v in head.state_dict().items()})
    if len(payload) > LARGEST_BYTES:
        raise ConfigError(
            f"correction head: expected at most {LARGEST_BYTES} bytes, got {len(payload)}; make it "
            "narrower"
        )
    write_bytes(folder / WEIGHTS_FILE, payload)
    write_json(folder / CONFIG_FILE, asdict(head.config))
    shared = read_manifest(Path(checkpoint)) or Manifest()
    needed = (*NEEDED_FILES, f"{HEADS_DIR}/{head.config.action_head}/{HEAD_FILE}")
    record = Manifest(
        shared.task,
        None,
        {name: file_digest(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)},
        {name: file_digest(Path(checkpoint) / name) for name in needed},
        world=shared.world,
    )
    write_json(folder / MANIFEST_FILE, asdict(record))


def load_correction(checkpoint: Path) -> CorrectionHead:
    """Reads the head of a policy.

    Raises:
        CheckpointError: There is none, it is damaged, or it was made for other weights.
    """
    folder = Path(checkpoint) / CORRECTION_DIR
    record = read_manifest(folder)
    if record is None:
        raise CheckpointError(
            f"{checkpoint}: expected a correction head in {CORRECTION_DIR}, found none; train one "
            "with xr0-sim train-correction"
        )
    for base, digests in ((folder, record.files), (Path(checkpoint), record.needs)):
        for name, digest in digests.items():
            if file_digest(base / name) != digest:
                raise CheckpointError(
                    f"correction head {folder}: expected the {name} it was recorded with, got "
                    f"another one; {REMEDY}"
                )
    values = read_object(folder / CONFIG_FILE, "config", "restore the file")
    known = {f.name for f in fields(CorrectionConfig)}
    if set(values) != known:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: expected the fields {', '.join(sorted(known))}, got "
            f"{', '.join(sorted(values))}; {REMEDY}"
        )
    head = CorrectionHead(CorrectionConfig(**_as_tuples(values)))
    found = read_mapped(folder / WEIGHTS_FILE)
    wanted = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    problems = mismatches(wanted, found)
    if problems:
        raise CheckpointError(
            f"weights {folder / WEIGHTS_FILE}: expected {len(wanted)} tensors that fit the "
            f"configuration, got {len(problems)} mismatches, first: {problems[0]}; {REMEDY}"
        )
    head.load_state_dict({name: tensor.to(torch.float32) for name, tensor in found.items()})
    return head.eval()


def _as_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
