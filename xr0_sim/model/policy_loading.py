"""Policies from checkpoints and from seeds."""

from __future__ import annotations

from pathlib import Path

import torch

from xr0_sim.model.checkpoints.shipped import load_config, load_head, load_normalizer, load_vlm
from xr0_sim.model.compute.default_dtype import float32_default, untouched_random_state
from xr0_sim.model.compute.devices import (
    DEFAULT_DEVICE,
    choose_device,
    graph_on,
    prepare_compiler,
)
from xr0_sim.model.compute.precision import DEFAULT_PRECISION, STORED_WEIGHTS
from xr0_sim.model.compute.reduced_linear import reduce_products
from xr0_sim.model.compute.weight_only import reduce_vlm
from xr0_sim.model.initialization import initialize_expert, initialize_vlm
from xr0_sim.model.policy_model import PolicyModel, policy_precision
from xr0_sim.model.spec.config import XR0Config
from xr0_sim.model.spec.normalizer import Normalizer
from xr0_sim.model.vla import XR0ForActionGeneration
from xr0_sim.model.vlm.processor import XR0Processor


def load_policy_model(
    path: Path,
    head: str,
    precision: str = DEFAULT_PRECISION,
    device: str = DEFAULT_DEVICE,
    vlm_weights: str = STORED_WEIGHTS,
    compile: bool = False,
    window: int | None = None,
    graph: bool = False,
) -> PolicyModel:
    """Loads a shipped checkpoint with one of its heads.

    Args:
        path: Checkpoint directory (`xr0_sim.model.checkpoints.shipped`).
        head: Name of a head; an unknown name lists what there is.
        precision: Number format of the large products (`xr0_sim.model.compute.precision`).
        device: Where the network runs (`xr0_sim.model.compute.devices`).
        vlm_weights: How the VLM's weights are kept (`xr0_sim.model.compute.weight_only`).
        compile: Compile the Euler step; the first chunk of every length of text takes a while.
        window: Λ window at inference; None for the one that the head was trained with.
        graph: Run in captured graphs; without a graphics card it runs as usual, with a warning.
    """
    place = choose_device(device)
    graph = graph_on(place, graph)
    if compile:
        prepare_compiler()
    path = Path(path)
    config = load_config(path, head)
    with float32_default(), untouched_random_state():
        # On the meta device torch would load its compiler, which takes longer than drawing weights.
        model = XR0ForActionGeneration(config)
        load_vlm(path, model.vlm)
        load_head(path, head, model.expert)
        if window is not None:
            model.expert.use_action_window(window)
        model = model.eval().to(place)
        reduce_vlm(model.vlm, vlm_weights)
        reduce_products(model.vlm, policy_precision(config, precision, place))
    processor, normalizer = XR0Processor(config), load_normalizer(path)
    return PolicyModel(model, processor, normalizer, precision, compile, graph=graph)


def random_policy_model(config: XR0Config, seed: int) -> PolicyModel:
    """An untrained policy with seeded weights and identity statistics, for tests and plumbing."""
    with float32_default(), untouched_random_state():
        model = XR0ForActionGeneration(config)
        generator = torch.Generator().manual_seed(seed)
        initialize_vlm(model.vlm, generator)
        initialize_expert(model.expert, generator)
    normalizer = Normalizer.identity(config.action_length)
    return PolicyModel(model.eval(), XR0Processor(config), normalizer)
