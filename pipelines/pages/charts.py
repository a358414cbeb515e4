"""Plots as SVG for the page, and as Mermaid and tables for the comment.

The SVG has no colours and no fonts. It names classes (`head`, `base`, `good`, ...) of the page's style sheet, so one
drawing serves light, dark and print. Every text goes through Markup.format, which escapes it.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pipelines.pages.numbers import brief
from pipelines.pages.safe_text import clip

Point = tuple[float, float]
WIDTH, HEIGHT = 336, 252
RIGHT, TOP, BOTTOM = 322, 8, 206
BAR, LABEL_END = 20, 116
LETTER = 6.6  # width of a digit, about
SIDES = ("base", "head")  # in the order of drawing: the head lies on top
_WITH_DIAGONAL = ("observed_by_predicted", "true_by_false_positive_rate")


@dataclass(frozen=True)
class Plot:
    """A plot: lines over x by side (`head`, `base`), or bars (label, length) of the head."""

    name: str
    title: str
    kind: Literal["lines", "bars"]
    x_label: str
    y_label: str
    lines: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    bars: list[tuple[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Scale:
    """From values to coordinates, with round values at both ends; called with a value, it returns its coordinate."""

    ticks: tuple[float, ...]
    start: float
    end: float

    def __call__(self, value: float) -> str:  # noqa: D102 - described by the class
        low, high = self.ticks[0], self.ticks[-1]
        return f"{self.start + (value - low) / (high - low) * (self.end - self.start):.1f}"


def ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Round values (1, 2, 2.5 or 5 times a power of ten apart) from at most `low` to at least `high`."""
    tiny = 1e-300  # smaller steps underflow
    if not high - low > max(abs(high) * 1e-9, tiny):
        low, high = (end + sign * (abs(end) if abs(end) > tiny else 1) / 2 for end, sign in ((low, -1), (high, 1)))
    magnitude = 10.0 ** math.floor(math.log10((high - low) / count))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude * count >= (high - low) * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(float(f"{i * step:.12g}") for i in range(first, last + 1))


def tick(value: float) -> str:
    """A round number beside an axis, at most a few characters long."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= size:
            return f"{value / min(size, 1e3 if sign == 'k' else size):,.6g}{sign}".replace("-", "−")
    return f"{value:.6g}".replace("-", "−")


def draw_svg(plot: Plot) -> Markup:
    """Draw a plot as SVG, or return a sentence if it has no points."""
    if plot.kind == "bars":
        bars = [(label, value) for label, value in plot.bars if math.isfinite(value)]
        return _bars(plot, bars) if bars else Markup('<p class="muted">Nothing to draw.</p>')
    lines = finite_lines(plot)
    return _lines(plot, lines) if lines else Markup('<p class="muted">Nothing to draw.</p>')


def finite_lines(plot: Plot) -> dict[str, list[Point]]:
    """The lines that have at least two finite points, base before head."""
    finite = {side: [p for p in plot.lines.get(side, ()) if all(map(math.isfinite, p))] for side in SIDES}
    return {side: points for side, points in finite.items() if len(points) > 1}


def _span(values: Iterable[float]) -> tuple[float, float]:
    """Ends of an axis; 0 to 1 for shares that nearly fill it, so that plots of two reviews have the same axes."""
    listed = list(values)
    low, high = min(listed), max(listed)
    return (0.0, 1.0) if low >= 0 and 0.5 <= high <= 1 else (low, high)


def _svg(height: int, label: str, content: Markup) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}" class="plot"><title>{}</title>{}</svg>').format(
        WIDTH, height, label, label, content
    )


def _lines(plot: Plot, lines: dict[str, list[Point]]) -> Markup:
    points = [point for side in lines.values() for point in side]
    y = Scale(ticks(*_span(p[1] for p in points)), BOTTOM, TOP)
    left = 10 + LETTER * max(len(tick(value)) for value in y.ticks)
    x = Scale(ticks(*_span(p[0] for p in points)), left, RIGHT)
    down = Markup('<path class="grid" d="M{x} {}V{}"/><text x="{x}" y="{}" text-anchor="middle">{}</text>')
    across = Markup(
        '<path class="grid" d="M{:.1f} {y}H{}"/><text x="{:.1f}" y="{y}" text-anchor="end" dy="4">{}</text>'
    )
    parts = [down.format(TOP, BOTTOM, BOTTOM + 16, tick(value), x=x(value)) for value in x.ticks]
    parts += [across.format(left, RIGHT, left - 6, tick(value), y=y(value)) for value in y.ticks]
    if plot.name in _WITH_DIAGONAL:
        ends = max(x.ticks[0], y.ticks[0]), min(x.ticks[-1], y.ticks[-1])
        if ends[0] < ends[1]:
            path = "M{} {}L{} {}".format(*(f(end) for end in ends for f in (x, y)))
            parts.append(Markup('<path class="equal" d="{}"/>').format(path))
    for side, line in lines.items():
        path = "M" + "L".join(f"{x(a)} {y(b)}" for a, b in line)
        parts.append(Markup('<path class="line {}" d="{}"><title>{}</title></path>').format(side, path, side))
    name = Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
    parts.append(name.format((left + RIGHT) / 2, HEIGHT - 8, plot.x_label))
    label = f"{plot.title}: {plot.y_label} over {plot.x_label}, {' and '.join(reversed(lines))}"
    return _svg(HEIGHT, label, Markup("").join(parts))


def _bars(plot: Plot, bars: Sequence[tuple[str, float]]) -> Markup:
    """Horizontal bars from zero, each with its label on the left and its value at its end."""
    low, high = min(0.0, *(v for _, v in bars)), max(0.0, *(v for _, v in bars))
    room = 70  # for the value
    x = Scale((low, high if high > low else low + 1), LABEL_END + 8 + (room if low < 0 else 0), WIDTH - room)
    zero, parts = float(x(0)), []
    for i, (label, value) in enumerate(bars):
        end, middle = float(x(value)), i * BAR + BAR / 2
        where = (end - 5, "end") if value < 0 else (end + 5, "start")
        text = Markup('<text x="{:.1f}" y="{}" dy="4" text-anchor="{}" class="{}">{}</text>')
        named = clip(label, 18) + Markup("<title>{}</title>").format(label)
        parts.append(text.format(LABEL_END, middle, "end", "label", named))
        box = (min(zero, end), i * BAR + 3, max(abs(end - zero), 0.8), BAR - 6)
        parts.append(Markup('<rect class="bar" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/>').format(*box))
        parts.append(text.format(where[0], middle, where[1], "value", brief(value)))
    height = len(bars) * BAR
    parts.append(Markup('<path class="axis" d="M{:.1f} 0V{}"/>').format(zero, height))
    label = f"{plot.title}: {len(bars)} bars, {bars[0][0]} {brief(bars[0][1])} first"
    return _svg(height, label, Markup("").join(parts))


def whisker(
    delta: float | None, low: float | None, high: float | None, tone: str, limit: float | None = None, label: str = ""
) -> Markup:
    """An interval around zero, with the side beyond the tolerance shaded.

    Args:
        tone: `good`, `bad` or `even`, a class of the page.
        limit: the signed difference where the shaded side begins: below it if negative, above it if positive.
        label: the same in words, for screen readers.
    """
    if low is None or high is None or not all(map(math.isfinite, (low, high))):
        return Markup("")
    middle = delta if delta is not None and math.isfinite(delta) else (low + high) / 2
    reach = max(abs(low), abs(high), abs(middle), abs(limit or 0)) * 1.15 or 1.0
    x = Scale((-reach, reach), 2, 118)
    beyond = Markup("")
    if limit:
        start, end = (0.0, float(x(limit))) if limit < 0 else (float(x(limit)), 120.0)
        rectangle = Markup('<rect class="beyond" x="{:.1f}" y="0" width="{:.1f}" height="20" rx="2"/>')
        beyond = rectangle.format(start, max(end - start, 0))
    return Markup(
        '<svg viewBox="0 0 120 20" role="img" aria-label="{label}" class="whisker"><title>{label}</title>{beyond}'
        '<path class="axis" d="M{zero} 1V19"/><path class="reach {tone}" d="M{a} 10H{b}M{a} 6V14M{b} 6V14"/>'
        '<circle class="{tone}" cx="{m}" cy="10" r="3.5"/></svg>'
    ).format(label=label, beyond=beyond, tone=tone, zero=x(0), a=x(low), b=x(high), m=x(middle))


def interpolated(plot: Plot, points: int) -> tuple[list[float], dict[str, list[float]]]:
    """Lines at equal steps of x, for a table.

    Returns:
        x of shape (points,), and for each side y of the same shape, NaN outside the side's own range.
    """
    lines = finite_lines(plot)
    if not lines:
        return [], {}
    x = np.linspace(*_span(p[0] for line in lines.values() for p in line), points)
    return x.tolist(), {side: _at(line, x) for side, line in lines.items()}


def _at(line: list[Point], x: npt.NDArray[np.float64]) -> list[float]:
    """A line's y at each x, by linear interpolation; the mean where several points share an x, NaN outside."""
    xs, ys = np.array(sorted(line)).T
    at, first, count = np.unique(xs, return_index=True, return_counts=True)
    values = np.interp(x, at, np.add.reduceat(ys, first) / count)
    near = (x[-1] - x[0]) / 100
    values[(x < at[0] - near) | (x > at[-1] + near)] = np.nan
    listed: list[float] = values.tolist()
    return listed


def mermaid(plot: Plot, points: int = 21) -> str:
    """The plot as the code of a Mermaid xychart, without its fence; empty if there are no points.

    Texts are cut down to letters, digits and a few signs, because Mermaid has no way to escape others.
    """
    if plot.kind == "bars":
        bars = [(label, value) for label, value in plot.bars if math.isfinite(value)][:points]
        if not bars:
            return ""
        labels = ", ".join(f'"{plain(label)}"' for label, _ in bars)
        # Mermaid's bars begin at the end of the axis: a negative bar is left empty, and the table has its value.
        lengths = [max(value, 0.0) for _, value in bars]
        span = ticks(0.0, max(lengths) or 1.0)
        rows = [f"x-axis [{labels}]", _axis("y", plot.x_label, span), f"bar [{_numbers(lengths)}]"]
        return _chart("xychart-beta horizontal", ("head",), plot.title, rows)
    lines = finite_lines(plot)
    ends = [(min(p[0] for p in line), max(p[0] for p in line)) for line in lines.values()]
    low, high = max((a for a, _ in ends), default=0.0), min((b for _, b in ends), default=0.0)
    if not low < high:
        return ""
    # Mermaid spreads the points of a line over the whole axis, so both sides are drawn where both have points.
    x = np.linspace(low, high, points)
    lines = {side: list(zip(x.tolist(), _at(line, x), strict=True)) for side, line in lines.items()}
    span = ticks(*_span(y for line in lines.values() for _, y in line))
    rows = [_axis("x", plot.x_label, (low, high)), _axis("y", plot.y_label, span)]
    rows += [f"line [{_numbers(y for _, y in line)}]" for line in lines.values()]
    return _chart("xychart-beta", lines, plot.title, rows)


def _chart(kind: str, sides: Iterable[str], title: str, rows: Sequence[str]) -> str:
    colours = {"base": "#8c959f", "head": "#2f81f7"}
    palette = ", ".join(colours[side] for side in sides)
    start = f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{palette}"}}}}}}}}%%'
    return "\n".join([start, kind, *(f"  {row}" for row in (f'title "{plain(title)}"', *rows))])


def _axis(name: str, label: str, span: Sequence[float]) -> str:
    return f'{name}-axis "{plain(label)}" {_numbers(span[:1])} --> {_numbers(span[-1:])}'


def plain(text: str) -> str:
    """The text without what Mermaid cannot read between quotes."""
    return clip(re.sub(r"[^\w .,=%()/+-]|_{2,}", " ", text, flags=re.ASCII).strip() or "(unnamed)", 48)


def _numbers(values: Iterable[float]) -> str:
    """Numbers without exponents, which Mermaid cannot read."""
    digits: dict[str, Any] = {"precision": 4, "unique": False, "fractional": False, "trim": "-"}
    return ", ".join(np.format_float_positional(value, **digits) for value in values)
