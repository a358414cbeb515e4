"""The report of a review: review.json for programs, review.md for the comment, review.html for people.

review.md and review.html are rendered from one view of the findings, ordered so that failures come first. Every value
that a template prints is escaped: in Markdown by `safe_text.escape`, in HTML by Jinja.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from pipelines.cli.files import write_json, write_text
from pipelines.config.metrics import COST, COST_ROWS, METRICS, label
from pipelines.pages import charts
from pipelines.pages.charts import Plot
from pipelines.pages.numbers import largest, number, of, signed
from pipelines.pages.rendering import environment, joined_sections, upper_first
from pipelines.pages.safe_text import clean, safe_in_markdown, safe_in_page
from pipelines.review.candidates import training_seconds
from pipelines.review.findings import Findings, GateResult, MetricRow, SliceRow, counted, summary

_TEMPLATES = Path(__file__).parent / "templates"
MAX_REASONS = 8  # gates that the verdict names; the table of all gates has the others
SHIFT_WORDS = ((0.1, "little"), (0.25, "some"), (math.inf, "large"))  # the usual reading of the stability index


def write(findings: Findings, folder: Path) -> None:
    """Write review.md, review.html and, last of all, review.json; each file appears whole.

    Raises:
        Unreachable: if the disk is full or the folder cannot be written.
    """
    comment, document = markdown(findings), page(findings)
    write_text(folder / "review.md", comment)
    write_text(folder / "review.html", document)
    write_json(folder / "review.json", findings.to_json())


def markdown(findings: Findings) -> str:
    """The comment in GitHub's Markdown, at most 60,000 bytes; the last sections are left out of a longer one."""
    rendered = _template("review.md.j2", safe_in_markdown).render(view(findings))
    left_out = "_Sections are left out here because the comment would be too long. review.html has all of them._"
    return joined_sections(rendered, left_out)


def page(findings: Findings) -> str:
    """The page: one HTML file that loads nothing and runs no script."""
    return _template("review.html.j2", safe_in_page).render(view(findings))


@cache
def _template(name: str, safe: Callable[[object], Any]) -> Template:
    templates = environment(_TEMPLATES, safe)
    templates.filters |= {"svg": svg, "mermaid": mermaid, "label": label}
    functions = (tone, word, whisker, shift_word, charts.interpolated)
    templates.globals |= {function.__name__: function for function in functions}
    return templates.get_template(name)


def svg(plot: Plot) -> Markup:
    """A plot for the page."""
    return Markup(clean(charts.draw_svg(plot)))  # noqa: S704 - escaped where it was drawn


def mermaid(plot: Plot) -> Markup:
    """A plot for the comment."""
    return Markup(charts.mermaid(plot))  # noqa: S704 - made of numbers and of texts cut down to harmless characters


def view(findings: Findings) -> dict[str, Any]:
    """The variables of the templates."""
    findings = _data_errors_once(findings)
    reasons = one_of_each_first(findings.failures or findings.warnings)
    metrics = sorted(findings.metrics, key=lambda row: row.name != findings.headline)
    plots = [plot for plot in findings.plots if plot.name != "importance"]
    if findings.importance:
        bars = sorted(findings.importance.items(), key=lambda item: -item[1])
        loss = f"loss of {label(findings.headline)} when the field is shuffled"
        plots.append(Plot("importance", "Importance of the fields", "bars", loss, "", bars=bars))
    evidently = (findings.data.evidently if findings.data else None) or ""
    gates = counted(findings.gates)
    columns = list(dict.fromkeys(name for row in findings.candidates for name in row.values))
    return {
        "f": findings,
        "passed": findings.verdict == "pass",
        "caution": bool(reasons or findings.remarks),
        "summary": "; ".join([summary(findings.gates), *findings.remarks]),
        "lead": headline(findings),
        "within_tolerance": within_tolerance(findings),
        "saving": saving(findings),
        "other_winner": other_winner(findings),
        "reasons": reasons[:MAX_REASONS],
        "other_reasons": reasons[MAX_REASONS:],
        "gate_count": len(gates),
        "passed_count": sum(gate.passed for gate in gates),
        "shown_count": len(findings.gates) - len(gates),
        "gates": sorted(findings.gates, key=_gate_order),
        "metrics": metrics,
        "compared": any(row.base is not None for row in metrics),
        "limits": {row.name: _limit(row, findings.gates) for row in metrics},
        "critical": sorted(findings.critical, key=lambda case: (case.passed, case.level != "must")),
        "slices": sorted(findings.slices, key=lambda row: (False, True, None).index(row.passed)),
        "groups": sorted(findings.groups, key=lambda row: not row.judged),
        "stages": sorted(findings.stages, key=lambda stage: stage.state != "failed"),
        "plots": plots,
        "candidates": findings.candidates,
        "columns": columns,
        "likes": {name: largest(row.values.get(name) for row in findings.candidates) for name in columns},
        "training_seconds": training_seconds(findings),
        "changed": _changed(findings),
        "evidently": re.match(r"(\w[\w.-]*\.html)\b(.*)", evidently, re.ASCII | re.DOTALL),
        "lower": findings.slice_metric in METRICS and METRICS[findings.slice_metric].lower_is_better,
        "answer": "probability" if findings.task == "classification" else "answer",
    }


def _data_errors_once(findings: Findings) -> Findings:
    """The findings without the sentences of data errors in their gates: the section of data errors has them."""
    sentences = {error.why for error in findings.data_errors}
    gates = tuple(replace(gate, why="") if gate.why in sentences else gate for gate in findings.gates)
    return replace(findings, gates=gates)


def _changed(findings: Findings) -> str:
    """What the head changes besides the model, in words; empty if nothing."""
    features = findings.features
    count = 0 if features is None else len(features.new) + len(features.gone) + len(features.changed)
    parts = (
        f"{of(len(findings.params), 'value')} of params.yaml" * bool(findings.params),
        of(count, "feature") * bool(count),
        "the data" * bool(findings.data),
    )
    return ", ".join(filter(None, parts))


def one_of_each_first(gates: Sequence[GateResult]) -> list[GateResult]:
    """The first result of every group, then the second of every group, so that one group does not hide the others."""
    count: Counter[str] = Counter()
    ranked = []
    for gate in gates:
        ranked.append((count[gate.group], gate))
        count[gate.group] += 1
    return [gate for _, gate in sorted(ranked, key=lambda item: item[0])]


def _gate_order(gate: GateResult) -> int:
    """Gates that block, warnings, other results that did not pass, passed gates, passed results that do not block."""
    return 3 * gate.passed + 2 * (not gate.blocks and not gate.warns) + gate.warns


def _limit(row: MetricRow, gates: Sequence[GateResult]) -> float | None:
    """The signed difference beyond which the metric's regression gate fails, None without such a gate."""
    limits = (gate.limit for gate in gates if gate.group == "regression" and gate.name == f"regression {row.name}")
    limit = next(limits, None)
    return None if limit is None else abs(limit) * (1 if row.lower_is_better else -1)


def headline(findings: Findings) -> tuple[str, str]:
    """Whether the headline metric is better or worse, as a word, and by how much, as a sentence."""
    row = next((row for row in findings.metrics if row.name == findings.headline), None)
    if row is None or row.head is None:
        errors = findings.data_errors
        if findings.metrics:
            test_rows = of(findings.rows, "test row")
            return "Not measured", f"{upper_first(label(findings.headline))} is not defined on {test_rows}."
        why = f"The rows have {of(len(errors), 'error')}: no" if errors else "No"
        return "Not measured", f"{why} model was trained, and nothing was compared."
    name, rows = upper_first(label(row.name)), f"on {findings.rows:,} test rows"
    if findings.kind == "new model" or row.base is None:
        reason = "Nothing to compare with" if findings.kind == "new model" else "Not comparable"
        return reason, f"{name} is {number(row.head)} {rows}."
    if row.delta is None or row.low is None or row.high is None:
        return "Not comparable", f"{name} of the base is {number(row.base)}, of the head {number(row.head)}, {rows}."
    if row.delta == row.low == row.high == 0:
        return "Equal", f"{name} of base and head is {number(row.head)}, {rows}."
    like = max(abs(row.base), abs(row.head))
    interval = f"95 % CI {signed(row.low, like)} to {signed(row.high, like)}"
    moved = "rose" if row.delta > 0 else "dropped" if row.delta < 0 else "changed"
    change = f"by {number(abs(row.delta), like)} from {number(row.base, like)} to {number(row.head, like)}"
    sentence = f"{name} {moved} {change} ({interval}), {rows}"
    if tone(row) == "even":
        return "No clear difference", f"{sentence}: this may be chance."
    return upper_first(word(row)), f"{sentence}.{' Lower is better.' * row.lower_is_better}"


def within_tolerance(findings: Findings) -> str:
    """Why a model that is worse passes, as a sentence; empty if it is not worse, or a gate blocks it."""
    row = next((row for row in findings.metrics if row.name == findings.headline), None)
    if findings.verdict == "fail" or findings.kind != "comparison" or row is None or tone(row) != "bad":
        return ""
    limit = _limit(row, findings.gates)
    if limit is None or row.delta is None:
        return "It passes because no gate judges this difference: gates.regression has no tolerance for it."
    gate = next(gate for gate in findings.gates if gate.name == f"regression {row.name}")
    if not gate.passed:
        return "It passes because the gate that judges this difference does not block."
    return f"It passes because the whole interval is within the tolerance of {number(abs(limit), row.head)}."


def saving(findings: Findings) -> str:
    """What the head costs or saves, as a sentence; empty without a section `value`, or without a base."""
    row = next((row for row in findings.metrics if row.name == COST), None)
    if row is None or row.delta is None or findings.value is None:
        return ""
    unit, per = findings.value.unit, f"per {COST_ROWS:,} {findings.value.rows}"
    if row.low is None or row.high is None:
        return f"It costs {number(row.head)} {unit} {per}, the base {number(row.base)}."
    if row.delta == row.low == row.high == 0:
        return f"It costs what the base costs: {number(row.head)} {unit} {per}."
    if row.low <= 0 <= row.high:
        like = max(-row.low, row.high)
        interval = f"95 % CI {signed(row.low, like)} to {signed(row.high, like)}"
        return f"Savings are not clear: the cost changes by {signed(row.delta, like)} {unit} {per} ({interval})."
    verb, sign = ("Saves", -1) if row.delta < 0 else ("Costs", 1)
    low, high = sorted((sign * row.low, sign * row.high))
    amount = f"{number(abs(row.delta), digits=3)} {unit} {'more ' * (sign > 0)}{per}"
    return f"{verb} {amount} (95 % CI {number(low, digits=3)} to {number(high, digits=3)})."


def other_winner(findings: Findings) -> str:
    """That another candidate wins than in the base, as a sentence; empty if the same one does."""
    before, now = findings.base_winner, findings.winner
    return f"Another candidate wins: {now}; in the base it was {before}." if before and now and before != now else ""


def tone(row: MetricRow | SliceRow, lower_is_better: bool | None = None) -> str:
    """`good` or `bad` where the whole interval is on one side of zero, else `even`."""
    low, high = row.low, row.high
    if low is None or high is None or low <= 0 <= high:
        return "even"
    lower = row.lower_is_better if isinstance(row, MetricRow) else bool(lower_is_better)
    return "good" if (low > 0) != lower else "bad"


def word(row: MetricRow | SliceRow, lower_is_better: bool | None = None) -> str:
    """The tone as a word."""
    if row.low is None or row.high is None:
        return "—"
    if row.low == row.high == 0:
        return "equal"
    return {"good": "better", "bad": "worse", "even": "no clear difference"}[tone(row, lower_is_better)]


def whisker(row: MetricRow | SliceRow, limit: float | None = None, lower_is_better: bool | None = None) -> Markup:
    """The row's interval as a drawing around zero."""
    if isinstance(row, MetricRow):
        delta = row.delta
    else:
        delta = None if row.base is None or row.value is None else row.value - row.base
    description = f"{word(row, lower_is_better)}: {signed(delta)}, 95 % CI {signed(row.low)} to {signed(row.high)}"
    return charts.whisker(delta, row.low, row.high, tone(row, lower_is_better), limit, description)


def shift_word(value: float) -> str:
    """The size of a shift, from its population stability index."""
    return next(size for limit, size in SHIFT_WORDS if not value >= limit)
