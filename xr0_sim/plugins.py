"""Plug-ins: modules or files that register something when they are imported."""

from __future__ import annotations

import importlib
import sys
import types
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from xr0_sim.errors import ConfigError


@dataclass(frozen=True)
class Plugin:
    """A plug-in that was loaded.

    Attributes:
        name: As given: a file, a module, or ``module:attribute``.
        module: Name of the module that was imported.
        digest: First 16 hex digits of the SHA-256 of its file; "" for one without a file.
    """

    name: str
    module: str
    digest: str


_loaded: dict[str, Plugin] = {}


def loaded_plugins() -> tuple[Plugin, ...]:
    """Plug-ins loaded so far, in order; workers load the same."""
    return tuple(_loaded.values())


def load_plugin(name: str) -> Plugin:
    """Imports a plug-in: a ``.py`` file, a module, or ``module:attribute`` that is then called.

    Raises:
        ConfigError: It cannot be found, or fails while it is imported.
    """
    file = Path(name).expanduser()
    is_file = name.endswith(".py") or file.is_file()
    key = str(file.resolve()) if is_file else name
    if key in _loaded:
        return _loaded[key]
    try:
        module = _import_file(file) if is_file else _import_module(name)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"plug-in {name}: expected a module that can be imported, got "
            f"{type(error).__name__}: {error}"
        ) from error
    where = getattr(module, "__file__", None)
    digest = sha256(Path(where).read_bytes()).hexdigest()[:16] if where else ""
    _loaded[key] = Plugin(key, module.__name__, digest)
    return _loaded[key]


def _import_file(file: Path) -> types.ModuleType:
    if not file.is_file():
        raise ConfigError(f"plug-in {file}: expected a file or an importable module, found neither")
    name = f"xr0_sim_plugin_{file.stem}"
    if name in sys.modules:
        known = getattr(sys.modules[name], "__file__", "?")
        if known != str(file.resolve()):
            raise ConfigError(f"plug-in {file}: its name is taken by {known}; rename one of them")
    spec = spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise ConfigError(f"plug-in {file}: expected a Python file; give it the ending .py")
    module = module_from_spec(spec)
    # Classes of the plug-in are pickled by this name, for worker processes.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _import_module(name: str) -> types.ModuleType:
    module, _, attribute = name.partition(":")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and module.startswith(error.name):
            raise ConfigError(
                f"plug-in {name}: expected a file or an importable module, found neither"
            ) from None
        raise
    if attribute:
        hook = getattr(found, attribute, None)
        if not callable(hook):
            raise ConfigError(f"plug-in {name}: expected {module} to have a function {attribute!r}")
        hook()
    return found
