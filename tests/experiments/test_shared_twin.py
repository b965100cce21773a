"""Episodes that go on from their twin are those run from their beginning, bit for bit."""

from dataclasses import replace

import pytest

from experiments.options.condition_options import ConditionOptions
from experiments.runner.episode_figures import episode_row
from experiments.runner.episode_run import EpisodeTask
from experiments.runner.seed_run import run_seed
from experiments.runner.shared_twin import run_from_twin
from xr0_sim.runtime.episode_ports import NOT_FIRED

FEW = (
    "none",
    "shove@tick:6",
    "drift:speed=0.1@tick:6",
    "move_light@tick:4,teleport@tick:9",
    "shove@phase:carry",
)
BLOCKS = (
    "none",
    "shove@tick:6",
    "freeze_base@tick:3",
    "move_light@tick:4,move_camera@tick:9",
    "change_instruction@tick:5",
    "teleport@tick:8,shove_brick@tick:14",
    "swap_bins@tick:2",
    "shove@inference:in_prefix#2",
    "drop@tick:4",
    "drift@tick:3",
    "shove@phase:carry",
)
TOWEL = ("gust@tick:5", "towel_drift@tick:4", "obstacle@tick:8", "towel_shove@tick:10")


def condition(event, **options):
    chosen = {"env": "block_dismantling:n_bricks=2", "policy": "oracle", "latency": "80ms"}
    return ConditionOptions(**{**chosen, "max_seconds": 0.6, "event": event, **options}).condition()


def rows_of(conditions, seed=1):
    lists = [found.events for found in conditions]
    family = run_from_twin(conditions[0].undisturbed, seed, lists)
    return family, [
        episode_row(found, ran, family.twin if found.events else None, later)
        for found, (ran, later) in zip(conditions, family.members, strict=True)
    ]


def whole(found, seed=1):
    return run_seed(EpisodeTask(found, seed, branch=False))


def test_rows_are_those_of_whole_episodes():
    conditions = [condition(event) for event in FEW]
    family, rows = rows_of(conditions)
    for found, row in zip(conditions, rows, strict=True):
        assert row == whole(found), found.events
    assert [ran.shared_ticks for ran, _ in family.members] == [0, 6, 6, 4, 18]
    assert rows[1]["digest"] != rows[0]["digest"] == rows[4]["digest"]
    assert rows[2]["events"][0]["parameters"]["ran_m"] == pytest.approx(0.04)
    assert rows[4]["invalid_reason"] == f"{NOT_FIRED}shove"
    assert [len(row["reactions"]) for row in rows] == [0, 1, 1, 2, 0]


@pytest.mark.slow
@pytest.mark.parametrize("world", ["0.1", "0.2"])
def test_rows_of_every_kind_of_event_are_those_of_whole_episodes(world):
    conditions = [condition(event, world=world, max_seconds=0.8) for event in BLOCKS]
    for found, row in zip(conditions, rows_of(conditions)[1], strict=True):
        assert row == whole(found), found.events


@pytest.mark.parametrize("senses", ["clean", "realistic"])
def test_rows_are_those_of_whole_episodes_in_the_first_world_and_with_faulty_senses(senses):
    world = {"world": "0.1"} if senses == "clean" else {"senses": "realistic"}
    conditions = [condition(event, **world) for event in ("shove@tick:6", "move_camera@tick:7")]
    _, rows = rows_of(conditions)
    for found, row in zip(conditions, rows, strict=True):
        assert row == whole(found)


@pytest.mark.slow
def test_rows_of_the_towel_are_those_of_whole_episodes():
    task = {"env": "towel_folding:level=quarter", "max_seconds": 0.8}
    conditions = [condition(event, **task) for event in TOWEL]
    _, rows = rows_of(conditions)
    for found, row in zip(conditions, rows, strict=True):
        assert row == whole(found), found.events


def test_a_seed_of_a_command_goes_on_from_its_twin_too():
    found = condition("shove@tick:6")
    task = EpisodeTask(found, 3)
    assert run_seed(task) == run_seed(replace(task, branch=False))


def test_an_event_that_waits_for_an_inference_fires():
    row = whole(condition("shove@inference:after_capture#2"))
    assert row["valid"] and row["events"][0]["tick"] > 0


def test_an_episode_without_progress_ends_early_if_that_is_agreed():
    rows = rows_of([condition("none", stall_s=0.3), condition("shove@tick:4", stall_s=0.3)])[1]
    for row, event in zip(rows, ("none", "shove@tick:4"), strict=True):
        assert row["stopped_early"] == "no progress for 0.3 s" and row["outcome"] == "failure"
        assert row["figures"]["duration_s"] == pytest.approx(0.3)
        assert row == whole(condition(event, stall_s=0.3))
    assert "stopped_early" not in whole(condition("none"))
