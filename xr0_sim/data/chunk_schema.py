"""What one training sample holds, and the identity card of a sample store.

A sample is one observation together with the chunk that should follow it. On disk a store is

```
    STORE/meta.json                       schema, cameras, horizon, grounding layout, provenance
    STORE/shards/PREFIX-00007/shard.json  count, string tables, origin: what collected it
    STORE/shards/PREFIX-00007/FIELD.npy   one array per field, (count, ...)
```

A shard directory appears by one rename, so it is either complete or not there. Several processes
may write at once, each under its own prefix; strings are tabled per shard.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from xr0_sim.atomic import write_json
from xr0_sim.conventions import CAMERAS, ENV_ACTION_DIM
from xr0_sim.errors import DatasetError

SCHEMA_VERSION = 1
META_FILE = "meta.json"
SHARD_FILE = "shard.json"
SHARD_DIR = "shards"
SHARD_NAME = re.compile(r"[a-z0-9_]+-\d{5,}")
TABLED_FIELDS = ("instruction", "source")
STRUCTURE = ("schema_version", "horizon", "image_size", "grounding_dim", "cameras")
"""Entries that every process writing to a store must agree on."""


@dataclass(frozen=True)
class StoreMeta:
    """Identity of a store.

    Attributes:
        horizon: Chunk rows T.
        image_size: Side of the square camera images [px].
        grounding_dim: Length G of the grounding vector.
        grounding: `GroundingSpec` as a dict, describing that vector.
        cameras: Views in storage order.
        provenance: What the store was begun with: task, environment, command. What each shard comes
            from is its own origin.
        schema_version: Layout version of the files.
    """

    horizon: int = 30
    image_size: int = 128
    grounding_dim: int = 0
    grounding: dict = field(default_factory=dict)
    cameras: tuple[str, ...] = CAMERAS
    provenance: dict = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    def fields(self) -> dict[str, tuple[tuple[int, ...], type]]:
        """Shape of one sample and dtype, by field name."""
        size, steps = self.image_size, self.horizon
        return {
            "images": ((len(self.cameras), size, size, 3), np.uint8),
            "joint_pos": ((2, 6), np.float32),
            "joint_vel": ((2, 6), np.float32),
            "jaw": ((2,), np.float32),
            "tool_pos": ((2, 3), np.float32),
            "tool_quat": ((2, 4), np.float32),
            "command": ((ENV_ACTION_DIM,), np.float32),
            "actions": ((steps, ENV_ACTION_DIM), np.float32),
            "action_tools": ((steps, 2, 7), np.float32),
            "valid_steps": ((), np.int16),
            "committed": ((), np.int16),
            "grounding": ((self.grounding_dim,), np.float32),
            "grounding_mask": ((self.grounding_dim,), np.bool_),
            "episode_seed": ((), np.int64),
            "tick": ((), np.int32),
            "weight": ((), np.float32),
            "instruction": ((), np.int32),
            "source": ((), np.int32),
        }

    def check(self) -> None:
        """Raises `ValueError` for entries that describe no store."""
        for name, least in (("horizon", 1), ("image_size", 1), ("grounding_dim", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"expected {name} as a whole number >= {least}, got {value!r}")
        if not self.cameras or not all(isinstance(name, str) for name in self.cameras):
            raise ValueError(f"expected cameras as a list of names, got {self.cameras!r}")

    def save(self, root: Path) -> None:
        """Writes ``meta.json``, or checks that an existing one has the same structure."""
        path = root / META_FILE
        if path.exists():
            existing = StoreMeta.load(root)
            for name in STRUCTURE:
                if getattr(existing, name) != getattr(self, name):
                    raise DatasetError(
                        f"store {root}: expected {name} = {getattr(existing, name)!r} as in its "
                        f"{META_FILE}, got {getattr(self, name)!r}; use another directory"
                    )
            return
        write_json(path, asdict(self))

    @classmethod
    def load(cls, root: Path) -> StoreMeta:
        """Reads ``meta.json``; anything unreadable is a DatasetError."""
        path = root / META_FILE
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            values["cameras"] = tuple(values["cameras"])
            meta = cls(**values)
            meta.check()
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise DatasetError(
                f"store {root}: expected a readable {META_FILE}, got {type(error).__name__}: "
                f"{error}; is this a sample store?"
            ) from error
        if meta.schema_version != SCHEMA_VERSION:
            raise DatasetError(
                f"store {root}: expected schema version {SCHEMA_VERSION}, got "
                f"{meta.schema_version}; collect it again"
            )
        return meta
