"""``xr0-sim vl-eval``: the table, and the command on a tiny store."""

import json
import re

import pytest

from experiments.cli import main
from experiments.commands.vqa_eval import table
from xr0_sim.model.auxiliary.vqa import Question


def test_rates_and_the_commonest_answer_by_kind():
    colour = [(Question("colour", "?", "red"), True)] * 3 + [
        (Question("colour", "?", "blue"), False)
    ]
    side = [(Question("side", "?", "left"), False), (Question("side", "?", "right"), True)]
    rows = {row["kind"]: row for row in table([*colour, *side])}
    assert rows["colour"]["right"] == rows["colour"]["commonest"] == 0.75
    assert rows["side"]["right"] == rows["side"]["commonest"] == 0.5
    assert rows["all"]["n"] == 6 and rows["all"]["right"] == pytest.approx(4 / 6)
    assert rows["all"]["commonest"] == pytest.approx(4 / 6)
    assert rows["all"]["low"] < rows["all"]["right"] < rows["all"]["high"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("vl") / "blocks"
    words = f"collect --out {out} --episodes 1 --source sighting --workers 1"
    assert main(words.split()) == 0
    return out


def test_the_shipped_brain_is_asked(data, capsys):
    words = (
        f"vl-eval --checkpoint block_dismantling --data {data} --questions 12 --validation 0.999"
    )
    assert main([*words.split(), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["n"] <= 12 and found["kinds"][0]["kind"] == "all"


@pytest.mark.parametrize(
    ("words", "message"),
    [("--questions 0", "--questions >= 1"), ("--validation 1.0", r"expected 0 \.\. 1")],
)
def test_bad_options_get_one_line(data, words, message, capsys):
    assert main(["vl-eval", "--data", str(data), *words.split()]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert re.search(message, lines[0])
