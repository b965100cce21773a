"""Pages agree with the tree: links lead somewhere, import rules are those of test_layout.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_layout import BASE, CORE_MAY_IMPORT, CORE_PARTS_FOR

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "xr0_sim/model/README.md"]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def row(start):
    """Cells of the one table row that begins with `start`."""
    (line,) = [line for line in ARCHITECTURE.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def names(text):
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_to_files(page):
    links = re.findall(r"\]\(([^)#\s]+)\)", page.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("part", CORE_MAY_IMPORT)
def test_the_architecture_page_names_what_a_part_may_import(part):
    assert names(row(f"`{part}` |")[2]) == CORE_MAY_IMPORT[part]


def test_the_architecture_page_names_the_base():
    assert names(row("base:")[0]) == BASE - {"__version__"}


@pytest.mark.parametrize("package", CORE_PARTS_FOR)
def test_the_architecture_page_names_the_parts_for_envs_and_policies(package):
    _, parts = row(f"`{package}` |")[1].split("of the core")
    assert names(parts) == CORE_PARTS_FOR[package]
