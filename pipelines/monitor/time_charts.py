"""Plots over time as SVG, in the classes of the shared style sheet; all plots of a page have the same time axis."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal, TypeGuard

from markupsafe import Markup

from pipelines.monitor.time_axis import TimeAxis
from pipelines.pages.charts import LETTER, RIGHT, TOP, WIDTH, Scale, tick, ticks

BOTTOM, HEIGHT = 160, 182
_LARGEST = 1e300  # larger values cannot be drawn: the ends of the axis would overflow
_SMALL = (220, 64)
_NOTHING = Markup('<p class="muted">Nothing to draw.</p>')


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
        kind: `log` draws powers of ten.
    """

    name: str
    title: str
    subtitle: str
    description: str
    lines: dict[str, list[Point]]
    bands: tuple[Band, ...] = ()
    kind: Literal["lines", "bars", "log"] = "lines"


def _drawable(value: float | None) -> TypeGuard[float]:
    return value is not None and abs(value) < _LARGEST


def _values(plot: TimePlot) -> Iterator[float]:
    for points in plot.lines.values():
        yield from (value for p in points for value in (p.value, p.low, p.high) if _drawable(value))
    yield from (value for band in plot.bands for value in (band.low, band.high) if _drawable(value))


def draw(plot: TimePlot, axis: TimeAxis) -> Markup:
    """A plot with axes."""
    finite = list(_values(plot))
    if not any(_drawable(p.value) for points in plot.lines.values() for p in points):
        return _NOTHING
    if plot.kind == "log":
        logarithms = [math.log10(max(value, 1e-12)) for value in finite]
        y = Scale(ticks(min(logarithms), max(logarithms)), BOTTOM, TOP)
        labels = {
            value: tick(10**value) if value >= -4 else f"1e{value:.3g}" for value in y.ticks if value == round(value)
        }
        place: Callable[[float], str] = lambda value: y(math.log10(max(value, 1e-12)))  # noqa: E731
    else:
        y = Scale(ticks(min([0.0] * (plot.kind == "bars") + finite), max(finite)), BOTTOM, TOP)
        labels, place = {value: tick(value) for value in y.ticks}, y
    left = 10 + LETTER * max(map(len, labels.values()))
    x = _along(axis, left, RIGHT)
    across = Markup(
        '<path class="grid" d="M{:.1f} {y}H{}"/><text x="{:.1f}" y="{y}" text-anchor="end" dy="4">{}</text>'
    )
    down = Markup('<path class="grid" d="M{x} {}V{}"/><text x="{x}" y="{}" text-anchor="middle">{}</text>')
    parts = [across.format(left, RIGHT, left - 6, text, y=y(value)) for value, text in labels.items()]
    parts += [down.format(BOTTOM, BOTTOM + 4, BOTTOM + 18, text, x=x(time)) for time, text in axis.ticks()]
    parts += [Markup('<path class="release" d="M{} {}V{}"/>').format(x(time), TOP, BOTTOM) for time in axis.releases]
    parts += _content(plot, x, place, (TOP, BOTTOM))
    return _svg(plot, WIDTH, HEIGHT, "plot", parts)


def draw_small(plot: TimePlot, axis: TimeAxis, top: float) -> Markup:
    """A plot without axes, from zero to at least `top`, for many beside each other."""
    width, height = _SMALL
    values = list(_values(plot))
    if not values:
        return _NOTHING
    low, high = min(*values, 0.0), max(*values, top) * 1.1
    y = Scale((low, high if high > low else low + 1.0), height - 3, 3)
    x = _along(axis, 3, width - 3)
    parts = [Markup('<path class="axis" d="M0 {y}H{}"/>').format(width, y=y(0))]
    parts += [Markup('<path class="release" d="M{} 0V{}"/>').format(x(time), height) for time in axis.releases]
    return _svg(plot, width, height, "plot small", [*parts, *_content(plot, x, y, (3, height - 3))])


def _along(axis: TimeAxis, left: float, right: float) -> Callable[[datetime], str]:
    return lambda time: f"{left + axis.share(time) * (right - left):.1f}"


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


def _svg(plot: TimePlot, width: int, height: int, name: str, parts: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-labelledby="{id}-t {id}-d" class="{}"><title id="{id}-t">{}</title>'
        '<desc id="{id}-d">{}</desc>{}</svg>'
    ).format(width, height, name, plot.title, plot.description, Markup("").join(parts), id=plot.name)
