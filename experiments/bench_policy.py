"""``xr0-sim bench policy``: one inference, against a naive forward and the machine's own limit."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from experiments.bench_report import Measure, report
from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from torch import Tensor

    from xr0_sim.model.brain import BrainInputs
    from xr0_sim.model.policy_model import PolicyModel

DENOISE_TARGET, CHUNK_TARGET = 2.0, 1.5
"""Speed against the naive forward that the ``tiny`` preset is held to."""
DEVIATION_TARGET = 1e-5
MATMUL_SIZE = 1024
STREAM_FLOATS = 32 * 2**20
INSTRUCTION = "take the blocks apart, red and yellow into the left bin, blue into the right bin"
BYTES_PER_WEIGHT = 4


@dataclass(frozen=True)
class BenchPolicyConfig:
    """Times one chunk of a randomly weighted model on the CPU, taking turns with a naive forward.

    Attributes:
        preset: Model size.
        batches: Observations per inference, with commas; the targets are held to the first.
        repeats: How often everything is timed.
        threads: Threads of the matrix products.
        no_compile: Leave the compiled path out.
        seed: Seed of weights and inputs.
        json: Print one JSON object.
    """

    preset: str = "tiny"
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

    inputs: BrainInputs
    state: Tensor
    noise: Tensor


def run(config: BenchPolicyConfig) -> int:
    """Measures and prints; exit status 0 also if a target is missed."""
    import torch

    from xr0_sim.model.policy_model import random_policy_model
    from xr0_sim.model.presets import PRESETS, preset_config

    batches = _batches(config.batches)
    if config.preset not in PRESETS:
        raise unknown_name("model preset", config.preset, PRESETS)
    if config.repeats < 2 or config.threads < 1:
        raise ConfigError("--repeats, --threads: expected at least 2 and 1")
    torch.set_num_threads(config.threads)
    policy = random_policy_model(preset_config(config.preset, action_window=4), config.seed)
    machine = measure_machine()
    rows, measures = [], []
    for batch in batches:
        setting = make_setting(policy, batch, config.seed)
        ways = make_ways(policy, setting, compiled=not config.no_compile)
        deviation = largest_deviation(ways)
        times = time_ways(ways, config.repeats)
        bound = lower_bound(policy, setting, machine)
        rows += table(batch, times, bound)
        if not measures:
            measures = headline(times, bound, deviation, held=config.preset == "tiny")
    report(
        f"{config.preset} preset, {config.threads} thread(s), float32, CPU time",
        [*measures, *machine.measures()],
        as_json=config.json,
        config=config,
        tables={"one inference": rows},
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
    """The naive forward and ours, on the same weights and the same batch."""
    import torch

    from experiments.naive_xr0 import naive_denoise, naive_encode
    from xr0_sim.model.fast_flow import FlowSampler

    model = policy.model
    none = torch.zeros(len(setting.state), dtype=torch.long)

    def encode() -> Any:
        with torch.no_grad():
            return model.encode(setting.inputs)

    def ours(sampler: FlowSampler) -> Callable[[Any], Tensor]:
        return lambda cache: sampler(cache, setting.state, setting.noise, none, setting.noise)

    steps = policy.config.num_euler_steps
    ways: dict[str, Any] = {
        "naive": (
            lambda: naive_encode(model, setting.inputs),
            lambda entries: naive_denoise(
                model, entries, setting.inputs, setting.state, setting.noise
            ),
        ),
        "eager": (encode, ours(FlowSampler(model.expert, steps))),
    }
    if compiled:
        ways["compiled"] = (encode, ours(FlowSampler(model.expert, steps, compile=True)))
    return ways


def largest_deviation(ways: Ways) -> float:
    """Largest difference of any chunk to the naive one; also warms everything up."""
    chunks = {name: denoise(encode()) for name, (encode, denoise) in ways.items()}
    return max(float((chunk - chunks["naive"]).abs().max()) for chunk in chunks.values())


def time_ways(ways: Ways, repeats: int) -> dict[str, NDArray[np.float64]]:
    """Per way (repeats, 2): CPU time of brain and of denoising [ms]; the ways take turns."""
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


# -------------------------------------------------------------------------------- lower bound
@dataclass(frozen=True)
class Machine:
    """What this machine does at best.

    Attributes:
        flops: Floating point operations per second of a large matrix product.
        bandwidth: Bytes read per second from memory.
    """

    flops: float
    bandwidth: float

    def measures(self) -> list[Measure]:
        """For the report."""
        return [
            Measure("matmul_gflops", f"matmul of {MATMUL_SIZE}²", self.flops / 1e9, "GFLOP/s"),
            Measure("bandwidth_gb_s", "memory read", self.bandwidth / 1e9, "GB/s"),
        ]


def measure_machine() -> Machine:
    """Best of a few large matrix products and of a few sums over a large array."""
    import torch

    a = torch.randn(MATMUL_SIZE, MATMUL_SIZE)
    stream = torch.ones(STREAM_FLOATS)
    matmul_s = min(_seconds(lambda: a @ a) for _ in range(10))
    read_s = min(_seconds(stream.sum) for _ in range(10))
    return Machine(2 * MATMUL_SIZE**3 / matmul_s, 4 * STREAM_FLOATS / read_s)


def lower_bound(policy: PolicyModel, setting: Setting, machine: Machine) -> NDArray[np.float64]:
    """(2,) least time of brain and of denoising [ms]: arithmetic or one read of the weights."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from xr0_sim.model.flow import euler_sample

    model = policy.model
    none = torch.zeros(len(setting.state), dtype=torch.long)
    steps = policy.config.num_euler_steps
    with torch.no_grad(), FlopCounterMode(display=False) as seeing:
        cache = model.encode(setting.inputs)
    with FlopCounterMode(display=False) as acting:
        state, noise = setting.state, setting.noise
        euler_sample(model.expert, cache, state, noise, none, noise, steps)
    text, visual = model.vlm.model.language_model, model.vlm.model.visual
    read = [_size(text.layers) + _size(visual), steps * _size(model.expert.dit)]
    needs = []
    for counter, weights in zip((seeing, acting), read, strict=True):
        arithmetic = counter.get_total_flops() / machine.flops
        needs.append(1e3 * max(arithmetic, weights * BYTES_PER_WEIGHT / machine.bandwidth))
    return np.array(needs)


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _seconds(work: Callable[[], Any]) -> float:
    start = time.process_time_ns()
    work()
    return (time.process_time_ns() - start) / 1e9


# -------------------------------------------------------------------------------- report
def headline(
    times: Mapping[str, NDArray[np.float64]],
    bound: NDArray[np.float64],
    deviation: float,
    held: bool,
) -> list[Measure]:
    """Speed of our best way against the naive forward, and the distance to the bound."""
    ours = min((name for name in times if name != "naive"), key=lambda n: np.median(times[n][:, 1]))
    naive, best = times["naive"], times[ours]
    denoise = naive[:, 1] / best[:, 1]
    chunk = naive.sum(1) / best.sum(1)

    def speedup(name: str, label: str, ratio: NDArray[np.float64], target: float) -> Measure:
        low, high = np.quantile(ratio, [0.05, 0.95])
        target_held = target if held else None
        return Measure(
            name,
            f"{label}, naive / {ours}",
            float(np.median(ratio)),
            low=float(low),
            high=float(high),
            n=len(ratio),
            target=target_held,
            sense="at least",
        )

    return [
        speedup("denoise_speedup", "denoising", denoise, DENOISE_TARGET),
        speedup("chunk_speedup", "whole chunk", chunk, CHUNK_TARGET),
        Measure("deviation", "largest deviation", deviation, target=DEVIATION_TARGET),
        Measure(
            "denoise_over_bound",
            f"denoising, {ours} / lower bound",
            float(np.median(best[:, 1])) / float(bound[1]),
        ),
    ]


def table(
    batch: int, times: Mapping[str, NDArray[np.float64]], bound: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """A line per way, and one for the bound."""
    rows = []
    for name, measured in times.items():
        whole = measured.sum(1)
        brain, denoise = np.median(measured, axis=0)
        rows.append(
            {
                "batch": batch,
                "way": name,
                "brain ms": float(brain),
                "denoise ms": float(denoise),
                "chunk ms": float(np.median(whole)),
                "p95 ms": float(np.quantile(whole, 0.95)),
                "denoise share": float(denoise / (brain + denoise)),
            }
        )
    rows.append(
        {
            "batch": batch,
            "way": "lower bound",
            "brain ms": float(bound[0]),
            "denoise ms": float(bound[1]),
            "chunk ms": float(bound.sum()),
            "p95 ms": "–",
            "denoise share": float(bound[1] / bound.sum()),
        }
    )
    return rows


def _batches(text: str) -> list[int]:
    try:
        batches = [int(word) for word in text.split(",")]
    except ValueError:
        batches = []
    if not batches or min(batches) < 1:
        raise ConfigError(f"--batches: expected numbers like 1,4,16, got {text!r}")
    return batches
