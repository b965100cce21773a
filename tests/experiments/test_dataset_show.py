"""``xr0-sim dataset show``: a store by source, code and policy."""

from __future__ import annotations

import json

import pytest
from small_store import META, sample

from experiments.cli import main
from xr0_sim.data.chunk_writer import ChunkWriter


@pytest.fixture
def store(tmp_path):
    driven = {"commit": "b2", "config": {"checkpoint": "runs/p", "source": "dagger1"}}
    parts = [
        ("a", "demo", {"commit": "a1", "config": {}}, (3, 4)),
        ("b", "demo", {"commit": "a1", "config": {}}, (9,)),
        ("c", "dagger1", driven, (20,)),
        ("d", "demo", None, (1,)),
    ]
    for prefix, source, origin, seeds in parts:
        with ChunkWriter(tmp_path, META, prefix, origin=origin) as writer:
            for seed in seeds:
                for tick in range(2):
                    writer.add(**sample(seed, tick) | {"source": source})
    return tmp_path


def test_lines_say_what_labelled_which_samples(store, capsys):
    assert main(["dataset", "show", str(store), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["samples"] == 10
    shown = [tuple(line.values()) for line in told["parts"]]
    assert shown == [
        ("dagger1", "b2", "runs/p", 2, 1, "20 - 20", 1),
        ("demo", "a1", "-", 6, 3, "3 - 9", 2),
        ("demo", "unknown", "unknown", 2, 1, "1 - 1", 1),
    ]


def test_the_page_has_a_line_for_each_part(store, capsys):
    assert main(["dataset", "show", str(store)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 and "10 samples" in lines[0]
    assert lines[3].split() == ["demo", "a1", "-", "6", "3", "3", "-", "9", "2"]


@pytest.mark.parametrize("arguments", [[], ["nowhere"]])
def test_no_store_is_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["dataset", "show", *arguments]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
