"""Factors, levels and exclusions of a study; nothing is run here."""

from pathlib import Path

import numpy as np
import pytest

from experiments.commands.ablate import AblateConfig
from experiments.study import Study
from experiments.study.conditions import condition_of, with_field
from experiments.study.levels import split_levels
from experiments.study.study_file import factor_arguments, make_study, read_study_file
from xr0_sim.errors import ConfigError
from xr0_sim.registry import strategies
from xr0_sim.runtime.latency.base import LatencyContext
from xr0_sim.runtime.latency.estimator import TrueDelay
from xr0_sim.runtime.latency.models import Constant
from xr0_sim.runtime.latency.tails import GammaTail, Normal

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
FIXED = {"policy": "oracle", "event": "none", "max_seconds": 1.0, "n_bricks": 2}


def study(**arguments):
    return Study(**{**FIXED, "factors": {"strategy": ["sync", "prefix_async"]}, **arguments})


def test_a_factorial_in_table_order():
    found = study(factors={"strategy": ["sync", "naive_async"], "latency": [0, 80.5, "xr0_4090"]})
    assert found.factors == {
        "strategy": ["sync", "naive_async"],
        "latency": ["0ms", "80.5ms", "xr0_4090"],
    }
    names = list(found.conditions)
    assert len(names) == 6 and names[1] == "strategy=sync, latency=80.5ms"
    assert found.resolved()[names[1]].latency == Constant(0.0805)
    assert found.reference == {"strategy": "sync", "latency": "0ms"}
    assert found.task == "block_dismantling" and found.seeds == tuple(range(10))


def test_factors_of_plugs_of_tasks_and_of_ones_own():
    found = study(
        factors={
            "strategy.execution_horizon": [5, 8],
            "env.layout": ["random", "layered"],
            "arm": {"waits": {"strategy": "sync"}, "goes on": {"strategy": "naive_async"}},
        }
    ).resolved()
    assert len(found) == 8
    condition = found["strategy.execution_horizon=8, env.layout=layered, arm=goes on"]
    assert condition.strategy.execution_horizon == 8
    assert type(condition.strategy).__name__ == "NaiveAsync"
    assert condition.env_kwargs["layout"] == "layered" and condition.env_kwargs["n_bricks"] == 2


def test_fields_are_set_in_front_of_the_trigger():
    assert (
        with_field("shove@2s", "distance_m", 0.1, "event.distance_m") == "shove:distance_m=0.1@2s"
    )
    assert with_field("shove:a=1@2s", "trigger", "tick:5", "event.trigger") == "shove:a=1@tick:5"
    assert with_field("sync:a=1", "b", 2, "strategy.b") == "sync:a=1,b=2"
    with pytest.raises(ConfigError, match="one plug to set it in, got 'none'"):
        condition_of({**FIXED, "event.distance_m": 0.1})
    with pytest.raises(ConfigError, match="one plug"):
        condition_of({**FIXED, "event": "shove,drop", "event.distance_m": 0.1})


@pytest.mark.parametrize("task", ["block_dismantling", "towel_folding"])
def test_speeds_of_a_drift_are_levels(task):
    name, levels = factor_arguments(["event=none;drift:speed=0.05;drift:speed=0.1"]).popitem()
    fixed = {"policy": "oracle", "max_seconds": 1.0}
    found = Study(task, **fixed, factors={name: levels})
    speeds = [[e.speed for e in c.events] for c in found.resolved().values()]
    assert speeds == [[], [0.05], [0.1]]


def test_what_is_left_out_keeps_its_reason():
    found = study(
        factors={"strategy": ["sync", "prefix_async"], "latency": [0, 80, 200]},
        exclude=[
            ("no delay to hide", {"strategy": "prefix_async", "latency": 0}),
            ("too slow", lambda cell: cell["strategy"] == "sync" and cell["latency"] == "200ms"),
        ],
    )
    assert len(found.conditions) == 4
    assert found.excluded == [
        {"levels": {"strategy": "prefix_async", "latency": "0ms"}, "reason": "no delay to hide"},
        {"levels": {"strategy": "sync", "latency": "200ms"}, "reason": "too slow"},
    ]
    listed = study(
        factors={"strategy": ["sync", "prefix_async"], "latency": [0, 80]},
        conditions=[
            {"strategy": "sync", "latency": 0},
            {"latency": 80, "strategy": "prefix_async"},
        ],
    )
    assert len(listed.conditions) == 2 and {e["reason"] for e in listed.excluded} == {"not listed"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"factors": {"stratgy": ["sync"]}}, "unknown option of factor stratgy"),
        ({"factors": {"strategy": []}}, "at least one level"),
        ({"factors": {"latency": [80, "80"]}}, "80ms twice"),
        ({"factors": {"strat.x": [1]}}, "unknown plug"),
        ({"factors": {"seed": {"a": {"latency": 1}}}}, "a name that no column has"),
        ({"factors": {"success": {"a": {"latency": 1}}}}, "a name that no column has"),
        ({"factors": {"n_bricks": ["two"]}}, "expected a whole number"),
        ({"seeds": [1, 1]}, "each once"),
        ({"seeds": 0}, "at least one"),
        ({"seeds": [-1]}, "integer >= 0"),
        ({"cluster": "training"}, "unknown cluster factor"),
        ({"reference": {"strategy": "rtc"}}, "unknown level of strategy"),
        ({"exclude": {"all": lambda cell: True}}, "at least one condition"),
        ({"exclude": {"x": {"latency": 3}}}, "unknown factor"),
        ({"conditions": [{}]}, "a level of every factor"),
        ({"polcy": "oracle"}, "unknown option of study"),
    ],
)
def test_a_design_that_cannot_be_is_refused_in_one_line(arguments, told):
    with pytest.raises(ConfigError, match=told) as refused:
        study(**arguments)
    assert "\n" not in str(refused.value)


def test_a_combination_that_stands_for_no_condition_is_named():
    found = study(factors={"strategy": ["sync", "prefix_async"], "prefix_steps": [None, 4]})
    with pytest.raises(ConfigError, match=r"condition strategy=sync, prefix_steps=4: .*exclude"):
        found.resolved()
    twice = study(factors={"strategy": ["sync"], "arm": {"a": {"strategy": "naive_async"}}})
    with pytest.raises(ConfigError, match="one value of strategy"):
        twice.resolved()


def test_levels_on_the_command_line():
    assert split_levels("sync,prefix_async:prefix_steps=6,alignment=readme,naive_async") == [
        "sync",
        "prefix_async:prefix_steps=6,alignment=readme",
        "naive_async",
    ]
    assert split_levels("none;shove,drop") == ["none", "shove,drop"]
    assert factor_arguments(["latency=0,200"]) == {"latency": ["0", "200"]}
    for wrong in (["latency"], ["=1"], ["latency=1", "latency=2"]):
        with pytest.raises(ConfigError, match="--factor"):
            factor_arguments(wrong)


def test_a_file_and_options_of_the_command_line(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        'policy = "oracle"\nevent = "none"\nmax_seconds = 2\nseeds = [3, 4]\n'
        '[factors]\nstrategy = ["sync", "prefix_async"]\nlatency = [0, 80]\n'
        "[factors.arm]\nplain = {delay_error = 0}\nlate = {delay_error = 2}\n"
        '[[exclude]]\nreason = "nothing to hide"\nlatency = 0\narm = "late"\n'
    )
    found = AblateConfig(study=str(file), max_seconds=1.0, factor=("n_bricks=2,3",)).make()
    assert list(found.factors) == ["strategy", "latency", "arm", "n_bricks"]
    assert found.seeds == (3, 4) and len(found.conditions) == 12
    assert found.design.fixed["max_seconds"] == 1.0
    assert {gone["reason"] for gone in found.excluded} == {"nothing to hide"}
    assert AblateConfig(study=str(file), episodes=5).make().seeds == tuple(range(5))
    with pytest.raises(ConfigError, match="got both"):
        AblateConfig(study=str(file), latency="80ms").make()
    file.write_text("[factors")
    with pytest.raises(ConfigError, match="readable TOML"):
        read_study_file(file)
    file.write_text("[[exclude]]\nlatency = 1\n")
    with pytest.raises(ConfigError, match="with a reason"):
        read_study_file(file)


@pytest.mark.parametrize(
    ("strategy", "executed"),
    [
        ("naive_async", 20),
        ("rtc", 20),
        ("temporal_ensemble", 1),
        ("naive_async:execution_horizon=7", 7),
    ],
)
def test_a_trained_policy_brings_its_horizon_unless_it_is_part_of_the_method(strategy, executed):
    found = study(policy="xr0", world="0.1", factors={"strategy": [strategy]})
    (condition,) = found.resolved().values()
    assert condition.strategy.execution_horizon == executed


@pytest.mark.parametrize("file", ["switches.toml", "switches_towel.toml"])
def test_the_examples_turn_every_switch_by_itself(file):
    found = make_study(read_study_file(EXAMPLES / file)).resolved()
    assert len(found) == 4 * 3 * 2
    pairs = [(c.weights.head, type(c.strategy).__name__) for c in found.values()]
    assert list(dict.fromkeys(pairs)) == [
        ("sync", "Sync"),
        ("sync", "NaiveAsync"),
        ("prefix", "PrefixAsync"),
        ("prefix_lambda", "PrefixAsync"),
    ]


def test_the_methods_example_has_a_row_for_every_strategy_there_is():
    found = make_study(read_study_file(EXAMPLES / "methods.toml")).resolved()
    asked = {type(c.strategy) for c in found.values()}
    there = {type(strategies.parse(name)) for name in strategies}
    shipped = {kind for kind in there if kind.__module__.startswith("xr0_sim.runtime.")}
    assert asked == shipped
    assert len(found) == len(shipped) * 4 * 2 - 2  # naive_async not where it is sync
    heads = {c.weights.head for c in found.values() if type(c.strategy).__name__ == "RollForward"}
    assert heads == {"rolled"}


def test_the_events_example_disturbs_the_blocks_in_every_way_of_their_own():
    found = make_study(read_study_file(EXAMPLES / "events.toml"))
    of_scene = {"shove", "shove_brick", "teleport", "drop", "reattach", "drift"}
    assert of_scene < set(found.factors["event"]) and len(found.resolved()) == 4 * 13


def test_the_motion_example_moves_the_scene_at_six_speeds():
    found = make_study(read_study_file(EXAMPLES / "motion.toml")).resolved()
    speeds = {getattr(event, "speed", 0.0) for c in found.values() for event in c.events}
    assert len(found) == 4 * 6 and speeds == {0.02, 0.05, 0.1, 0.2, 0.3}


def test_the_jitter_example_has_eighty_milliseconds_in_the_mean_and_wrong_beliefs():
    found = make_study(read_study_file(EXAMPLES / "jitter.toml")).resolved()
    assert len(found) == 4 * 8 * 2 - 2 * 2 * 2  # no delay is estimated without a prefix
    beliefs = {
        c.estimator.error_ticks for c in found.values() if isinstance(c.estimator, TrueDelay)
    }
    assert beliefs == {-2, 0, 2}
    rng = np.random.default_rng(0)
    for condition in found.values():
        if isinstance(condition.latency, Normal | GammaTail):
            drawn = [condition.latency.sample(rng, LatencyContext(0, 0)) for _ in range(4000)]
            assert np.mean(drawn) == pytest.approx(0.08, abs=0.002) and np.std(drawn) > 0.01


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.toml")), ids=lambda file: file.stem)
def test_every_level_of_the_examples_can_be_picked_by_its_name(file):
    tables = {
        name: levels
        for name, levels in read_study_file(file)["factors"].items()
        if isinstance(levels, dict)
    }
    for name, levels in tables.items():
        for level in levels:
            picked = AblateConfig(study=str(file), factor=(f"{name}={level}",)).make()
            assert list(picked.factors[name]) == [level]


def test_exclusions_of_a_file_follow_the_levels_that_are_picked(tmp_path):
    """One whose levels are left out says nothing; one that names no level is refused."""
    file = str(EXAMPLES / "methods.toml")

    def conditions(*factor, file=file):
        return AblateConfig(study=file, factor=factor).make().resolved()

    assert len(conditions("method=naive_async")) == 3 * 2
    assert len(conditions("method=sync,naive_async", "latency=0,80")) == 3 * 2
    assert len(conditions("method=naive_async", "latency=80")) == 2
    assert len(conditions("method=sync")) == 4 * 2
    rate = str(EXAMPLES / "control_rate.toml")
    assert len(conditions("latency=80", "control_hz=10", file=rate)) == 3 * 2
    assert len(conditions("strategy=sync,naive_async", "control_hz=10", file=rate)) == 5 * 2
    own = tmp_path / "own.toml"
    own.write_text('policy = "oracle"\n[[exclude]]\nreason = "no delay"\nlatency = 0\n')
    assert len(conditions("latency=0,80", file=str(own))) == 1
    with pytest.raises(ConfigError, match="unknown factor 'latency'"):
        conditions("strategy=sync,naive_async", file=str(own))
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(Path(file).read_text().replace('method = "naive_async"', 'method = "naive"'))
    with pytest.raises(ConfigError, match="naive_async"):
        conditions("latency=80", file=str(wrong))


def test_levels_of_a_table_are_picked_by_their_names():
    file = str(EXAMPLES / "switches.toml")
    picked = AblateConfig(study=file, factor=("switches=async + prefix,sync", "latency=80"))
    found = picked.make()
    assert list(found.factors["switches"]) == ["async + prefix", "sync"]
    heads = [c.weights.head for c in found.resolved().values()]
    assert heads == ["prefix", "prefix", "sync", "sync"]
    with pytest.raises(ConfigError, match=r"unknown level of switches 'asnyc': did you mean"):
        AblateConfig(study=file, factor=("switches=asnyc",)).make()
