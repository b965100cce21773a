"""Wind tunnel for real-time vision-language-action policies; see `xr0_sim.conventions`."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("xr0-sim")
except PackageNotFoundError:  # running from a tree that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
