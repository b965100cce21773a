"""Where networks run and what compiles them: a clear answer where one is missing."""

from __future__ import annotations

import os
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xr0_sim.errors import ConfigError

if TYPE_CHECKING:
    import torch

DEFAULT_DEVICE = "cpu"
"""Figures are made on the processor unless something else is asked for."""
DEVICES = ("cpu", "cuda", "auto")


def choose_device(name: str) -> torch.device:
    """The device of a name.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N`` or ``auto``, a graphics card where there is one. Of
            several processes under torchrun, each takes the card of its own number for ``cuda``.

    Raises:
        ConfigError: An unknown name, or a card that torch does not see.
    """
    import torch

    kind, _, number = name.partition(":")
    if kind not in DEVICES or (number and not (kind == "cuda" and number.isdecimal())):
        raise ConfigError(f"device: expected cpu, cuda, cuda:N or auto, got {name!r}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not count):
        return torch.device("cpu")
    index = int(number) if number else local_rank() % max(count, 1)
    if index >= count:
        raise ConfigError(
            f"device {name!r}: expected one of {count} graphics cards that torch "
            f"{torch.__version__} sees; install a CUDA build of torch, or use cpu"
        )
    return torch.device("cuda", index)


def local_rank() -> int:
    """Number of this process on its machine, from torchrun; 0 without."""
    return int(os.environ.get("LOCAL_RANK", "0"))


NO_GRAPH = "graph: expected a graphics card, got {}; kernels start one by one"
"""What is said where graphs are asked for and there is no card."""


def graph_on(device: torch.device, wanted: bool) -> bool:
    """Whether graphs are captured on a device; warns where they are wanted and cannot be."""
    if wanted and device.type != "cuda":
        warnings.warn(NO_GRAPH.format(device.type), stacklevel=3)
        return False
    return wanted


def check_compiler() -> None:
    """Rejects a wish to compile where there is no C++ compiler."""
    names = [os.environ.get("CXX", ""), "g++", "c++", "clang++"]
    if not any(shutil.which(name) for name in names if name):
        raise ConfigError(
            f"compile: expected a C++ compiler ({', '.join(names[1:])}, or $CXX), found none; "
            "install one or leave the option out"
        )


COMPILED_FOLDER = Path("xr0_sim", "compiled")
"""Where compiled kernels are kept, below the user's cache folder."""
_COMPILED_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Where TorchInductor keeps what it compiles, see its documentation."""


def prepare_compiler() -> None:
    """Makes ready to compile: there is a C++ compiler, and what it makes is kept for later starts.

    Kernels lie in `COMPILED_FOLDER` of ``$XDG_CACHE_HOME``, by default ``~/.cache``, unless
    ``$TORCHINDUCTOR_CACHE_DIR`` names a folder; torch finds them again by the code, sizes and
    versions they were made from. Where that folder cannot be made, torch takes a temporary one.

    Raises:
        ConfigError: See `check_compiler`.
    """
    check_compiler()
    if os.environ.get(_COMPILED_VARIABLE):
        return
    os.environ.pop(_COMPILED_VARIABLE, None)  # torch takes an empty name for the working directory
    with suppress(OSError, RuntimeError):  # no room or no right to write, no home
        given = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # A relative path is void by the XDG Base Directory Specification.
        folder = (given if given.is_absolute() else Path.home() / ".cache") / COMPILED_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            os.environ[_COMPILED_VARIABLE] = str(folder)
