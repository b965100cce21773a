"""Overlay and timeline figure: that they draw what they should where they should."""

import subprocess
import sys

import numpy as np
import pytest
from toys import Detour, DoubleIntegrator

from xr0_sim.errors import ConfigError
from xr0_sim.perturb import AtTick, FreezeCamera
from xr0_sim.record import TickLog
from xr0_sim.runtime import Constant, Executor, NaiveAsync, PrefixAsync, Sync, run_episode
from xr0_sim.runtime.episode_ports import EpisodeResult
from xr0_sim.runtime.strategies.pipelined import Pipelined
from xr0_sim.view import Insets, Overlay, save_timeline_figure, timeline_figure
from xr0_sim.view.insets import with_insets
from xr0_sim.view.overlay import STRIP_HEIGHT
from xr0_sim.view.palette import ALARM, CHUNKS, EVENT, GOOD, chunk_colour
from xr0_sim.view.timeline_figure import inference_spans

FRAME = np.full((540, 960, 3), 128, np.uint8)


class Scene(DoubleIntegrator):
    def freeze_camera(self, camera, duration_s):
        pass


class Drawing:
    """Draws every tick."""

    def __init__(self, overlay, frame=FRAME):
        self.overlay, self.frame, self.frames = overlay, frame, []

    def on_reset(self, start):
        self.overlay.start(start)

    def on_tick(self, sample):
        self.overlay.advance(sample)
        self.frames.append(self.overlay.draw(self.frame))

    def on_event(self, event):
        pass

    def on_end(self, result):
        self.last = self.overlay.draw_end(self.frame, result)


def run(strategy, subscribers, delay=4, ticks=60):
    executor = Executor(Detour(), strategy, Constant(delay / 30))
    options = {"events": [FreezeCamera(trigger=AtTick(20))]}
    run_episode(Scene(), executor, subscribers, seed=0, options=options, max_ticks=ticks)


def count(frame, colour, rows=slice(None)):
    return int((frame[rows] == np.array(colour, np.uint8)).all(axis=-1).sum())


def test_the_overlay_shows_chunks_holds_events_and_outcome():
    drawing = Drawing(Overlay("Put the bricks away.", "sync"))
    run(Sync(10), [drawing], ticks=48)
    frames, strip = drawing.frames, slice(436, 514)
    assert count(frames[0], chunk_colour(0), strip) == 0 and count(frames[0], ALARM, strip) > 10
    assert count(frames[30], chunk_colour(0), strip) > count(frames[8], chunk_colour(0), strip) > 0
    assert count(frames[30], chunk_colour(1), strip) > 100
    assert count(frames[19], EVENT, slice(0, 514)) == 0
    banner = slice(60, 200)
    assert count(frames[20], EVENT, banner) > 1000 and count(frames[20], EVENT, strip) > 20
    assert count(drawing.last, ALARM, slice(200, 340)) > 1000
    assert (frames[40][250:400] == 128).all(), "the scene itself stays visible"


def test_the_banner_goes_after_a_while():
    drawing = Drawing(Overlay("a", "b"))
    run(NaiveAsync(10), [drawing], ticks=70)
    shown = [count(f, EVENT, slice(60, 200)) > 0 for f in drawing.frames]
    assert shown.index(True) == 20 and sum(shown) == 45


def test_a_legend_under_the_strip_says_what_its_colours_mean():
    drawing = Drawing(Overlay("a", "b"))
    run(NaiveAsync(10), [drawing], ticks=2)
    legend = slice(514, 540)
    for colour in (*CHUNKS, EVENT, ALARM):
        assert count(drawing.frames[0], colour, legend) > 20
    narrow = Drawing(Overlay("a", "b"), np.full((540, 320, 3), 128, np.uint8))
    run(NaiveAsync(10), [narrow], ticks=2)
    assert count(narrow.frames[0], CHUNKS[3], legend) == 0, "left out where nobody could read it"


def test_wrist_views_stand_in_the_lower_corners_above_the_strip():
    red, blue = (np.full((32, 32, 3), c, np.uint8) for c in ((200, 0, 0), (0, 0, 200)))
    seen = Insets(lambda: FRAME, lambda: {"left_wrist": red, "right_wrist": blue})()
    assert count(seen, (200, 0, 0)) > 20_000 and count(seen, (0, 0, 200)) > 20_000
    assert count(seen[:, :480], (0, 0, 200)) == 0 and count(seen[:, 480:], (200, 0, 0)) == 0
    assert (seen[540 - STRIP_HEIGHT :] == 128).all() and (FRAME == 128).all()
    small = np.zeros((60, 60, 3), np.uint8)
    assert with_insets(small, red, blue) is small, "no room"
    assert Insets(lambda: None, dict)() is None


@pytest.mark.parametrize("shape", [(540, 960), (240, 320), (1081, 1921), (96, 96)])
def test_every_size_and_any_instruction_can_be_drawn(shape):
    frame = np.zeros((*shape, 3), np.uint8)
    for text in ("", "x", "unbreakable" * 30, "many words " * 60):
        overlay = Overlay(text, "prefix async T_e=10 Δ≤6 | 109 ± 2 ms")
        drawing = Drawing(overlay, frame)
        run(NaiveAsync(10), [drawing], ticks=3)
        assert drawing.last.shape == frame.shape and drawing.last.dtype == np.uint8
    assert not frame.any(), "the given frame is not written to"


def test_success_is_green():
    result = EpisodeResult(0, "success", 1.0, 9, 0.3, 1.0, True, False)
    assert count(Overlay("a", "b").draw_end(FRAME, result), GOOD, slice(200, 340)) > 1000


def test_instruction_may_change_during_an_episode():
    class Talking(Scene):
        def step(self, action):
            *rest, info = super().step(action)
            return (*rest, info | {"instruction": "now the other way round" * (self.tick > 5)})

    drawing = Drawing(Overlay("first", "b"))
    executor = Executor(Detour(), Sync(10))
    run_episode(Talking(), executor, [drawing], seed=0, max_ticks=10)
    top = slice(0, 40)
    assert (drawing.frames[9][top, 12:300] != drawing.frames[2][top, 12:300]).any()


def log_of(strategy, delay=4, ticks=60):
    log = TickLog()
    run(strategy, [log], delay, ticks)
    return log.table()


def test_spans_of_inferences():
    spans = inference_spans(log_of(PrefixAsync(10, 6)))
    first, second = spans[0], spans[1]
    assert (first.capture, first.arrival, first.prefix, first.end) == (0, 4, 0, 34)
    assert (second.capture, second.arrival, second.prefix, second.end) == (14, 18, 6, 44)
    assert spans[-1].arrival is None or spans[-1].arrival < 60


def test_a_chunk_that_is_dropped_planned_nothing():
    table = log_of(Pipelined(3, 3, longest_prefix=6), delay=6)
    acted = set(table["chunk_id"])
    dropped = [s for s in inference_spans(table) if s.arrival and s.number not in acted]
    assert len(dropped) == table["dropped"].sum() > 3
    assert all(span.end == span.arrival for span in dropped)


@pytest.mark.parametrize(
    ("strategy", "delay"), [(Sync(10), 4), (NaiveAsync(10), 35), (PrefixAsync(10, 2), 5)]
)
def test_the_timeline_figure_draws_every_kind_of_run(tmp_path, strategy, delay):
    table = log_of(strategy, delay, ticks=120)
    for first, last in ((0, 40), (10, 119)):
        figure = timeline_figure(table, first, last, "title")
        save_timeline_figure(figure, tmp_path / "figure.png", dpi=60)
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_a_stretch_outside_the_log_is_refused():
    with pytest.raises(ConfigError, match=r"expected ticks within 0\.\.29, got 50\.\.60"):
        timeline_figure(log_of(Sync(10), ticks=30), 50, 60)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, xr0_sim.record, xr0_sim.metrics, xr0_sim.perturb, xr0_sim.runtime;"
        "heavy = {'matplotlib', 'PIL', 'pyarrow', 'imageio_ffmpeg', 'torch', 'scipy', 'rich',"
        "'mujoco'}; print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
