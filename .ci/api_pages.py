"""Builds the API pages from the docstrings, offline, and fails on any warning of pdoc.

    python .ci/api_pages.py build/api

Needs the extra ``docs``. The pages are plain files: open ``index.html`` there.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import time
import warnings
from importlib import import_module
from pathlib import Path

import pdoc

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("xr0_sim", "envs", "policies", "experiments/study")
"""What a library is imported for; commands explain themselves with --help."""
OURS = {name.split("/")[0] for name in SHOWN}
ELSEWHERE = (
    "envs.libero.simulator",
    "xr0_sim.outside.vla_eval.benchmark",
    "xr0_sim.outside.vla_eval.server",
)
"""Modules that run in environments of other projects, whose packages are not here."""
LAZY = ("policies",)
"""Packages that load a name when it is asked for."""


def modules() -> list[str]:
    """Names of all modules with a page."""
    files = [path for folder in SHOWN for path in sorted((ROOT / folder).rglob("*.py"))]
    parts = (path.relative_to(ROOT).with_suffix("").parts for path in files)
    names = {".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts}
    return sorted(names - {*ELSEWHERE})


def name_inherited_types(cls: type) -> None:
    """Replaces texts of inherited fields by the types they name where they were written.

    A dataclass hands the texts of its bases on to its own ``__init__``, where pdoc reads them with
    the names of another module.
    """
    told = getattr(cls.__init__, "__annotations__", {})  # type: ignore[misc]  # of this class
    own = inspect.get_annotations(cls)
    for base in cls.__mro__[1:]:
        names = vars(sys.modules[base.__module__])
        for field, text in inspect.get_annotations(base).items():
            if field not in own and told.get(field) == text:
                try:
                    told[field] = eval(text, dict(names)) if isinstance(text, str) else text
                except NameError:  # imported for type checkers only
                    continue


def main(out: Path) -> None:
    """Writes one page per module."""
    began = time.perf_counter()
    pdoc.render.configure(docformat="google", show_source=False, footer_text="xr0-sim")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for package in map(import_module, LAZY):
            vars(package).update({name: getattr(package, name) for name in package.__all__})
        found = [vars(import_module(name)).values() for name in modules()]
        for cls in {cls for values in found for cls in values if isinstance(cls, type)}:
            if dataclasses.is_dataclass(cls) and cls.__module__.split(".")[0] in OURS:
                name_inherited_types(cls)
        # A package whose __all__ names no modules does not lead to them, so all are named.
        warnings.filterwarnings("ignore", message="The module specification")
        apart = [f"!{name}" for name in ELSEWHERE]
        pdoc.pdoc(*modules(), *apart, output_directory=out)
    said = [f"{w.filename}:{w.lineno}: {w.message}" for w in caught if _is_ours(w)]
    # A class derived from torch's Module inherits annotations that torch's file alone can read.
    known = (*ELSEWHERE, "ForwardRef('Tensor')")
    said = [text for text in said if not any(name in text for name in known)]
    if said:
        sys.exit("\n".join([*said, f"API pages: expected no warning, got {len(said)}"]))
    pages = len(list(out.rglob("*.html")))
    print(f"API pages: {pages} in {out}, {time.perf_counter() - began:.0f} s")


def _is_ours(warning: warnings.WarningMessage) -> bool:
    """Warnings that libraries give while they are imported say nothing about our pages."""
    return "pdoc" in Path(warning.filename).parts or issubclass(warning.category, SyntaxWarning)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/api"))
