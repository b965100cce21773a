"""Whether the packages of the extra ``serve`` are there."""

from __future__ import annotations

from importlib.util import find_spec

from xr0_sim.errors import ConfigError

PACKAGES = ("msgpack", "websockets")


def check_packages() -> None:
    """Raises `ConfigError` if one is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"remote policies: expected the packages {', '.join(PACKAGES)}, missing "
            f"{', '.join(missing)}; install them with pip install 'xr0-sim[serve]'"
        )
