"""Matplotlib figures as pieces of a page: no document of their own, in its colours."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.report.style import AXIS, EVENT, GRID, INK, MUTED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    AXIS: "var(--axis)",
    EVENT: "var(--event)",
}
"""Colours that follow the page, light or dark."""
DROPPED = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>|<!--.*?-->"
    r"|<defs>\s*<style.*?</style>\s*</defs>",
    re.DOTALL,
)


def inline_svg(
    figure: Figure, name: str, title: str, colours: Mapping[str, str] | None = None
) -> str:
    """The figure as an ``<svg>`` that stands in a page.

    Args:
        figure: Drawn in the colours of `experiments.report.style`.
        name: Sets the ids inside apart from those of other pictures; equal names, equal text.
        title: What a screen reader says.
        colours: Further colours -> what stands in the page instead, e.g. a CSS variable.
    """
    import matplotlib as mpl

    out = io.StringIO()
    figure.set_facecolor("none")
    for axes in figure.axes:
        axes.set_facecolor("none")
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = DROPPED.sub("", out.getvalue()).strip()
    for colour, instead in {**PAGE_COLOURS, **(colours or {})}.items():
        text = re.sub(re.escape(colour), instead, text, flags=re.IGNORECASE)
    # Ids that matplotlib does not salt.
    text = re.sub(r'\bid="([\w.]+_\d+)"', rf'id="{name}-\1"', text)
    width = re.search(r'width="([\d.]+)pt"', text)
    text = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", text, count=1)
    points = width[1] if width else "300"
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    attributes = (
        f'role="img" aria-label="{label}" style="width:100%;max-width:{1.25 * float(points):.0f}pt"'
    )
    return text.replace("<svg ", f"<svg {attributes} ", 1)
