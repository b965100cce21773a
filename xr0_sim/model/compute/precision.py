"""Number formats of a policy's products: their names, what a device offers, and which one pays.

``float32`` equals the training network to rounding. The reduced formats hold weights and inputs of
the large matrix products in fewer bits; what lies between the products stays float32. They pay
where reading and multiplying weights is most of the time, so small experts stay in float32. The
action expert decides; the VLM follows it (`vlm_precision`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from xr0_sim.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    import torch

REDUCED = ("int8", "bfloat16")
"""Formats with fewer bits, the fastest first."""
PRECISIONS = ("auto", "float32", "bfloat16", "int8")
DEFAULT_PRECISION = "auto"
TRAINING_PRECISIONS = ("auto", "float32", "bfloat16")

STORED_WEIGHTS = "stored"
VLM_WEIGHTS = (STORED_WEIGHTS, "int8", "int4")
"""How the VLM's weights are kept, see `xr0_sim.model.compute.weight_only`."""

LEAST_REDUCED_WEIGHTS = 2**24
"""Experts with fewer weights stay in float32: at 8 x 256 int8 saves a fifth, at 4 x 128 nothing."""
MATRICES = 16
"""Squares of the width in a layer: 3 + 1 in the attention, 3 x 4 in the MLP."""


@dataclass(frozen=True)
class Features:
    """What a device multiplies in hardware.

    Attributes:
        bfloat16: Products of bfloat16 numbers.
        int8: Products of 8-bit integers, summed in 32 bits.
    """

    bfloat16: bool
    int8: bool

    def offers(self, precision: str) -> bool:
        """Whether a format runs faster than float32 here."""
        return {"float32": True, "bfloat16": self.bfloat16, "int8": self.int8}[precision]


def cpu_features() -> Features:
    """Features of this processor; none where torch cannot tell."""
    import torch

    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()

    def any_of(*names: str) -> bool:
        return any(bool(found.get(name)) for name in names)

    return Features(
        bfloat16=any_of("avx512_bf16", "amx_bf16"),
        int8=any_of("avx512_vnni", "amx_int8") and hasattr(torch.ops.onednn, "qlinear_pointwise"),
    )


def device_features(device: torch.device) -> Features:
    """Features of the processor, or of a graphics card."""
    import torch

    if device.type == "cuda":
        return Features(bfloat16=torch.cuda.is_bf16_supported(), int8=False)
    return cpu_features() if device.type == "cpu" else Features(False, False)


def expert_weights(layers: int, hidden: int) -> int:
    """Number of weights that an Euler step of an action expert multiplies with."""
    return layers * MATRICES * hidden**2


def check_precision(precision: str) -> None:
    """Rejects a name that is not one of `PRECISIONS`."""
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)


def check_vlm_weights(weights: str) -> None:
    """Rejects a name that is not one of `VLM_WEIGHTS`, or one whose package is missing."""
    if weights not in VLM_WEIGHTS:
        raise unknown_name("VLM weights", weights, VLM_WEIGHTS)
    if weights != STORED_WEIGHTS and find_spec("torchao") is None:
        raise ConfigError(
            f"VLM weights {weights!r}: expected the package torchao, found none; pip install "
            "'xr0-sim[quantization]'"
        )


def choose_training_precision(precision: str, device: torch.device) -> str:
    """Format of the matrix products while a network learns; weights stay float32.

    A processor without bfloat16 products emulates them many times slower than float32.

    Args:
        precision: One of `TRAINING_PRECISIONS`; ``auto`` is bfloat16 where the device has it.
        device: Where the training runs.

    Returns:
        ``float32`` or ``bfloat16``.
    """
    if precision not in TRAINING_PRECISIONS:
        raise unknown_name("training precision", precision, TRAINING_PRECISIONS)
    if precision == "auto":
        return "bfloat16" if device_features(device).bfloat16 else "float32"
    return precision


def vlm_precision(precision: str, features: Features) -> str:
    """Format that the VLM runs in beside an expert on a processor.

    Its products have a hundred rows and more, where bfloat16 is as fast as int8 and four times as
    exact, so it is taken wherever the processor has it.

    Args:
        precision: Format of the expert: ``float32``, ``bfloat16`` or ``int8``.
        features: What the processor offers.
    """
    return "bfloat16" if precision != "float32" and features.bfloat16 else precision


def choose_precision(precision: str, weights: int, features: Features | None = None) -> str:
    """Format that an expert runs in.

    Args:
        precision: One of `PRECISIONS`.
        weights: `expert_weights`.
        features: What the device offers; that of the processor when None.

    Returns:
        ``float32``, ``bfloat16`` or ``int8``; ``auto`` is the fastest that pays.
    """
    check_precision(precision)
    features = cpu_features() if features is None else features
    offered = [name for name in REDUCED if features.offers(name)]
    if precision == "auto":
        return offered[0] if offered and weights >= LEAST_REDUCED_WEIGHTS else "float32"
    if not features.offers(precision):
        raise ConfigError(
            f"precision: this device does not multiply in {precision}; available: "
            f"{', '.join(['auto', 'float32', *offered])}"
        )
    return precision
