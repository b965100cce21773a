"""``xr0-sim dataset import``: a LeRobotDataset into a sample store that ``train`` reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from envs.control_rate import check_recorded_rate
from envs.tasks import make_env, parse_task, task_spec
from xr0_sim.conventions import CAMERAS, CONTROL_HZ
from xr0_sim.data.lerobot import layout
from xr0_sim.errors import ConfigError, DatasetError, unknown_name

if TYPE_CHECKING:
    from xr0_sim.data.chunk_schema import StoreMeta
    from xr0_sim.data.lerobot.reading import SetReader

STRIDES = (1, 1000)
PREFIX = layout.IMAGE


@dataclass(frozen=True)
class DatasetImportConfig:
    """Adds a LeRobotDataset v3.0 to a sample store, for ``xr0-sim train``.

    Of a set of whole episodes every STRIDE-th frame becomes a sample, with the 30 actions that
    follow as its chunk; what the VLM is asked about the scene is unknown there. A set that was
    exported from a sample store comes back as it was, up to the compression of its films. Views,
    rate, motors and units are checked first. An interrupted import goes on where it was.

    Attributes:
        set: Folder of the set.
        out: Store directory; an existing store of the same structure is added to.
        env: Task of the set, TASK[:field=value,...]; default: what the set says.
        image_size: Side of the pictures in the store [px]; default: that of the set.
        source: Name of the samples in the store; sets exported from a store keep theirs. "demo"
            trains as demonstrations do.
        stride: Frames between two samples; collected demonstrations have 3 to 8.
        successes_only: Leave episodes out that did not succeed.
        views: Films of the set under other names, VIEW=NAME with commas, e.g. base=top.
    """

    set: Annotated[str, tyro.conf.Positional] = ""
    out: str = "data/imported"
    env: str = ""
    image_size: int | None = None
    source: str = "demo"
    stride: int = 5
    successes_only: bool = False
    views: str = ""


def run(config: DatasetImportConfig) -> int:
    """Imports, prints one line per episode and a sum, returns the exit status."""
    from experiments.datagen.lerobot_import import ImportPlan, import_set
    from xr0_sim.data.lerobot.reading import SetReader

    if not config.set or not Path(config.set).is_dir():
        raise ConfigError(
            f"dataset import {config.set or '(nothing)'}: expected the folder of a LeRobotDataset"
        )
    if not STRIDES[0] <= config.stride <= STRIDES[1]:
        raise ConfigError(
            f"--stride: expected {STRIDES[0]} .. {STRIDES[1]} frames, got {config.stride}"
        )
    reader = SetReader(Path(config.set), _views(config.views))
    task, env_kwargs = _task(config, reader)
    check_recorded_rate(task_spec(task).rate(env_kwargs), CONTROL_HZ, "dataset import")
    env = make_env(task, **env_kwargs)
    try:
        plan = ImportPlan(config.source, config.stride, config.successes_only)
        meta = _meta(config, reader, task, env_kwargs)
        samples, episodes = import_set(
            reader,
            Path(config.out),
            meta,
            plan,
            env.kinematics,
            lambda line: print(line, flush=True),
        )
    finally:
        env.close()
    print(f"{config.out}: {samples} samples from {episodes} of {len(reader.episodes)} episodes")
    return 0


def _views(text: str) -> dict[str, str]:
    """Camera -> feature of the set."""
    found = {camera: f"{PREFIX}{camera}" for camera in CAMERAS}
    for part in filter(None, text.split(",")):
        camera, equals, name = part.partition("=")
        if camera not in found:
            raise unknown_name("view", camera, found)
        if not equals or not name:
            raise ConfigError(f"--views: expected VIEW=NAME with commas, got {part!r}")
        found[camera] = name if name.startswith(PREFIX) else f"{PREFIX}{name}"
    return found


def _told(reader: SetReader) -> tuple[str, dict[str, Any]] | None:
    """Task and arguments that a set of this project says it is of."""
    config = reader.provenance.get("config")
    store = reader.provenance.get("store")
    if isinstance(store, dict):
        config = store.get("provenance")
    if not isinstance(config, dict) or not isinstance(config.get("env"), str):
        return None
    kwargs = config.get("env_kwargs")
    return config["env"], dict(kwargs) if isinstance(kwargs, dict) else {}


def _task(config: DatasetImportConfig, reader: SetReader) -> tuple[str, dict[str, Any]]:
    if config.env:
        name, given = parse_task(config.env)
        return name, task_spec(name).complete(given)
    told = _told(reader)
    if told is None:
        raise ConfigError(
            f"{config.set}: expected --env TASK[:world=0.2], since the set does not say of which "
            "task and world it is"
        )
    return told[0], task_spec(told[0]).complete(told[1])


def _meta(
    config: DatasetImportConfig, reader: SetReader, task: str, env_kwargs: dict[str, Any]
) -> StoreMeta:
    """Identity of the store that the set becomes, or a part of."""
    from envs.observations import IMAGE_SIZES, check_pixels
    from policies.scripted.oracle import HORIZON
    from policies.supervision.table import lesson
    from xr0_sim.data.chunk_schema import StoreMeta

    size = reader.image_size if config.image_size is None else config.image_size
    check_pixels("--image-size", size, IMAGE_SIZES)
    provenance = {
        "command": "xr0-sim dataset import",
        "set": str(config.set),
        "env": task,
        "env_kwargs": env_kwargs,
    }
    if layout.CHUNK not in reader.columns:
        spec = lesson(task).spec()
        return StoreMeta(HORIZON, size, spec.width, spec.to_dict(), CAMERAS, provenance)
    store = reader.provenance.get("store")
    try:
        told = dict(store) if isinstance(store, dict) else {}
        told["cameras"] = tuple(told["cameras"])
        meta = StoreMeta(**{**told, "image_size": size, "provenance": provenance})
        meta.check()
    except (ValueError, TypeError, KeyError) as error:
        raise DatasetError(
            f"{reader.root / layout.PROVENANCE}: expected the store that the samples come from, "
            f"got {type(error).__name__}: {error}; export the store again"
        ) from None
    return meta
