"""``xr0-sim bench policy``: one inference, against a naive forward and the machine's own limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.policy_report import Deviation, headline, table
from experiments.benchmarks.report import report
from experiments.benchmarks.roofline import lower_bound, measure_machine
from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from xr0_sim.model.policy_model import PolicyModel
    from xr0_sim.model.vlm.forward import VlmInputs

INSTRUCTION = "take the blocks apart, red and yellow into the left bin, blue into the right bin"


@dataclass(frozen=True)
class BenchPolicyConfig:
    """Times one chunk of a randomly weighted model on the CPU, taking turns with a naive forward.

    With a device it is the published way of running that is timed: kernel by kernel, compiled and
    in graphs, each against the training forward.

    Attributes:
        preset: Model size; xr0 is the published one, for a graphics card.
        device: cpu, cuda, cuda:N or auto; default: the processor, against the naive forward.
        batches: Observations per inference, with commas; the targets are held to the first.
        repeats: How often everything is timed.
        threads: Threads of the matrix products.
        no_compile: Leave the compiled path out.
        seed: Seed of weights and inputs.
        json: Print one JSON object.
    """

    preset: str = "tiny"
    device: str | None = None
    batches: str = "1,4,16"
    repeats: int = 30
    threads: int = 1
    no_compile: bool = False
    seed: int = 0
    json: bool = False


@dataclass(frozen=True)
class Setting:
    """One batch: network inputs, and what a perfect machine would need for them.

    Attributes:
        inputs: Prompts and pictures.
        state: (B, 32).
        noise: (B, T, 32).
    """

    inputs: VlmInputs
    state: Tensor
    noise: Tensor


def run(config: BenchPolicyConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    import torch

    from xr0_sim.model.policy_loading import random_policy_model
    from xr0_sim.model.spec.presets import PRESETS, preset_config

    batches = _batches(config.batches)
    if config.device is not None:
        return _run_on(config, batches)
    if config.preset not in PRESETS:
        raise unknown_name("model preset", config.preset, PRESETS)
    if config.repeats < 2 or config.threads < 1:
        raise ConfigError("--repeats, --threads: expected at least 2 and 1")
    torch.set_num_threads(config.threads)
    policy = random_policy_model(preset_config(config.preset, action_window=4), config.seed)
    machine = measure_machine()
    rows: list[dict[str, Any]] = []
    measures: list[Any] = []
    for batch in batches:
        setting = make_setting(policy, batch, config.seed)
        ways = make_ways(policy, setting, compiled=not config.no_compile)
        deviations = deviations_of(ways)
        times = time_ways(ways, config.repeats)
        bound = lower_bound(policy.model, setting.inputs, machine)
        rows += table(batch, times, bound, deviations)
        if not measures:
            measures = headline(times, bound, deviations, config.preset)
    report(
        f"{config.preset} preset, {config.threads} thread(s), CPU time",
        [*measures, *machine.measures()],
        as_json=config.json,
        config=config,
        tables={"one inference": rows},
    )
    return 0


def _run_on(config: BenchPolicyConfig, batches: list[int]) -> int:
    """Every way on a device, with bounds; the goals count for the published size on a card."""
    import torch

    from experiments.benchmarks import device_policy
    from xr0_sim.model.compute.devices import choose_device, prepare_compiler
    from xr0_sim.model.spec.presets import PRESET_NAMES

    if config.preset not in PRESET_NAMES:
        raise unknown_name("model preset", config.preset, PRESET_NAMES)
    device = choose_device(str(config.device))
    if not config.no_compile:
        prepare_compiler()
    torch.set_num_threads(config.threads)
    model = device_policy.random_model(config.preset, device, config.seed)
    rows: list[dict[str, Any]] = []
    for batch in batches:
        options = (config.repeats, config.seed, not config.no_compile)
        rows += device_policy.measure(model, batch, *options)
    bounds = [device_policy.bound_row(model, batch, config.seed) for batch in batches]
    card = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if card else "processor"
    report(
        f"{config.preset} preset on {name}, {next(model.parameters()).dtype}, wall time",
        device_policy.goals(rows, goal=card and config.preset == "xr0"),
        as_json=config.json,
        config=config,
        tables={"one inference": rows, "bounds": bounds},
    )
    return 0


# -------------------------------------------------------------------------------- what is timed
def make_setting(policy: PolicyModel, batch: int, seed: int) -> Setting:
    """Random pictures, one instruction, random state and noise."""
    import torch

    config = policy.config
    rng = np.random.default_rng(seed)
    shape = (batch, len(policy.processor.cameras), config.image_size, config.image_size, 3)
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    generator = torch.Generator().manual_seed(seed)
    chunk = (batch, config.action_length, config.action_dim)
    noise = torch.randn(chunk, generator=generator) * policy.model.expert.action_valid
    state = torch.randn(batch, config.state_dim, generator=generator)
    return Setting(policy.processor(images, [INSTRUCTION] * batch), state, noise)


Ways = Mapping[str, tuple[Callable[[], Any], Callable[[Any], "Tensor"]]]
"""Name -> (fill the cache, denoise a chunk from it)."""


def make_ways(policy: PolicyModel, setting: Setting, compiled: bool) -> Ways:
    """The naive forward and ours, on the same weights and the same batch.

    Ours runs in float32 and in the reduced formats that this processor offers, action expert and
    VLM alike; the fastest of them is compiled too.
    """
    import copy

    import torch

    from experiments.benchmarks.eager_xr0 import naive_denoise, naive_encode
    from xr0_sim.model.action_expert.sampler import SHAPE_STEP, FlowSampler
    from xr0_sim.model.compute.precision import REDUCED, cpu_features
    from xr0_sim.model.compute.reduced_linear import reduce_products
    from xr0_sim.model.vlm import forward
    from xr0_sim.model.vlm.stock import stock_vlm

    model, public = policy.model, stock_vlm(policy.model.vlm)
    layers = policy.config.dit_config.num_hidden_layers
    none = torch.zeros(len(setting.state), dtype=torch.long)
    empty = torch.zeros(len(setting.state), 0, policy.config.action_dim)

    shaped = setting.inputs.padded(SHAPE_STEP)
    vlms = {"float32": model.vlm}

    def encode(precision: str = "float32", compile: bool = False) -> Any:
        inputs = shaped if compile else setting.inputs
        with torch.no_grad():
            return forward.encode(vlms[precision], inputs, layers, compiled=compile)

    def ours(precision: str, compile: bool = False) -> tuple[Callable, Callable]:
        if precision not in vlms:
            vlms[precision] = copy.deepcopy(model.vlm)
            reduce_products(vlms[precision], precision)
        steps = policy.config.num_euler_steps
        sampler = FlowSampler(model.expert, steps, compile, precision)
        chunk = (setting.state, setting.noise, none, setting.noise)
        return lambda: encode(precision, compile), lambda cache: sampler(cache, *chunk)

    ways: dict[str, Any] = {
        "naive": (
            lambda: naive_encode(public, setting.inputs, layers),
            lambda entries: naive_denoise(
                model, entries, setting.inputs, setting.state, setting.noise
            ),
        ),
        "plain": (
            encode,
            lambda cache: model.sample_actions(
                cache, setting.state, empty, none, noise=setting.noise
            ),
        ),
        "eager": ours("float32"),
    }
    reduced = [name for name in REDUCED if cpu_features().offers(name)]
    if compiled:
        ways["compiled"] = ours("float32", compile=True)
    ways |= {name: ours(name) for name in reduced}
    if compiled and reduced:
        ways[f"{reduced[0]} compiled"] = ours(reduced[0], compile=True)
    return ways


def deviations_of(ways: Ways) -> dict[str, Deviation]:
    """Deviation of every way; also warms everything up."""
    chunks = {name: denoise(encode()) for name, (encode, denoise) in ways.items()}
    apart = {name: chunk - chunks["naive"] for name, chunk in chunks.items()}
    return {
        name: Deviation(float(gap.abs().max()), float(gap.square().mean().sqrt()))
        for name, gap in apart.items()
    }


def time_ways(ways: Ways, repeats: int) -> dict[str, NDArray[np.float64]]:
    """Per way (repeats, 2): CPU time of VLM and of denoising [ms]; the ways take turns."""
    times = {name: np.empty((repeats, 2)) for name in ways}
    for repeat in range(repeats):
        for name, (encode, denoise) in ways.items():
            start = time.process_time_ns()
            cache = encode()
            middle = time.process_time_ns()
            denoise(cache)
            end = time.process_time_ns()
            times[name][repeat] = np.array([middle - start, end - middle]) / 1e6
    return times


def _batches(text: str) -> list[int]:
    try:
        batches = [int(word) for word in text.split(",")]
    except ValueError:
        batches = []
    if not batches or min(batches) < 1:
        raise ConfigError(f"--batches: expected numbers like 1,4,16, got {text!r}")
    return batches
