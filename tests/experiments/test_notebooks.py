from pathlib import Path

import jupytext
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SCRIPTS = sorted(NOTEBOOKS.glob("*.py"))


def conditions(path):
    return [(cell.cell_type, cell.source) for cell in jupytext.read(path).cells]


def test_there_are_notebooks():
    assert [path.stem for path in SCRIPTS] == sorted(p.stem for p in NOTEBOOKS.glob("*.ipynb"))
    assert SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_both_halves_of_a_pair_say_the_same(script):
    assert conditions(script) == conditions(script.with_suffix(".ipynb"))
