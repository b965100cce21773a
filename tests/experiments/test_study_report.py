"""Table, picture and page of a study; the page in a browser without a network."""

import csv
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from synthetic_study import FACTORS, synthetic_frame

from experiments.report.study_figure import study_figure
from experiments.report.study_media import Film
from experiments.report.study_page import PageFacts, write_study_page
from experiments.report.study_panels import axis_labels, choose_axes
from experiments.report.study_table import study_table
from experiments.study.effects_pairing import Pairing
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import wilson

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def frame():
    return synthetic_frame(20, seed=1)


@pytest.fixture(scope="module")
def table(frame):
    return study_table(frame, FACTORS)


def test_table_tells_n_and_invalid_beside_intervals(frame, table):
    header, lines = table.cells()
    assert header[:6] == ["strategy", "latency", "event", "n", "invalid", "success (%)"]
    assert len(lines) == 18 and sum(int(line[3]) + int(line[4]) for line in lines) == len(frame)
    rows = frame[(frame["strategy"] == "sync") & (frame["latency"] == "200ms") & frame["valid"]]
    rows = rows[rows["event"] == "none"]
    known = wilson(int(rows["success"].sum()), len(rows))
    value, low, high = (f"{100 * x:.1f}" for x in (known.value, known.low, known.high))
    (line,) = [line for line in lines if line[:3] == ["sync", "200ms", "none"]]
    assert line[5] == f"{value} [{low}, {high}]"
    text = str(table).splitlines()
    assert len(text) == 20 and text[0].startswith("strategy")


def test_csv_holds_the_numbers(table):
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert len(rows) == 18
    shoved = [row for row in rows if row["event"] == "shove"]
    assert all(row["reaction_s"] == "" for row in rows if row["event"] == "none")
    assert sum(int(row["reaction_s_censored"]) for row in shoved) > 5
    for row in rows:
        low, value, high = (float(row[f"success{end}"]) for end in ("_low", "", "_high"))
        assert 0 <= low <= value <= high <= 1


def test_latex_is_escaped(table):
    text = table.latex()
    assert text.count(r"\\") == 19 and r"\toprule" in text
    assert r"naive\_async" in text and r"success (\%)" in text and "m/s$^3$" in text
    assert not re.search(r"(?<!\\)[%_#]", text) and text.isascii()


def test_table_is_saved_by_its_name(table, tmp_path):
    for name in ("t.csv", "t.tex", "t.md", "t.txt"):
        assert table.save(tmp_path / name).stat().st_size > 500
    with pytest.raises(ConfigError, match=r"\.csv"):
        table.save(tmp_path / "t.doc")


def test_sequential_intervals_are_wider_and_clustered_ones_told(frame):
    fixed, open_end = (
        study_table(frame, FACTORS, outcomes=["success", "time_to_success_s"], sequential=s)
        for s in (False, True)
    )
    for a, b in zip(fixed.lines, open_end.lines, strict=True):
        narrow, wide = a.estimates["success"].interval, b.estimates["success"].interval
        assert wide.low <= narrow.low and narrow.high <= wide.high
    several = synthetic_frame(10, trainings=3)
    found = study_table(several, FACTORS, cluster="training", rng=np.random.default_rng(0))
    assert found.lines[0].estimates["success"].method == "cluster bootstrap"
    assert found.lines[0].n + found.lines[0].invalid == 30


def test_axes_are_chosen(frame):
    axis = choose_axes(Pairing(frame, FACTORS))
    assert (axis.x, axis.colour, axis.rest) == ("latency", "strategy", ("event",))
    axis = choose_axes(Pairing(frame, FACTORS), x="event", colour="latency")
    assert axis.rest == ("strategy",)
    with pytest.raises(ConfigError, match="did you mean"):
        choose_axes(Pairing(frame, FACTORS), x="latencies")


def test_picture_shows_every_condition(frame):
    figure = study_figure(frame, FACTORS, outcomes=["success", "reaction_s"])
    panels = [axes for axes in figure.axes if axes.axison]
    # Reactions exist where there is an event.
    assert len(figure.axes) == 4 and len(panels) == 3
    points = [line for line in panels[0].lines if line.get_marker() != "None"]
    assert len(points) == 3 and all(len(line.get_xdata()) == 3 for line in points)
    one = frame[(frame["latency"] == "0ms") & (frame["event"] == "none")]
    assert len(study_figure(one, FACTORS, outcomes=["success"]).axes[0].get_xticks()) == 3


def test_quantities_of_one_unit_stand_below_the_axis_as_numbers():
    assert axis_labels(["0ms", "60+20ms", "60 + 20 ms"]) == (["0", "60+20", "60 + 20"], "ms")
    assert axis_labels(["0", "10"]) == (["0", "10"], "")
    for levels in (["0ms", "1s"], ["0ms", "cloud"], ["60+ms", "0ms"]):
        assert axis_labels(levels) == (levels, "")


class Page(HTMLParser):
    """Ids and links of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.sources, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.append(tag)
        if "id" in told:
            self.ids.append(told["id"])
        self.sources += [told[k] for k in ("src", "href", "xlink:href") if k in told]


@pytest.fixture(scope="module")
def page(frame, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "films").mkdir()
    film = folder / "films" / "a.mp4"
    film.write_bytes(b"no film")
    facts = PageFacts(
        title="Strategies <under> latency",
        task="Block dismantling",
        excluded=[{"levels": {}, "reason": "no prefix"}] * 2,
        card={"commit": "abc"},
        limits=["L_max(10): at least 200ms."],
        films=[
            Film("seed 3, failure", film, last_tick=59),
            Film("embedded", film, embedded=True),
        ],
    )
    return write_study_page(folder / "report.html", frame, FACTORS, facts=facts)


def test_page_stands_alone(page):
    text = page.read_text(encoding="utf-8")
    parsed = Page(text)
    outside = [s for s in parsed.sources if not s.startswith(("#", "data:", "films/"))]
    assert not outside and "films/a.mp4" in parsed.sources
    assert not re.search(r"url\(\s*[\"']?(?!#)|@import|http(?!://www\.w3\.org/)", text)
    assert len(text) < 2_000_000
    for part in ("overview", "table", "panels", "effects", "events", "validity", "films"):
        assert part in parsed.ids
    assert "timelines" not in parsed.ids
    assert len(parsed.ids) == len(set(parsed.ids))
    assert "Strategies &lt;under&gt; latency" in text and "nan" not in text
    assert "2 conditions were left out: no prefix." in text
    assert "<li>L_max(10): at least 200ms.</li>" in text
    assert re.findall(r'<output data-hz="30" data-last="(.*?)">', text) == ["59", ""]
    assert "event did not fire: shove (" in text


def test_page_is_the_same_again(page, frame, tmp_path):
    options = {"outcomes": ["success", "reaction_s"]}
    first, second = (
        write_study_page(tmp_path / name, frame, FACTORS, **options).read_text()
        for name in ("a.html", "b.html")
    )
    assert first == second


def test_page_of_a_study_with_little_to_say(tmp_path):
    little = synthetic_frame(
        1, invalid=0, factors={**FACTORS, "latency": ["0ms"], "event": ["none"]}
    )
    outcomes = ["success", "tool_jerk_m_s3"]
    text = write_study_page(tmp_path / "a.html", little, FACTORS, outcomes=outcomes).read_text()
    assert "Too few" in text and "nan" not in text


def test_a_missing_film_is_named(frame, tmp_path):
    facts = PageFacts(films=[Film("x", tmp_path / "x.mp4")])
    with pytest.raises(ConfigError, match=r"x\.mp4"):
        write_study_page(tmp_path / "a.html", frame, FACTORS, facts=facts, outcomes=["success"])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1200])
def test_page_in_a_browser_without_a_network(page, tmp_path, width):
    picture = tmp_path / "page.png"
    script = tmp_path / "measured.html"
    # Headless windows are at least 500 pixels wide: a frame is as narrow as a phone.
    script.write_text(
        f'<iframe id=f src="{page.as_uri()}" style="border:0;width:{width}px;height:900px">'
        "</iframe>"
        "<script>f.onload = () => { const d = f.contentDocument; document.title = ["
        "d.documentElement.scrollWidth, d.querySelectorAll('.panels svg').length, "
        "d.querySelectorAll('#table tbody tr').length].join(' ') }</script>"
    )
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--allow-file-access-from-files",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            f"--window-size={max(width, 500)},900",
            f"--screenshot={picture}",
            "--dump-dom",
            script.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert picture.stat().st_size > 10_000
    shown = re.search(r"<title>(\d+) (\d+) (\d+)</title>", done.stdout)
    assert shown, done.stdout[-500:] + done.stderr[-500:]
    wide, panels, lines = map(int, shown.groups())
    assert wide <= width and panels >= 18 and lines == 18
    own = [line for line in done.stderr.splitlines() if "CONSOLE" in line and "report.html" in line]
    assert not own
