"""The joint digest of a run covers every episode, its twin and its seed."""

from __future__ import annotations

import pytest

from experiments.runner.run_folder import joint_digest

ROWS = [
    {"seed": 0, "digest": "a" * 64, "twin_digest": "b" * 64},
    {"seed": 5, "digest": "c" * 64, "twin_digest": None},
]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "a" * 63 + "0"},
        {"twin_digest": "b" * 63 + "0"},
        {"twin_digest": None},
        {"seed": 2},  # still before the other
    ],
    ids=["episode", "twin", "no twin", "seed"],
)
def test_a_change_anywhere_changes_the_joint_digest(change):
    first, second = ROWS
    assert joint_digest([{**first, **change}, second]) != joint_digest(ROWS)


def test_an_episode_and_its_twin_do_not_change_places():
    first, second = ROWS
    swapped = {**first, "digest": first["twin_digest"], "twin_digest": first["digest"]}
    assert joint_digest([swapped, second]) != joint_digest(ROWS)
