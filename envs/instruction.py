"""Instructions as observation: zero-padded UTF-8 bytes, because SB3 rejects text spaces."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from xr0_sim.conventions import INSTRUCTION_BYTES
from xr0_sim.errors import ConfigError
from xr0_sim.plain_text import check_plain_text


def check_instruction(text: str) -> bytes:
    """Bytes of an instruction that may be given to a policy.

    Raises:
        ConfigError: The text is empty, longer than 256 bytes of UTF-8, not Unicode, or holds a NUL
            or a control token (`xr0_sim.plain_text`).
    """
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"instruction: expected Unicode text, got {text!r}: {error.reason}; mend the encoding"
        ) from error
    if not 0 < len(raw) <= INSTRUCTION_BYTES:
        raise ConfigError(f"instruction: expected 1 .. {INSTRUCTION_BYTES} bytes, got {len(raw)}")
    if "\0" in text:
        raise ConfigError(f"instruction: expected text without NUL, got {text!r}")
    check_plain_text("instruction", text)
    return raw


@functools.lru_cache(maxsize=64)
def encode_instruction(text: str) -> NDArray[np.uint8]:
    """Text -> (256,) uint8, read-only.

    Raises:
        ConfigError: As `check_instruction`.
    """
    raw = check_instruction(text)
    out = np.zeros(INSTRUCTION_BYTES, dtype=np.uint8)
    out[: len(raw)] = np.frombuffer(raw, dtype=np.uint8)
    out.flags.writeable = False
    return out


def decode_instruction(data: NDArray[np.uint8]) -> str:
    """Inverse of `encode_instruction`."""
    return bytes(np.asarray(data, dtype=np.uint8)).rstrip(b"\0").decode("utf-8")
