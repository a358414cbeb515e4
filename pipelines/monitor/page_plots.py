"""The plots of the monitor's page: production and alarms, metrics, drift, traffic and budget over time."""

from collections.abc import Sequence
from typing import Any

from pipelines.config.metrics import label
from pipelines.monitor.pass_record import Drift, PassRecord
from pipelines.monitor.report_view import PROBLEMS, Release, budget_parts, drift_order, period
from pipelines.monitor.time_charts import Band, Point, TimeAxis, TimePlot
from pipelines.pages.numbers import count, number
from pipelines.pages.rendering import upper_first

MAX_PLOTS, MAX_METRICS = 24, 6


def axis(records: Sequence[PassRecord], listed: Sequence[Release]) -> TimeAxis | None:
    """The time axis of the page; without a pass, of the releases; None without any."""
    times = [time for record in records for time in (record.start, record.end)] or [item.at for item in listed]
    if not times:
        return None
    start, end = min(times), max(times)
    return TimeAxis(start, end, tuple(item.at for item in listed if start <= item.at <= end))


def production(listed: Sequence[Release], whole: TimeAxis) -> list[dict[str, Any]]:
    """What was in production when, as shares of the time axis in per cent; times before it are left out."""
    ends = [*(item.at for item in listed[1:]), whole.end]
    spans = []
    for i, (item, end) in enumerate(zip(listed, ends, strict=True)):
        left, right = 100 * whole.share(item.at), 100 * whole.share(max(end, item.at))
        if right > left:
            again = i + 1 < len(listed) and listed[i + 1].rollback
            spans.append({"release": item, "x": left, "width": right - left, "rolled_back": again, "end": end,
                          "current": i + 1 == len(listed), "begins": item.at >= whole.start})  # fmt: skip
    return spans


def lanes(records: Sequence[PassRecord], whole: TimeAxis) -> dict[str, list[dict[str, Any]]]:
    """The state of each problem in each pass: `alarm`, `quiet` or `unjudged`, with its place in per cent."""
    states: dict[str, list[dict[str, Any]]] = {}
    for problem in PROBLEMS:
        states[problem] = []
        for record in records:
            messages = [alarm.message for alarm in record.alarms if alarm.problem == problem]
            judged = record.judged and (problem != "quality" or record.quality is not None)
            state = "alarm" if messages else "quiet" if judged or problem == "service" else "unjudged"
            note = f"{period(record)}: {' '.join(messages) or {'quiet': 'no alarm', 'unjudged': 'not judged'}[state]}"
            x, end = 100 * whole.share(record.start), 100 * whole.share(record.end)
            states[problem].append({"x": x, "width": max(end - x - 0.25, 0.2), "state": state, "note": note})
    return states


def metric_plots(records: Sequence[PassRecord]) -> list[TimePlot]:
    """The loss with its limit, then each metric with its interval and what was promised."""
    plots = []
    judged = [(record, record.quality) for record in records if record.quality]
    if any(quality.loss is not None for _, quality in judged):
        points = [
            _point(record, quality.loss, alarm=any(a.problem == "quality" for a in record.alarms))
            for record, quality in judged
        ]
        bands = [
            Band(record.start, record.end, None, quality.limit)
            for record, quality in judged
            if quality.limit is not None
        ]
        plots.append(TimePlot("loss", "Loss that the alarm watches", "mean per row; the band is within the limit",
                              _described(points), {"head": points}, tuple(bands)))  # fmt: skip
    names = dict.fromkeys(m.name for _, quality in judged[::-1] for m in quality.metrics if m.slice is None)
    for i, name in enumerate(list(names)[:MAX_METRICS]):
        rows = [(r, m) for r, quality in judged for m in quality.metrics if m.slice is None and m.name == name]
        points = [_point(record, m.value, m.low, m.high) for record, m in rows]
        promised = [Band(r.start, r.end, m.promised, m.promised) for r, m in rows if m.promised is not None]
        title, subtitle = upper_first(label(name)), "95 % CI; dashed: promised at release"
        plots.append(TimePlot(f"metric-{i}", title, subtitle, _described(points), {"head": points}, tuple(promised)))
    return plots


def drift_plots(records: Sequence[PassRecord]) -> list[tuple[Drift, TimePlot]]:
    """PSI of each input with its tolerance as a band; listed inputs first, then by the newest PSI for its tolerance."""
    newest = {drift.name: drift for record in records for drift in record.drift}
    plots = []
    for i, drift in enumerate(sorted(newest.values(), key=drift_order)[:MAX_PLOTS]):
        rows = [(record, item) for record in records for item in record.drift if item.name == drift.name]
        points = [_point(record, item.psi, alarm=item.listed) for record, item in rows]
        bands = tuple(Band(record.start, record.end, 0.0, item.tolerance) for record, item in rows)
        title = f"Population stability index of {drift.name}"
        plots.append((drift, TimePlot(f"psi-{i}", title, "", _described(points), {"head": points}, bands)))
    return plots


def traffic_plots(records: Sequence[PassRecord]) -> list[TimePlot]:
    """Predictions of each pass, and quantiles of the latency."""
    rows = [_point(r, float(r.rows), alarm=any(a.name == "volume" for a in r.alarms)) for r in records]
    plots = [TimePlot("volume", "Volume", "predictions per pass", _described(rows), {"head": rows}, kind="bars")]
    quantiles = sorted({name for record in records for name in record.latency_ms})[:3]
    lines = {f"q{i}": [_point(r, r.latency_ms.get(name)) for r in records] for i, name in enumerate(quantiles)}
    if quantiles:
        subtitle = f"ms, quantiles {', '.join(quantiles)} from below"
        plots.append(TimePlot("latency", "Latency", subtitle, _described(lines[f"q{len(quantiles) - 1}"]), lines))
    return plots


def budget_plots(records: Sequence[PassRecord]) -> list[TimePlot]:
    """How near the detectors of slow and of sudden change came to an alarm."""
    plots = []
    for part, name in enumerate(("slow", "sudden")):
        near = [(record, 100 * used[part]) for record in records if (used := budget_parts(record))]
        if near:
            points = [_point(record, percent, alarm=percent >= 100) for record, percent in near]
            within = (Band(points[0].start, points[-1].end, None, 100.0),)
            title = f"{name.capitalize()} change"
            plots.append(TimePlot(name, title, "% of the alarm limit", _described(points), {"head": points}, within))
    return plots


def _point(
    record: PassRecord, value: float | None, low: float | None = None, high: float | None = None, alarm: bool = False
) -> Point:
    interval = "" if low is None or high is None else f" ({number(low)} to {number(high)})"
    note = f"{period(record)}: {number(value)}{interval}, {record.version}"
    return Point(record.start, record.end, value, low, high, alarm, note)


def _described(points: Sequence[Point]) -> str:
    """The plot in words: the first, the smallest, the largest and the newest value."""
    values = [point.value for point in points if point.value is not None]
    if not values:
        return "No pass has a value."
    ends = f"From {number(values[0])} to {number(values[-1])}, between {number(min(values))} and {number(max(values))}"
    return f"{ends}; passes: {count(len(values))}, with an alarm: {count(sum(point.alarm for point in points))}."
