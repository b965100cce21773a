"""What `bench_policy` says of its times: speed against the naive forward, targets, a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.benchmarks.report import Measure

DENOISE_TARGET, CHUNK_TARGET = 2.0, 2.0
"""Speed against the naive forward that the ``tiny`` preset is held to."""
DEVIATION_TARGET = 1e-5
PLAIN_TARGET = 1.0
"""`sample_actions` as it stands, without preparation, is no slower than the naive forward."""
BOUND_TARGET, REDUCED_TARGET, REDUCED_CHUNK_TARGET = 1.35, 3.5, 2.5
"""Distance to the arithmetic limit in float32, and speed against the naive forward in the best
reduced number format, of the Euler loop and of the whole chunk, that the ``small`` preset is held
to: its action expert is 12 x 512."""
FULL = ("plain", "eager", "compiled")
"""Ways in float32; the others are reduced."""


@dataclass(frozen=True)
class Deviation:
    """How far a chunk is from the naive one, in normalised actions.

    Attributes:
        largest: Of all entries.
        rms: Root of the mean square.
    """

    largest: float
    rms: float


def headline(
    times: Mapping[str, NDArray[np.float64]],
    bound: NDArray[np.float64],
    deviations: Mapping[str, Deviation],
    preset: str,
) -> list[Measure]:
    """Speed of our best ways against the naive forward, and the distance to the bound."""
    tiny, small = preset == "tiny", preset == "small"
    naive = times["naive"]
    full = _fastest(times, [name for name in times if name in FULL])
    measures = [
        _speedup(
            "denoise_speedup",
            f"denoising, naive / {full}",
            naive[:, 1] / times[full][:, 1],
            DENOISE_TARGET if tiny else None,
        ),
        _speedup(
            "chunk_speedup",
            f"whole chunk, naive / {full}",
            naive.sum(1) / times[full].sum(1),
            CHUNK_TARGET if tiny else None,
        ),
        Measure(
            "deviation",
            "largest deviation",
            max(deviations[name].largest for name in times if name in FULL),
            target=DEVIATION_TARGET,
        ),
        Measure(
            "denoise_over_bound",
            f"denoising, {full} / lower bound",
            float(np.median(times[full][:, 1])) / float(bound[1]),
            target=BOUND_TARGET if small else None,
        ),
    ]
    if "plain" in times:
        measures.append(
            _speedup(
                "plain_speedup",
                "whole chunk, naive / sample_actions without a prepared loop",
                naive.sum(1) / times["plain"].sum(1),
                PLAIN_TARGET if tiny else None,
            )
        )
    others = [name for name in times if name not in (*FULL, "naive")]
    if not others:
        return measures
    reduced = _fastest(times, others)
    return [
        *measures,
        _speedup(
            "reduced_speedup",
            f"denoising, naive / {reduced}",
            naive[:, 1] / times[reduced][:, 1],
            REDUCED_TARGET if small else None,
        ),
        _speedup(
            "reduced_chunk_speedup",
            f"whole chunk, naive / {reduced}",
            naive.sum(1) / times[reduced].sum(1),
            REDUCED_CHUNK_TARGET if small else None,
        ),
        Measure("reduced_deviation_rms", f"{reduced}, RMS deviation", deviations[reduced].rms),
        Measure(
            "reduced_deviation_max", f"{reduced}, largest deviation", deviations[reduced].largest
        ),
    ]


def _fastest(times: Mapping[str, NDArray[np.float64]], names: list[str]) -> str:
    return min(names, key=lambda name: np.median(times[name][:, 1]))


def _speedup(name: str, label: str, ratio: NDArray[np.float64], target: float | None) -> Measure:
    low, high = (float(value) for value in np.quantile(ratio, [0.05, 0.95]))
    middle = float(np.median(ratio))
    n = len(ratio)
    return Measure(name, label, middle, low=low, high=high, n=n, target=target, sense="at least")


def table(
    batch: int,
    times: Mapping[str, NDArray[np.float64]],
    bound: NDArray[np.float64],
    deviations: Mapping[str, Deviation],
) -> list[dict[str, Any]]:
    """A line per way, and one for the bound."""
    rows = []
    for name, measured in times.items():
        whole = measured.sum(1)
        vlm, denoise = np.median(measured, axis=0)
        rows.append(
            {
                "batch": batch,
                "way": name,
                "VLM ms": float(vlm),
                "denoise ms": float(denoise),
                "chunk ms": float(np.median(whole)),
                "p95 ms": float(np.quantile(whole, 0.95)),
                "denoise share": float(denoise / (vlm + denoise)),
                "deviation": deviations[name].largest,
                "RMS": deviations[name].rms,
            }
        )
    rows.append(
        {
            "batch": batch,
            "way": "lower bound",
            "VLM ms": float(bound[0]),
            "denoise ms": float(bound[1]),
            "chunk ms": float(bound.sum()),
            "p95 ms": "–",
            "denoise share": float(bound[1] / bound.sum()),
            "deviation": "–",
            "RMS": "–",
        }
    )
    return rows
