"""What the files of a shipped policy belong to: its task, and a digest of each.

```
    DIR/manifest.json             task, execution horizon, digests of config, VLM, normalizer, ...
    DIR/heads/NAME/manifest.json  task, digests of the head's files and of the files it needs
```

Networks of one size have files of one shape, so a head, a normalizer or a configuration of another
task would load without a word. A digest is the SHA-256 of the file; of JSON it is that of its
values without the number of Euler steps, which is free at inference. Neither torch nor a weight is
needed to read any of this.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from xr0_sim.atomic import write_json
from xr0_sim.errors import CheckpointError, ConfigError
from xr0_sim.model.spec.field_rules import OBJECT, Rule, check_fields, name, whole
from xr0_sim.model.spec.json_file import read_object

MANIFEST_FILE = "manifest.json"
CONFIG_FILE = "config.json"
VLM_FILE = "vlm.safetensors"
NORMALIZER_FILE = "normalizer.safetensors"
GROUNDING_FILE = "grounding.safetensors"
HEADS_DIR = "heads"
HEAD_FILE = "dit.safetensors"
CORRECTION_DIR = "correction"
"""Folder of a correction head, see `xr0_sim.model.correction.files`."""
SHARED_FILES = (CONFIG_FILE, VLM_FILE, NORMALIZER_FILE, GROUNDING_FILE)
HEAD_FILES = (CONFIG_FILE, HEAD_FILE)
NEEDED_FILES = (VLM_FILE, NORMALIZER_FILE)
"""Files that a head was trained on."""
FREE_FIELDS = ("num_euler_steps",)
FORMAT = 1
REMEDY = "put back the files that belong together"

RULES: dict[str, Rule] = {
    "format": whole(FORMAT, FORMAT),
    "task": Rule("a name or null", lambda value: value is None or name().holds(value)),
    "execution_horizon": whole(1, 1_000, none=True),
    "world": Rule("a name or null", lambda value: value is None or isinstance(value, str)),
    "files": OBJECT,
    "needs": OBJECT,
    "words": Rule(
        "a list of words",
        lambda value: isinstance(value, list) and all(isinstance(word, str) for word in value),
    ),
}


@dataclass(frozen=True)
class Manifest:
    """The record of a directory.

    Attributes:
        task: Task the policy was trained for; None where nobody said.
        execution_horizon: Rows of a chunk to execute before the next inference; None for the
            strategy's own.
        files: Digest by file name.
        needs: Digest by name of files one level up that these were made for.
        words: Words of the instructions it was trained on, see `instruction_words`.
        format: Version of this record.
        world: World of the episodes it was trained on, see `envs.world`; None where nobody said.
    """

    task: str | None = None
    execution_horizon: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()
    format: int = FORMAT
    world: str | None = None


def read_manifest(directory: Path) -> Manifest | None:
    """Record of a checkpoint or of one of its heads; None where there is none.

    Raises:
        CheckpointError: It is damaged.
    """
    path = directory / MANIFEST_FILE
    if not path.exists():
        return None
    values = read_object(path, "manifest", "restore the file")
    values.setdefault("world", None)  # written before there were worlds
    check_fields(values, RULES, path, known=())
    for table in ("files", "needs"):
        digest = Rule("64 hexadecimal digits", lambda v: isinstance(v, str) and len(v) == 64)
        check_fields(values[table], dict.fromkeys(values[table], digest), path, f"{table}.")
    return Manifest(**values)


def instruction_words(text: str) -> frozenset[str]:
    """Words of an instruction, in small letters."""
    return frozenset(re.findall(r"[^\W\d_]+", text.lower()))


def file_digest(path: Path) -> str:
    """Digest of a file, see the module.

    Raises:
        CheckpointError: It cannot be read.
    """
    if path.suffix == ".json":
        values = read_object(path, "config", "restore the file")
        kept = {key: value for key, value in values.items() if key not in FREE_FIELDS}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"weights {path}: expected a file, got {error.strerror or error}; restore the file"
        ) from error


def record_shared(
    directory: Path,
    names: Iterable[str],
    task: str | None = None,
    execution_horizon: int | None = None,
    instructions: Iterable[str] = (),
    world: str | None = None,
) -> None:
    """Adds files of a checkpoint to its record; the rest of the record stays.

    Args:
        directory: The checkpoint.
        names: Files that have just been written, out of `SHARED_FILES`.
        task: Task of the policy; None keeps what is recorded.
        execution_horizon: See `Manifest`; None keeps what is recorded.
        instructions: What the policy was told in training; none keep what is recorded.
        world: World of its episodes; None keeps what is recorded.
    """
    _check_values(task, execution_horizon)
    old = read_manifest(directory) or Manifest()
    files = dict(old.files) | {name: file_digest(directory / name) for name in names}
    horizon = old.execution_horizon if execution_horizon is None else execution_horizon
    words = instruction_words(" ".join(instructions)) or old.words
    new = Manifest(
        old.task if task is None else task,
        horizon,
        files,
        words=sorted(words),
        world=world or old.world,
    )
    write_json(directory / MANIFEST_FILE, asdict(new))


def record_head(directory: Path, head: str) -> None:
    """Writes the record of a head that has just been stored, for the checkpoint as it is."""
    shared = read_manifest(directory) or Manifest()
    folder = directory / HEADS_DIR / head
    needs = [name for name in NEEDED_FILES if (directory / name).is_file()]
    record = Manifest(
        shared.task,
        None,
        {name: file_digest(folder / name) for name in HEAD_FILES},
        {name: file_digest(directory / name) for name in needs},
    )
    write_json(folder / MANIFEST_FILE, asdict(record))


def record_checkpoint(
    directory: Path,
    task: str,
    execution_horizon: int | None = None,
    instructions: Iterable[str] = (),
) -> None:
    """Records a checkpoint as it is, with all of its heads: they belong together from now on."""
    _check_values(task, execution_horizon)
    found = [file for file in SHARED_FILES if (directory / file).is_file()]
    record_shared(directory, found, task, execution_horizon, instructions)
    for path in sorted(directory.glob(f"{HEADS_DIR}/*/{HEAD_FILE}")):
        record_head(directory, path.parent.name)


def check_belonging(directory: Path, head: str | None = None) -> Manifest:
    """Compares the files of a checkpoint, and of a head, with their records.

    Returns:
        The checkpoint's record; an empty one, with a warning, for a checkpoint of an earlier
        version, which has none.

    Raises:
        CheckpointError: A file is not the recorded one, belongs to another task or to other files,
            or has no record where the checkpoint has one for its task.
    """
    shared = read_manifest(directory)
    if shared is None:
        warnings.warn(
            f"checkpoint {directory}: no {MANIFEST_FILE}, so nobody knows whether its files belong "
            "together and to which task; record it with xr0-sim ship --task",
            stacklevel=3,
        )
    found = [file for file in SHARED_FILES if (directory / file).is_file()]
    _compare(directory, shared or Manifest(), found)
    if head is not None:
        folder = directory / HEADS_DIR / head
        own = read_manifest(folder)
        if own is None and shared is not None and shared.task is not None:
            raise CheckpointError(
                f"head {folder}: expected a {MANIFEST_FILE} that says it belongs to task "
                f"{shared.task!r}, found none; {REMEDY}"
            )
        own = own or Manifest()
        if shared is not None and own.task != shared.task and own.files:
            raise CheckpointError(
                f"head {folder}: expected one for task {shared.task!r}, got one for {own.task!r}; "
                f"{REMEDY}"
            )
        _compare(folder, own, HEAD_FILES)
        for file, digest in own.needs.items():
            if file not in NEEDED_FILES or file_digest(directory / file) != digest:
                raise CheckpointError(
                    f"head {folder}: expected the {file[:60]} it was trained on, got another one; "
                    f"{REMEDY}"
                )
    return shared or Manifest()


def _check_values(task: str | None, execution_horizon: int | None) -> None:
    for field_name, value in (("task", task), ("execution_horizon", execution_horizon)):
        if not RULES[field_name].holds(value):
            raise ConfigError(f"{field_name}: expected {RULES[field_name].words}, got {value!r}")


def _compare(directory: Path, record: Manifest, names: Iterable[str]) -> None:
    lost = [name for name in record.files if not (directory / Path(name).name).is_file()]
    if lost:
        raise CheckpointError(
            f"checkpoint {directory}: expected {lost[0][:60]}, found none; {REMEDY}"
        )
    for file in names:
        if file not in record.files:
            if record.task is not None:
                raise CheckpointError(
                    f"checkpoint {directory}: expected the files of task {record.task!r} in "
                    f"{MANIFEST_FILE}, got {file} beside them; {REMEDY}"
                )
        elif file_digest(directory / file) != record.files[file]:
            task = "" if record.task is None else f" of task {record.task!r}"
            raise CheckpointError(
                f"checkpoint {directory / file}: expected the file{task} that {MANIFEST_FILE} "
                f"records, got another one; {REMEDY}"
            )
