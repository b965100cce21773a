"""The mutation check itself: what it refuses, and that its list is well formed."""

from __future__ import annotations

import pytest
from run_mutants import FAULTS, Fault, StaleListError, check_faults, enough, planted, read_faults

SOURCE = "def double(x):\n    return 2 * x\n"


def fault(old="2 * x", new="3 * x"):
    return Fault("one", "a.py", old, new, ("tests/test_a.py",))


def test_a_fault_replaces_its_text():
    assert planted(fault(), SOURCE) == "def double(x):\n    return 3 * x\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("4 * x", "3 * x", "found it 0 times"),
        ("x", "y", "found it 2 times"),
        ("return 2", "return return", "expected Python"),
    ],
)
def test_a_fault_that_does_not_fit_is_an_error(old, new, message):
    with pytest.raises(StaleListError, match=f"one: .*{message}"):
        planted(fault(old, new), SOURCE)


def test_all_that_do_not_fit_are_named_at_once(tmp_path):
    (tmp_path / "a.py").write_text(SOURCE)
    faults = [fault("4 * x"), fault(), Fault("two", "b.py", "a", "b", ("t",))]
    with pytest.raises(StaleListError) as caught:
        check_faults(faults, tmp_path)
    assert str(caught.value).startswith("one: ")
    assert len(str(caught.value).splitlines()) == 2


def test_ninety_five_percent_are_enough():
    assert enough(95, 100) and not enough(94, 100)


def test_the_list_is_well_formed_and_not_small():
    assert len(read_faults(FAULTS)) >= 60


def test_names_are_unique_and_every_fault_is_one(tmp_path):
    row = '[[fault]]\nid = "a"\nfile = "a.py"\nold = "1"\nnew = "{}"\ntests = ["t"]\n'
    path = tmp_path / "faults.toml"
    for text, message in ((row.format(2) * 2, "a twice"), (row.format(1), "expected a change")):
        path.write_text(text)
        with pytest.raises(StaleListError, match=message):
            read_faults(path)


def test_every_fault_of_the_list_can_be_planted_today():
    check_faults(read_faults(FAULTS), FAULTS.parents[1])
