"""Columns of numbers and words as Arrow arrays, from their bytes.

``pyarrow.array`` asks pandas about everything it is given and imports it for that, which takes
longer than a short episode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def arrow_column(values: NDArray, dtype: str, width: int) -> Any:
    """One column of a table.

    Args:
        values: (K,) or (K, width).
        dtype: ``i8``, ``f8``, ``?`` or ``U`` (text).
        width: Numbers per row; more than 1 makes lists of that length.
    """
    import pyarrow as pa

    if dtype == "U":
        return _words(values.tolist())
    flat = np.ascontiguousarray(values, dtype=np.dtype(dtype)).ravel()
    kind = {"i8": pa.int64(), "f8": pa.float64(), "?": pa.bool_()}[dtype]
    stored = np.packbits(flat, bitorder="little") if dtype == "?" else flat
    array = pa.Array.from_buffers(kind, len(flat), [None, pa.py_buffer(stored)])
    return array if width == 1 else pa.FixedSizeListArray.from_arrays(array, width)


def _words(values: Sequence[str]) -> Any:
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(encoded), pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    )
