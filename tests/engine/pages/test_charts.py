"""Drawings stay within their frame for all numbers, and Mermaid charts have only texts and numbers that it can read."""

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pages import charts
from pipelines.pages.charts import Plot
from tests.engine.review import samples

# Spans below 1e-200 have no slope that a float can hold, and no plot has them.
finite = st.floats(-1e12, 1e12, allow_subnormal=False).map(lambda value: value if abs(value) > 1e-200 else 0.0)
anything = finite | st.sampled_from([math.nan, math.inf, -math.inf, 0.0])
lines = st.dictionaries(st.sampled_from(["head", "base"]), st.lists(st.tuples(anything, anything), max_size=12))
bars = st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30), anything), max_size=12)


def line_plot(points: dict[str, list[tuple[float, float]]]) -> Plot:
    return Plot("observed_by_predicted", "A <title>", "lines", "x & y", 'a "label"', points)


def bar_plot(lengths: list[tuple[str, float]]) -> Plot:
    return Plot("rows", "Rows", "bars", "rows", "", bars=lengths)


def frame(svg: str) -> tuple[ET.Element, float, float]:
    """The drawing as XML (so it is well-formed), with its width and height."""
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    return root, width, height


def numbers(svg: str) -> str:
    """All attributes that hold coordinates."""
    return " ".join(re.findall(r' (?:d|x|y|cx|cy|width|height)="([^"]*)"', svg))


@given(finite, finite, st.integers(2, 8))
def test_ticks_are_round_evenly_spaced_and_cover_the_values(a: float, b: float, count: int) -> None:
    low, high = min(a, b), max(a, b)
    ticks = charts.ticks(low, high, count)
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert ticks[0] <= low + slack and ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= count + 2
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    assert max(steps) - min(steps) <= 1e-6 * max(steps)


@given(lines)
def test_lines_stay_within_the_frame(points: dict[str, list[tuple[float, float]]]) -> None:
    plot = line_plot(points)
    svg = charts.draw_svg(plot)
    if not charts.finite_lines(plot):
        assert "Nothing to draw" in svg
        return
    root, width, height = frame(svg)
    assert not re.search("nan|inf|e[-+]", numbers(svg))
    for path in root.iter("path"):
        if "line" in path.attrib["class"]:
            values = [float(value) for value in re.findall(r"-?\d+\.?\d*", path.attrib["d"])]
            assert all(-0.5 <= x <= width + 0.5 for x in values[::2])
            assert all(-0.5 <= y <= height + 0.5 for y in values[1::2])


@given(bars)
def test_bars_stay_within_the_frame(lengths: list[tuple[str, float]]) -> None:
    svg = charts.draw_svg(bar_plot(lengths))
    shown = [(label, value) for label, value in lengths if math.isfinite(value)]
    if not shown:
        assert "Nothing to draw" in svg
        return
    root, width, height = frame(svg)
    rectangles = list(root.iter("rect"))
    assert len(rectangles) == len(shown)
    for box in rectangles:
        assert float(box.attrib["x"]) >= 0 and float(box.attrib["x"]) + float(box.attrib["width"]) <= width
        assert float(box.attrib["y"]) + float(box.attrib["height"]) <= height


def test_a_longer_value_gives_a_longer_bar_and_a_negative_one_points_left() -> None:
    root, _, _ = frame(charts.draw_svg(bar_plot([("a", 4.0), ("b", 2.0), ("c", -1.0)])))
    a, b, c = ([float(box.attrib[key]) for key in ("x", "width")] for box in root.iter("rect"))
    assert a[1] == pytest.approx(2 * b[1], abs=0.2)
    assert c[0] + c[1] == pytest.approx(a[0], abs=0.2)


def test_texts_are_escaped_and_the_head_lies_on_top() -> None:
    svg = charts.draw_svg(line_plot({"head": [(0.0, 0.0), (1.0, 1.0)], "base": [(0.0, 1.0), (1.0, 0.0)]}))
    assert "A <title>" not in svg
    assert svg.index('class="line base"') < svg.index('class="line head"')
    assert 'class="equal"' in svg
    assert "#" not in re.sub("&#\\d+;", "", svg)  # colours are the page's


@given(finite, finite, finite, finite | st.none())
def test_a_whisker_stays_within_its_frame(a: float, b: float, c: float, limit: float | None) -> None:
    low, middle, high = sorted((a, b, c))
    svg = charts.whisker(middle, low, high, "good", limit, "a label")
    root, width, _ = frame(svg)
    assert not re.search("nan|inf|e[-+]", numbers(svg))
    assert root.attrib["aria-label"] == "a label"
    for box in root.iter("rect"):
        assert float(box.attrib["x"]) >= 0 and float(box.attrib["x"]) + float(box.attrib["width"]) <= width + 0.1


def test_the_side_beyond_the_tolerance_is_shaded() -> None:
    def shaded(limit: float) -> tuple[float, float]:
        (box,) = frame(charts.whisker(0.0, -0.01, 0.01, "even", limit))[0].iter("rect")
        return float(box.attrib["x"]), float(box.attrib["width"])

    assert shaded(-0.03)[0] == 0 and shaded(-0.03)[1] < 60
    assert shaded(0.03)[0] > 60
    assert "rect" not in charts.whisker(0.0, -0.01, 0.01, "even", None)
    assert charts.whisker(0.0, None, 0.1, "even") == ""
    assert charts.whisker(0.0, math.nan, 0.1, "even") == ""


@given(lines, st.text(max_size=40))
def test_mermaid_lines_have_equally_many_plain_numbers(points: dict[str, list[tuple[float, float]]], text: str) -> None:
    code = charts.mermaid(Plot(text, text, "lines", text, text, points))
    if code:
        check_mermaid(code)
        counts = {line.count(",") for line in code.splitlines() if line.startswith("  line")}
        assert counts == {20}


@given(bars, st.text(max_size=40))
def test_mermaid_bars_have_as_many_labels_as_numbers(lengths: list[tuple[str, float]], text: str) -> None:
    code = charts.mermaid(Plot(text, text, "bars", text, text, bars=lengths))
    if code:
        check_mermaid(code)
        labels, drawn = (re.search(rf"  {word} \[(.*)\]", code) for word in ("x-axis", "bar"))
        assert labels and drawn
        assert len(re.findall('"[^"]*"', labels[1])) == len(drawn[1].split(", "))


def check_mermaid(code: str) -> None:
    first, kind, *rows = code.splitlines()
    assert first.startswith("%%{init: ") and kind in ("xychart-beta", "xychart-beta horizontal")
    number = r"-?\d+(\.\d+)?"
    quoted = r'"[A-Za-z0-9_ .,=%()/+…-]+"'
    listed = rf"\[({number}|{quoted})(, ({number}|{quoted}))*\]"
    axis = rf"[xy]-axis {quoted} {number} --> {number}"
    for row in rows:
        assert re.fullmatch(rf"  (title {quoted}|{axis}|x-axis {listed}|line {listed}|bar {listed})", row), row


def test_mermaid_names_the_sides_by_colour_in_the_order_of_the_lines() -> None:
    both, head = samples.plots()[0], Plot("p", "p", "lines", "x", "y", {"head": [(0.0, 0.0), (1.0, 1.0)]})
    assert '"#8c959f, #2f81f7"' in charts.mermaid(both)
    assert '"#2f81f7"' in charts.mermaid(head)
    assert charts.mermaid(Plot("p", "p", "lines", "x", "y")) == ""


def test_an_interpolated_line_meets_its_ends_and_is_unknown_beyond_them() -> None:
    plot = Plot("p", "p", "lines", "x", "y", {"head": [(0.0, 1.0), (10.0, 3.0)], "base": [(0.0, 0.0), (5.0, 5.0)]})
    x, lines = charts.interpolated(plot, 11)
    assert x == pytest.approx(range(11))
    assert (lines["head"][0], lines["head"][5], lines["head"][-1]) == (1.0, 2.0, 3.0)
    assert lines["base"][5] == 5.0
    assert all(math.isnan(value) for value in lines["base"][6:])
