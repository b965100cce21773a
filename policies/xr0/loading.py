"""Chunk models from checkpoints: options completed and checked, shipped and released layouts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from policies.xr0.checkpoints import RELEASED_HEAD, find_checkpoint, is_released
from policies.xr0.chunk_model import (
    DEFAULT_DECODING,
    DEFAULT_HEAD,
    DEFAULT_TEMPERATURE,
    XR0ChunkModel,
)
from policies.xr0.fit import check_task
from xr0_sim.errors import ConfigError
from xr0_sim.model.checkpoints.manifest import read_manifest
from xr0_sim.model.compute.devices import DEFAULT_DEVICE
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS, check_precision
from xr0_sim.model.network_options import NetworkOptions

if TYPE_CHECKING:
    from policies.xr0.corrector import Corrector


def resolve_precision(
    checkpoint: str | Path | None,
    head: str | None,
    precision: str,
    device: str = DEFAULT_DEVICE,
) -> str:
    """Number format that a checkpoint runs in on a device: what ``auto`` stands for."""
    check_precision(precision)
    from xr0_sim.model.checkpoints.released_config import load_released_config
    from xr0_sim.model.checkpoints.shipped import load_config
    from xr0_sim.model.compute.devices import choose_device
    from xr0_sim.model.policy_model import policy_precision

    path = find_checkpoint(checkpoint)
    if is_released(path):
        config = load_released_config(path)
    else:
        config = load_config(path, head or DEFAULT_HEAD)
    return policy_precision(config, precision, choose_device(device))


def load_chunk_model(
    checkpoint: str | Path | None = None,
    head: str | None = None,
    decoding: str | None = None,
    temperature: float | None = None,
    precision: str = DEFAULT_PRECISION,
    device: str = DEFAULT_DEVICE,
    vlm_weights: str = STORED_WEIGHTS,
    compile: bool = False,
    task: str | None = None,
    robot_type: str | None = None,
    views: Sequence[str] | None = None,
    window: int | None = None,
    graph: bool = False,
) -> XR0ChunkModel:
    """Loads one head of a shipped checkpoint, or a released checkpoint.

    Args:
        checkpoint: Shipped name or directory; None takes the first shipped one by name,
            ``block_dismantling``.
        head: Action expert, e.g. ``sync``, ``prefix``, ``prefix_lambda``; None for
            `policies.xr0.chunk_model.DEFAULT_HEAD`, and for the only one of a released checkpoint.
        decoding: One of `policies.xr0.chunk_model.DECODINGS`; None for ``DEFAULT_DECODING`` there,
            or for the one that the robot type of a released checkpoint allows.
        temperature: Factor on the flow noise, 0 .. 1; None for ``DEFAULT_TEMPERATURE`` there.
        precision: Number format of the network, one of
            `xr0_sim.model.compute.precision.PRECISIONS`.
        device: Where the network runs, see `xr0_sim.model.compute.devices`.
        vlm_weights: How the VLM's weights are kept, see `xr0_sim.model.compute.weight_only`.
        compile: Compile the Euler step, see `xr0_sim.model.action_expert.sampler.FlowSampler`.
        task: Task it is going to do; a checkpoint of another one is refused.
        robot_type: Robot type of a released checkpoint, see `policies.xr0.released_model`.
        views: Views of a released checkpoint, in prompt order, see
            `policies.xr0.released_model.parse_views`.
        window: Λ window at inference; None for the one that the head was trained with.
        graph: Run in captured graphs, see `xr0_sim.model.graphed`; needs a graphics card.

    Raises:
        ConfigError: An option that does not exist or does not fit the checkpoint.
        CheckpointError: Its files are damaged or do not belong together.
    """
    options = NetworkOptions(
        checkpoint,
        head,
        temperature,
        precision,
        device,
        vlm_weights,
        compile,
        robot_type,
        None if views is None else tuple(views),
        window,
        graph,
    )
    temperature = DEFAULT_TEMPERATURE if temperature is None else temperature
    path = find_checkpoint(checkpoint)
    if is_released(path):
        from policies.xr0.released_model import decodings_of, load_released_policy

        policy, schema, cameras = load_released_policy(path, options)
        return XR0ChunkModel(
            policy,
            decoding or decodings_of(schema)[0],
            temperature,
            picture_size=0,
            head=RELEASED_HEAD,
            cameras=cameras,
        )
    refuse_released_options(options)
    from xr0_sim.model.policy_loading import load_policy_model

    check_task(path, task)
    head = DEFAULT_HEAD if head is None else head
    policy = load_policy_model(path, head, precision, device, vlm_weights, compile, window, graph)
    return XR0ChunkModel(
        policy,
        decoding or DEFAULT_DECODING,
        temperature,
        read_manifest(path),
        head=head,
        corrector=_corrector(path, head, policy.processor.cameras),
    )


def _corrector(path: Path, head: str, cameras: Sequence[str]) -> Corrector | None:
    """The correction head of a checkpoint, if it has one for an action-expert head."""
    from policies.xr0.corrector import Corrector
    from xr0_sim.model.correction.files import corrects_head

    return Corrector.load(path, cameras) if corrects_head(path, head) else None


def refuse_released_options(options: NetworkOptions) -> None:
    """Rejects what only released checkpoints know."""
    for name in ("robot_type", "views"):
        if getattr(options, name) is not None:
            raise ConfigError(
                f"{name}: expected none, only released checkpoints have robot types and views to "
                "choose from; leave it out"
            )
