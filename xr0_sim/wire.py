"""Frames of the openpi protocol: msgpack, with arrays as maps of bytes, dtype and shape.

They go to policies behind a websocket (`policies.remote`) and to plants in a process of their own
(`envs.outside`).

What is written is byte for byte what ``msgpack_numpy`` of the package openpi-client 0.1.2 writes
for the same value (the key order of its two kinds of maps included). What is read is held to much
less than msgpack can say: numbers, text, lists, maps with text as keys, and arrays of the dtypes in
`DTYPES` whose bytes are exactly as many as their shape wants. There are no objects, no extension
types, and nothing that code could hide in.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xr0_sim.errors import ConfigError

DTYPES = frozenset(
    ["|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8"]
)
"""Dtypes of arrays and array scalars on the wire, as `numpy.dtype.str` writes them."""

MOST_AXES = 4
"""Axes of an array; chosen: several chunks (3) and a batch."""
MOST_CONTAINERS = 256
"""Maps and lists in a frame; chosen. With `MOST_MEMBERS` it bounds the memory that the objects of a
frame take, which can be 60 times its bytes, to 20 MB."""
MOST_MEMBERS = 1024
"""Members of a map or list; chosen."""

DEFAULT_MAX_BYTES = 16 * 2**20
"""Largest frame; chosen: three pictures of 1280 x 1280 px."""

_ARRAY = {b"__ndarray__", b"data", b"dtype", b"shape"}
_SCALAR = {b"__npgeneric__", b"data", b"dtype"}


class WireError(ConfigError):
    """A frame that the protocol does not allow."""


def pack(value: Any) -> bytes:
    """A value as a frame.

    Args:
        value: Numbers, text, lists, maps with text as keys, arrays of `DTYPES`.

    Raises:
        WireError: Something else.
    """
    import msgpack

    try:
        frame: bytes = msgpack.packb(value, default=_packed)
    except (TypeError, OverflowError) as error:
        raise WireError(f"frame: expected plain values and arrays, {error}") from None
    return frame


def unpack(frame: bytes) -> dict[str, Any]:
    """The map in a frame; its arrays are views of the frame's bytes, read-only.

    Raises:
        WireError: Not one whole map of what `pack` writes.
    """
    import msgpack

    hooks = _Hooks()
    try:
        value = msgpack.unpackb(
            frame,
            object_hook=hooks.mapping,
            list_hook=hooks.sequence,
            ext_hook=_no_extension,
            max_array_len=MOST_MEMBERS,
            max_map_len=MOST_MEMBERS,
            max_ext_len=0,
        )
    except WireError:
        raise
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise WireError(f"frame: expected one msgpack value, {_why(error)}") from None
    if not isinstance(value, dict):
        raise WireError(f"frame: expected a map, got {type(value).__name__}")
    return value


def _why(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 120 else f"{text[:120]}..."


def _packed(value: Any) -> dict[bytes, Any]:
    """An array or an array scalar as msgpack can write it."""
    if not isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"got {type(value).__name__}")
    dtype = _allowed(value.dtype.str)
    if isinstance(value, np.ndarray):
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": dtype.str,
            b"shape": value.shape,
        }
    return {b"__npgeneric__": True, b"data": value.item(), b"dtype": dtype.str}


class _Hooks:
    """Called for every map and list of one frame, from the inside out."""

    def __init__(self) -> None:
        self._containers = 0

    def mapping(self, found: dict[Any, Any]) -> Any:
        """A map, or the array that it stands for."""
        self._count()
        if b"__ndarray__" in found:
            return _array(found)
        if b"__npgeneric__" in found:
            return _scalar(found)
        if not all(isinstance(key, str) for key in found):
            raise WireError("frame: expected text as the keys of a map")
        return found

    def sequence(self, found: list[Any]) -> list[Any]:
        """A list, as it is."""
        self._count()
        return found

    def _count(self) -> None:
        self._containers += 1
        if self._containers > MOST_CONTAINERS:
            raise WireError(f"frame: expected at most {MOST_CONTAINERS} maps and lists, got more")


def _array(found: dict[Any, Any]) -> NDArray[Any]:
    if set(found) != _ARRAY or found[b"__ndarray__"] is not True:
        raise WireError("array: expected data, dtype and shape")
    dtype, shape, data = _allowed(found[b"dtype"]), found[b"shape"], found[b"data"]
    axes = isinstance(shape, list) and len(shape) <= MOST_AXES
    if not axes or not all(type(n) is int and n >= 0 for n in shape):
        raise WireError(f"array: expected a shape of at most {MOST_AXES} whole numbers >= 0")
    wanted = math.prod(shape) * dtype.itemsize
    if not isinstance(data, bytes) or len(data) != wanted:
        size = len(data) if isinstance(data, bytes) else "none"
        raise WireError(f"array: expected {wanted} bytes for its dtype and shape, got {size}")
    return np.frombuffer(data, dtype).reshape(shape)


def _scalar(found: dict[Any, Any]) -> np.generic:
    if set(found) != _SCALAR or found[b"__npgeneric__"] is not True:
        raise WireError("array scalar: expected data and dtype")
    dtype, data = _allowed(found[b"dtype"]), found[b"data"]
    kinds: dict[str, tuple[type, ...]] = {"b": (bool,), "f": (int, float)}
    if type(data) not in kinds.get(dtype.kind, (int,)):
        raise WireError(f"array scalar: expected a value of dtype {dtype.str}")
    scalar: np.generic = dtype.type(data)
    return scalar


def _allowed(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        shown = dtype if isinstance(dtype, str) and len(dtype) <= 20 else type(dtype).__name__
        raise WireError(f"array: expected a dtype out of {', '.join(sorted(DTYPES))}, got {shown}")
    return np.dtype(dtype)


def _no_extension(code: int, data: bytes) -> Any:
    raise WireError(f"frame: expected no extension types, got {code}")
