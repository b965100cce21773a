"""The API key of a served policy: from the environment, so that no command line shows it."""

from __future__ import annotations

import hmac
import os

KEY_VARIABLE = "XR0_SIM_API_KEY"
"""Environment variable that holds the key, for server and client."""
HEADER = "Authorization"
_SCHEME = "Api-Key "


def key_from_environment() -> str | None:
    """The key; None if there is none."""
    return os.environ.get(KEY_VARIABLE, "").strip() or None


def header_value(key: str) -> str:
    """Value of the header `HEADER`, as openpi-client sends it."""
    return _SCHEME + key


def admits(key: str | None, header: str | None) -> bool:
    """Whether a client may come in; takes equally long for every wrong key."""
    if key is None:
        return True
    given = (header or "").encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, header_value(key).encode())
