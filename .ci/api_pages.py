"""Builds the API pages from the docstrings, offline, and fails on any warning of pdoc.

    python .ci/api_pages.py build/api

Needs the extra ``docs``. The pages are plain files: open ``index.html`` there.
"""

from __future__ import annotations

import sys
import time
import warnings
from importlib import import_module
from pathlib import Path

import pdoc

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("xr0_sim", "envs", "policies", "experiments/study")
"""What a library is imported for; commands explain themselves with --help."""
LAZY = ("policies",)
"""Packages that load a name when it is asked for."""


def modules() -> list[str]:
    """Names of all modules with a page."""
    files = [path for folder in SHOWN for path in sorted((ROOT / folder).rglob("*.py"))]
    parts = (path.relative_to(ROOT).with_suffix("").parts for path in files)
    return sorted({".".join(p[:-1] if p[-1] == "__init__" else p) for p in parts})


def main(out: Path) -> None:
    """Writes one page per module."""
    began = time.perf_counter()
    pdoc.render.configure(docformat="google", show_source=False, footer_text="xr0-sim")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for package in map(import_module, LAZY):
            vars(package).update({name: getattr(package, name) for name in package.__all__})
        pdoc.pdoc(*modules(), output_directory=out)
    said = [f"{w.filename}:{w.lineno}: {w.message}" for w in caught if _is_ours(w)]
    if said:
        sys.exit("\n".join([*said, f"API pages: expected no warning, got {len(said)}"]))
    pages = len(list(out.rglob("*.html")))
    print(f"API pages: {pages} in {out}, {time.perf_counter() - began:.0f} s")


def _is_ours(warning: warnings.WarningMessage) -> bool:
    """Warnings that libraries give while they are imported say nothing about our pages."""
    return "pdoc" in Path(warning.filename).parts or issubclass(warning.category, SyntaxWarning)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/api"))
