"""Builds the API pages from the docstrings, offline, and fails on any warning of pdoc.

    python .ci/api_pages.py build/api

Needs the extra ``docs``. The pages are plain files: open ``index.html`` there.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path

import pdoc

PACKAGES = ("xr0_sim", "envs", "policies", "experiments", "assets")


def main(out: Path) -> None:
    """Writes one page per module."""
    began = time.perf_counter()
    pdoc.render.configure(docformat="google", show_source=False, footer_text="xr0-sim")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pdoc.pdoc(*PACKAGES, output_directory=out)
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
