"""Products of tokens with one fixed weight matrix, in each number format of `precision`.

Weights are laid out once. oneDNN's blocked layout saves the copy that a product of 32 tokens with a
large matrix otherwise makes of the matrix each time; where torch does not offer it, or where the
matrix is so small that the call costs more, the plain product stands in.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

LEAST_PACKED_WEIGHTS = 2**18
"""Smaller matrices are multiplied as they are."""
TYPICAL_ROWS = 32
"""Tokens that a blocked layout is made for: sink, state and 30 actions."""
INT8_MAX = 127
UINT8_ZERO = 128


class Product(Protocol):
    """Computes ``x @ weight.T + bias``."""

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(M, K) float32 and (N,) or None to (M, N) float32; ``x`` is left as it is."""


def make_product(weight: Tensor, precision: str) -> Product:
    """Product with a weight (N, K) of a linear layer, prepared for a format."""
    if precision == "int8":
        return Int8Product(weight)
    dtype = torch.bfloat16 if precision == "bfloat16" else weight.dtype
    large = weight.numel() >= LEAST_PACKED_WEIGHTS
    plain = weight.dtype == torch.float32 and weight.device.type == "cpu"
    if large and plain and _can_pack():
        return PackedProduct(weight, dtype)
    return PlainProduct(weight, dtype)


class PlainProduct:
    """The product as torch does it, with the weight transposed beforehand."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self._weight = weight.to(dtype).t().contiguous()

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """See `Product`."""
        if self._weight.dtype != x.dtype:
            made = (x.to(self._weight.dtype) @ self._weight).to(x.dtype)
            return made if bias is None else made + bias
        return x @ self._weight if bias is None else torch.addmm(bias, x, self._weight)


class PackedProduct:
    """The product with a weight in oneDNN's blocked layout."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self._dtype = dtype
        self._width = len(weight)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), TYPICAL_ROWS)

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """See `Product`."""
        multiply = torch.ops.xr0_sim.packed if torch.compiler.is_compiling() else _packed
        if self._dtype == x.dtype:
            return multiply(x, self._weight, self._width, bias)
        made = multiply(x.to(self._dtype), self._weight, self._width, None).to(x.dtype)
        return made if bias is None else made + bias


class Int8Product:
    """Weights with one scale per output, inputs with one scale per token, measured on the fly.

    oneDNN is fast for unsigned inputs only, so they are shifted by 128; what the shift adds to an
    output does not depend on the input and is taken off as a bias.
    """

    def __init__(self, weight: Tensor) -> None:
        self._scale = weight.abs().amax(1).clamp_min(1e-12) / INT8_MAX
        whole = (weight / self._scale[:, None]).round().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole, [TYPICAL_ROWS, weight.shape[1]])
        self._shift = -UINT8_ZERO * whole.sum(1) * self._scale
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)

    def __call__(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """See `Product`."""
        scale = x.abs().amax(1, keepdim=True).clamp_min(1e-12) * (1 / INT8_MAX)
        weights = (self._weight, self._scale, self._zeros, self._shift)
        if torch.compiler.is_compiling():
            shifted = ((x / scale).round() + UINT8_ZERO).to(torch.uint8)
            made = torch.ops.xr0_sim.int8(shifted, *weights) * scale
            return made if bias is None else made + bias
        # Conversion to int8 is vectorised, to uint8 it is not; flipping the top bit adds 128.
        whole = (x / scale).round_().to(torch.int8)
        shifted = whole.view(torch.uint8).bitwise_xor_(UINT8_ZERO)
        made = _int8(shifted, *weights).mul_(scale)
        return made if bias is None else made.add_(bias)


def _packed(x: Tensor, weight: Tensor, width: int, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _int8(x: Tensor, weight: Tensor, scale: Tensor, zeros: Tensor, shift: Tensor) -> Tensor:
    return torch.ops.onednn.qlinear_pointwise(
        *(x, 1.0, 0, weight, scale, zeros, shift, 1.0, 0, torch.float32, "none", [], "")
    )


# The compiler must not look into a blocked layout, so it meets both products as single operations.
_OPERATIONS = torch.library.Library("xr0_sim", "DEF")
_OPERATIONS.define("packed(Tensor x, Tensor weight, int width, Tensor? bias) -> Tensor")
_OPERATIONS.define(
    "int8(Tensor x, Tensor weight, Tensor scale, Tensor zeros, Tensor shift) -> Tensor"
)
for _name, _operation in (("packed", _packed), ("int8", _int8)):
    for _key in ("CPU", "MkldnnCPU"):
        _OPERATIONS.impl(_name, _operation, _key)


@torch.library.register_fake("xr0_sim::packed")
def _(x: Tensor, weight: Tensor, width: int, bias: Tensor | None) -> Tensor:
    return x.new_empty(len(x), width)


@torch.library.register_fake("xr0_sim::int8")
def _(x: Tensor, weight: Tensor, scale: Tensor, zeros: Tensor, shift: Tensor) -> Tensor:
    return torch.empty(len(x), len(scale), dtype=torch.float32)


def _can_pack() -> bool:
    """Whether torch offers the blocked layout."""
    names = ("_reorder_linear_weight", "_linear_pointwise")
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in names
    )
