import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr0_sim.conventions import tick_ns
from xr0_sim.errors import ConfigError
from xr0_sim.perturb import AtPhase, AtTick, AtTime, parse_trigger
from xr0_sim.perturb.seam_trigger import seam_trigger
from xr0_sim.perturb.triggers import Moment


def moment(tick, entries=None):
    return Moment(tick, tick_ns(tick), entries or {})


@given(st.integers(0, 1000))
def test_a_time_on_a_tick_is_due_in_that_tick(tick):
    trigger = AtTime(tick / 30)
    assert trigger.due(moment(tick)) or tick_ns(tick) + 1 >= round(tick / 30 * 1e9)
    assert not AtTime(tick / 30 + 1e-6).due(moment(tick))
    assert AtTime(tick / 30 + 1e-6).due(moment(tick + 1))


def test_ticks_and_phases():
    assert [AtTick(3).due(moment(t)) for t in range(5)] == [False] * 3 + [True] * 2
    entries = {"lift": [tick_ns(10), tick_ns(40)]}
    assert AtPhase("lift").due(moment(10, entries))
    assert not AtPhase("lift", 0.1).due(moment(12, entries))
    assert AtPhase("lift", 0.1).due(moment(13, entries))
    assert not AtPhase("lift", 0.1, occurrence=2).due(moment(42, entries))
    assert AtPhase("lift", 0.1, occurrence=2).due(moment(43, entries))
    assert not AtPhase("place").due(moment(99, entries))


@pytest.mark.parametrize(
    ("text", "trigger"),
    [
        ("2.5s", AtTime(2.5)),
        ("tick:90", AtTick(90)),
        ("phase:lift", AtPhase("lift")),
        ("phase:past-midline#2+0.2s", AtPhase("past-midline", 0.2, 2)),
    ],
)
def test_text(text, trigger):
    assert parse_trigger(text) == trigger


@pytest.mark.parametrize("text", ["", "soon", "2.5", "tick:x", "phase:"])
def test_bad_text_says_what_is_expected(text):
    with pytest.raises(ConfigError, match=r"expected '2.5s', 'tick:90' or 'phase:NAME"):
        parse_trigger(text)


@pytest.mark.parametrize(
    "build",
    [
        lambda: AtTime(-1),
        lambda: AtTime(float("nan")),
        lambda: AtTick(-1),
        lambda: AtPhase("a", -0.1),
        lambda: AtPhase("a", occurrence=0),
    ],
)
def test_bad_triggers_are_refused(build):
    with pytest.raises(ConfigError, match="expected"):
        build()


LOG = {
    "started": [0, -1, -1, 1, -1, -1, -1, -1],
    "d_ceil": [0, -1, -1, 4, -1, -1, -1, -1],
    "prefix_steps": [0, -1, -1, 6, -1, -1, -1, -1],
}


@pytest.mark.parametrize(
    ("offset", "tick"), [("after_capture", 3), ("in_prefix", 6), ("before_swap", 6)]
)
def test_places_within_an_inference(offset, tick):
    assert seam_trigger(offset, 1, **LOG) == AtTick(tick)


def test_places_that_do_not_exist():
    with pytest.raises(ConfigError, match=r"expected one of 0\.\.1 of the twin run, got 2"):
        seam_trigger("before_swap", 2, **LOG)
    with pytest.raises(ConfigError, match="has no prefix"):
        seam_trigger("in_prefix", 0, **LOG)
    with pytest.raises(ConfigError, match="did you mean 'before_swap'"):
        seam_trigger("before_swop", 1, **LOG)
