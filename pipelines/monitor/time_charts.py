"""Plots over time as SVG, in the classes of the shared style sheet; all plots of a page have the same time axis."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal, TypeGuard

from markupsafe import Markup

from pipelines.monitor.schedule import DAY, MONDAY
from pipelines.pages.charts import LETTER, RIGHT, TOP, WIDTH, Scale, tick, ticks

BOTTOM, HEIGHT = 160, 182
_LARGEST = 1e300  # larger values cannot be drawn: the ends of the axis would overflow
_SMALL = (220, 64)
_NOTHING = Markup('<p class="muted">Nothing to draw.</p>')


@dataclass(frozen=True)
class TimeAxis:
    """From times to coordinates between two ends; `releases` are drawn as vertical lines."""

    start: datetime
    end: datetime
    releases: tuple[datetime, ...] = ()

    def share(self, time: datetime) -> float:
        """Where a time is, from 0 to 1."""
        whole = max((self.end - self.start).total_seconds(), 1.0)
        return min(max((time - self.start).total_seconds() / whole, 0.0), 1.0)

    def ticks(self, count: int = 5) -> list[tuple[datetime, str]]:
        """Starts of days, or Mondays, at most `count`, with their labels; the first one of a year names it."""
        days = (self.end - self.start).days
        step = next((step for step in (1, 2) if step * count >= days), 7 * math.ceil(days / 7 / count)) * DAY
        first = MONDAY + math.ceil((self.start - MONDAY) / step) * step
        times = [time for time in (first + step * i for i in range(count)) if time <= self.end]
        years = [None, *(time.year for time in times)]
        return [
            (time, f"{time.day} {time:%b}" + f" {time.year}" * (time.year != year))
            for time, year in zip(times, years, strict=False)
        ]


@dataclass(frozen=True)
class Point:
    """A value of one pass, with its interval; `note` is what a reader sees over it."""

    start: datetime
    end: datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    alarm: bool = False
    note: str = ""


@dataclass(frozen=True)
class Band:
    """What was promised for a time: a range of values, open at an end that is None; one value is a dashed line."""

    start: datetime
    end: datetime
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TimePlot:
    """A plot over time.

    Attributes:
        name: its id in the page.
        description: what it shows, for readers who do not see it.
        lines: class of the style sheet -> points.
    """

    name: str
    title: str
    subtitle: str
    description: str
    lines: dict[str, list[Point]]
    bands: tuple[Band, ...] = ()
    kind: Literal["lines", "bars"] = "lines"


def _drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < _LARGEST


def _values(plot: TimePlot) -> Iterator[float]:
    for points in plot.lines.values():
        yield from (value for p in points for value in (p.value, p.low, p.high) if _drawable(value))
    yield from (value for band in plot.bands for value in (band.low, band.high) if _drawable(value))


def draw(plot: TimePlot, axis: TimeAxis, top: float | None = None) -> Markup:
    """A plot with axes; with `top` a small one without them, from zero to at least that value."""
    values = list(_values(plot))
    if not any(_drawable(p.value) for points in plot.lines.values() for p in points):
        return _NOTHING
    if top is None:
        (width, height), ends = (WIDTH, HEIGHT), (TOP, BOTTOM)
        y = Scale(ticks(min([0.0] * (plot.kind == "bars") + values), max(values)), BOTTOM, TOP)
        left, right = 10 + LETTER * max(len(tick(value)) for value in y.ticks), RIGHT
    else:
        width, height = _SMALL
        left, right, ends = 3.0, width - 3, (3, height - 3)
        y = Scale((min(*values, 0.0), max(*values, top) * 1.1 or 1.0), height - 3, 3)

    def x(time: datetime) -> str:
        return f"{left + axis.share(time) * (right - left):.1f}"

    if top is None:
        across = Markup(
            '<path class="grid" d="M{:.1f} {y}H{}"/><text x="{:.1f}" y="{y}" text-anchor="end" dy="4">{}</text>'
        )
        down = Markup('<path class="grid" d="M{x} {}V{}"/><text x="{x}" y="{}" text-anchor="middle">{}</text>')
        parts = [across.format(left, RIGHT, left - 6, tick(value), y=y(value)) for value in y.ticks]
        parts += [down.format(BOTTOM, BOTTOM + 4, BOTTOM + 18, text, x=x(time)) for time, text in axis.ticks()]
    else:
        parts = [Markup('<path class="axis" d="M0 {y}H{}"/>').format(width, y=y(0))]
    parts += [Markup('<path class="release" d="M{} {}V{}"/>').format(x(time), *ends) for time in axis.releases]
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-labelledby="{id}-t {id}-d" class="plot{}"><title id="{id}-t">{}'
        '</title><desc id="{id}-d">{}</desc>{}</svg>'
    ).format(
        width,
        height,
        "" if top is None else " small",
        plot.title,
        plot.description,
        Markup("").join([*parts, *_content(plot, x, y, ends)]),
        id=plot.name,
    )


def _content(
    plot: TimePlot, x: Callable[[datetime], str], y: Callable[[float], str], ends: tuple[float, float]
) -> Iterator[Markup]:
    for band in plot.bands:
        high = y(band.high) if _drawable(band.high) else ends[0]
        low = y(band.low) if _drawable(band.low) else ends[1]
        if band.low is not None and band.low == band.high:
            yield Markup('<path class="equal" d="M{} {}H{}"/>').format(x(band.start), low, x(band.end))
        else:
            path = f"M{x(band.start)} {low}H{x(band.end)}V{high}H{x(band.start)}Z"
            yield Markup('<path class="promise" d="{}"/>').format(path)
    for name, points in plot.lines.items():
        yield from _bars(points, x, y) if plot.kind == "bars" else _line(name, points, x, y)


def _bars(points: Iterable[Point], x: Callable[[datetime], str], y: Callable[[float], str]) -> Iterator[Markup]:
    for p in points:
        if _drawable(p.value):
            width = max(float(x(p.end)) - float(x(p.start)) - 1.0, 0.8)
            box = (float(x(p.start)) + 0.5, float(y(p.value)), width)
            yield Markup(
                '<rect class="bar{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
            ).format(" alarm" * p.alarm, *box, max(float(y(0.0)) - box[1], 0.5), p.note)


def _line(
    name: str, points: Sequence[Point], x: Callable[[datetime], str], y: Callable[[float], str]
) -> Iterator[Markup]:
    """A line with its interval, broken where a pass has no value; each pass is a dot."""
    for has_value, group in groupby(points, lambda p: _drawable(p.value)):
        run = [(p, x(p.start + (p.end - p.start) / 2), y(p.value or 0.0)) for p in group if has_value]
        between = [(at, y(p.low), y(p.high)) for p, at, _ in run if _drawable(p.low) and _drawable(p.high)]
        if len(between) > 1:
            edge = [f"{at} {low}" for at, low, _ in between] + [f"{at} {high}" for at, _, high in between[::-1]]
            yield Markup('<path class="interval" d="M{}Z"/>').format("L".join(edge))
        if len(run) > 1:
            path = "M" + "L".join(f"{at} {value}" for _, at, value in run)
            yield Markup('<path class="line {}" d="{}"/>').format(name, path)
        for p, at, value in run:
            yield Markup('<circle class="dot {}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
                "alarm" if p.alarm else name, at, value, 4 if p.alarm else 2, p.note
            )
