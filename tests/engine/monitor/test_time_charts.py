"""Plots over time stay within their frame and are well-formed for all numbers and times."""

import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.monitor.time_charts import Band, Point, TimeAxis, TimePlot, draw

START = datetime(2026, 1, 5, tzinfo=UTC)
finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
value = st.none() | finite.map(lambda number: number if abs(number) > 1e-200 else 0.0)


@st.composite
def plots(draw_value: st.DrawFn) -> tuple[TimePlot, TimeAxis]:
    days = draw_value(st.sampled_from([1, 7, 28, 365]))
    rows = draw_value(st.lists(st.tuples(value, value, value, st.booleans()), min_size=1, max_size=12))
    times = [(START + timedelta(days=days * i), START + timedelta(days=days * (i + 1))) for i in range(len(rows))]
    points = [Point(*when, *row, note="<&>") for when, row in zip(times, rows, strict=True)]
    bands = tuple(Band(*when, low, high) for when, (_, low, high, _) in zip(times, rows, strict=True))
    kind = draw_value(st.sampled_from(["lines", "bars"]))
    bands += tuple(Band(band.start, band.end, band.low, band.low) for band in bands if band.low is not None)
    plot = TimePlot("a", 'A <title> "x"', "", "b & c", {"head": points}, bands, kind)
    return plot, TimeAxis(times[0][0], times[-1][1], (times[0][1], times[-1][1] + timedelta(days=999)))


def check(svg: str) -> None:
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    coordinates = " ".join(re.findall(r' (?:d|x|y|cx|cy|width|height)="([^"]*)"', svg))
    assert not re.search("nan|inf|e[-+]", coordinates)
    for circle in root.iter("circle"):
        assert -1 <= float(circle.attrib["cx"]) <= width + 1
        assert -1 <= float(circle.attrib["cy"]) <= height + 1
    for path in root.iter("path"):
        assert all(
            -1 <= float(number) <= max(width, height) + 1 for number in re.findall(r"-?[\d.]+", path.attrib["d"])
        )


@given(plots())
def test_drawings_stay_within_their_frame(drawn: tuple[TimePlot, TimeAxis]) -> None:
    plot, axis = drawn
    for svg in (draw(plot, axis), draw(plot, axis, 0.0)):
        if svg.startswith("<svg"):
            check(svg)
        else:
            assert svg == '<p class="muted">Nothing to draw.</p>'


@pytest.mark.parametrize("days", [1, 6, 7, 30, 70, 100, 365, 800, 4000])
def test_the_time_axis_has_a_few_ticks_in_order_within_its_ends(days: int) -> None:
    for start in (START, START + timedelta(days=3, hours=7)):
        axis = TimeAxis(start, start + timedelta(days=days))
        times = [time for time, _ in axis.ticks()]
        assert times == sorted(set(times))
        assert 1 <= len(times) <= 5
        assert all(axis.start <= time <= axis.end for time in times)


def test_a_line_is_broken_where_a_pass_has_no_value() -> None:
    week = timedelta(days=7)
    values = [1.0, 2.0, None, 3.0, 4.0]
    points = [Point(START + i * week, START + (i + 1) * week, number) for i, number in enumerate(values)]
    svg = draw(TimePlot("a", "t", "", "d", {"head": points}), TimeAxis(START, START + 5 * week))
    assert svg.count('class="line head"') == 2
    assert svg.count("<circle") == 4
