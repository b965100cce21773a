"""Instructions as observation: zero-padded UTF-8 bytes, because SB3 rejects text spaces."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import INSTRUCTION_BYTES
from xr0_sim.errors import ConfigError


@functools.lru_cache(maxsize=64)
def encode_instruction(text: str) -> NDArray[np.uint8]:
    """Text -> (256,) uint8, read-only.

    Raises:
        ConfigError: The text is empty or longer than 256 bytes.
    """
    raw = text.encode("utf-8")
    if not 0 < len(raw) <= INSTRUCTION_BYTES:
        raise ConfigError(f"instruction: expected 1 .. {INSTRUCTION_BYTES} bytes, got {len(raw)}")
    out = np.zeros(INSTRUCTION_BYTES, dtype=np.uint8)
    out[: len(raw)] = np.frombuffer(raw, dtype=np.uint8)
    out.flags.writeable = False
    return out


def decode_instruction(data: NDArray[np.uint8]) -> str:
    """Inverse of `encode_instruction`."""
    return bytes(np.asarray(data, dtype=np.uint8)).rstrip(b"\0").decode("utf-8")
