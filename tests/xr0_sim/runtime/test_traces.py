import numpy as np
import pytest

from xr0_sim.errors import ConfigError
from xr0_sim.runtime.latency.base import LatencyContext
from xr0_sim.runtime.latency.presets import parse_latency


def drawn(model, count=4, seed=0):
    rng = np.random.default_rng(seed)
    return [model.sample(rng, LatencyContext(number, 0)) for number in range(count)]


def test_a_trace_is_replayed_in_order_in_the_unit_of_its_column(tmp_path):
    for name, cells, extra in (
        ("latency_ms", "80\n100\n30", ""),
        ("latency_s", "0.08\n0.1\n0.03", ""),
        ("rtt", "80\n100\n30", ",column=rtt,unit=ms"),
    ):
        file = tmp_path / f"{name}.csv"
        file.write_text(f"number,{name}\n" + "\n".join(f"0,{c}" for c in cells.split("\n")))
        model = parse_latency(f"trace:path={file}{extra}")
        assert drawn(model) == pytest.approx([0.08, 0.1, 0.03, 0.08])
        assert model.label == f"trace {name}.csv (mean 70 ms)"
    shuffled = parse_latency(f"trace:path={file},column=rtt,unit=ms,shuffle=true")
    assert set(drawn(shuffled, 40)) == {0.08, 0.1, 0.03}
    assert drawn(shuffled, 40) == drawn(shuffled, 40) != drawn(shuffled, 40, seed=1)


@pytest.mark.parametrize(
    ("text", "extra", "message"),
    [
        (None, "", "expected a readable CSV file"),
        ("", "", "expected a header and at least one row"),
        ("latency_ms\n", "", "expected a header and at least one row"),
        ("a,b\n1,2\n", "", "expected a column latency_ms or latency_s, got a, b"),
        ("a,b\n1,2\n", ",column=c", "expected a column 'c'"),
        ("a,b\n1,2\n", ",column=a", "expected the unit of column 'a'"),
        ("latency_ms\n5\n-1\n", "", "line 3: expected a number >= 0, got '-1'"),
        ("latency_ms\nnan\n", "", "line 2: expected a number >= 0"),
        ("latency_ms\nfast\n", "", "line 2: expected a number >= 0"),
        ("latency_ms\n5\n", ",unit=us", "expected"),
    ],
)
def test_a_trace_that_is_none_is_one_line(tmp_path, text, extra, message):
    file = tmp_path / "trace.csv"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        parse_latency(f"trace:path={file}{extra}")


def test_a_trace_knows_the_content_of_its_file(tmp_path):
    file = tmp_path / "trace.csv"
    file.write_text("latency_ms\n80\n")
    first = parse_latency(f"trace:path={file}")
    assert parse_latency(f"trace:path={file},digest={first.digest}") == first
    file.write_text("latency_ms\n90\n")
    assert parse_latency(f"trace:path={file}") != first
    with pytest.raises(ConfigError, match="expected the file with digest"):
        parse_latency(f"trace:path={file},digest={first.digest}")
