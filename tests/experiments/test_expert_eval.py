import json

from experiments.cli import main

WORDS = ["expert-eval", "--json", "--episodes"]


def evaluate(capsys, *words):
    assert main([*WORDS, *words]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_expert_is_counted_with_an_interval(capsys):
    found = evaluate(capsys, "3")
    assert found["n"] == found["requested"] == 3
    for name in ("success", "progress", "bricks_per_min", "drops", "ticks"):
        assert set(found[name]) == {"value", "low", "high", "n"}
    failed = round(3 * (1 - found["success"]["value"]))
    assert len(found["failing_seeds"]) == failed


def test_failing_seeds_are_listed_and_workers_do_not_matter(capsys):
    one = evaluate(capsys, "4", "--max-seconds", "1", "--event", "shove")
    two = evaluate(capsys, "4", "--max-seconds", "1", "--event", "shove", "--workers", "2")
    assert one["success"]["value"] == 0.0 and one["failing_seeds"] == [0, 1, 2, 3]
    assert {**one, "config": None} == {**two, "config": None}


def test_the_lines_for_people(capsys):
    assert main(["expert-eval", "--episodes", "1", "--max-seconds", "1", "--seed", "7"]) == 0
    out = capsys.readouterr().out
    assert "success" in out and "n = 1" in out and "failing seeds" in out and "7" in out
