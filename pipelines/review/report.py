"""The report of a review: review.json for programs, review.md for the comment, review.html for people.

Both texts are made from one view of the findings. In the templates a plain value is text that nobody vouches for: on
its way out it is cleaned, shortened and escaped, in Markdown by `escape`, in HTML by Jinja.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup
from markupsafe import escape as html_escape

from pipelines.cli.files import write_json, write_text
from pipelines.metrics.table import METRICS, label
from pipelines.review import charts
from pipelines.review.findings import Findings, Gate, MetricRow, Plot, SliceRow

BUDGET = 60_000  # bytes of UTF-8; GitHub refuses a comment of more than 65,536 characters
WHYS = 8
CUT = "\f"  # between the sections of review.md.j2; `clean` lets no other one through
SHIFT_WORDS = ((0.1, "little"), (0.25, "some"), (math.inf, "large"))  # the usual reading of the stability index
_TEMPLATES = Path(__file__).parent / "templates"


def write(findings: Findings, folder: Path) -> None:
    """Write review.md, review.html and, last of all, review.json, each whole or not at all.

    Raises:
        Unreachable: if the disk is full or the folder cannot be written.
    """
    comment, document = markdown(findings), page(findings)
    write_text(folder / "review.md", comment)
    write_text(folder / "review.html", document)
    write_json(folder / "review.json", findings.to_json())


def markdown(findings: Findings) -> str:
    """The comment, in GitHub's Markdown, at most 60,000 bytes: whole sections go, from the end, if it is longer."""
    sections = [
        section.strip() for section in _template("review.md.j2", safe_in_markdown).render(_view(findings)).split(CUT)
    ]
    sections = [re.sub(r"\n{3,}", "\n\n", section) for section in sections if section]
    left_out = "_The rest is left out here for its length; all of it is in review.html._"
    whole = "\n\n".join(sections) + "\n"
    while len(whole.encode()) > BUDGET:
        sections.pop()
        whole = "\n\n".join([*sections, left_out]) + "\n"
    return whole


def page(findings: Findings) -> str:
    """The page: one HTML file that asks nothing from the network and runs no script."""
    return _template("review.html.j2", safe_in_page).render(_view(findings))


def safe_in_markdown(value: Any) -> Markup:
    """What a template of the comment gives out, unless it is Markdown already."""
    return value if isinstance(value, Markup) else escape(shorten(str(value), 300))


def safe_in_page(value: Any) -> str:
    """What a template of the page gives out; Jinja escapes it then, unless it is HTML already."""
    return value if isinstance(value, Markup) else shorten(str(value), 2000)


@cache
def _template(name: str, safe: Callable[[Any], str]) -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    known = (
        number,
        brief,
        signed,
        percent,
        count,
        seconds,
        spoken,
        code,
        breaks,
        upper_first,
        of,
        svg,
        mermaid,
        digest,
    )
    environment.filters |= {function.__name__: function for function in known}
    callable_there = (tone, word, whisker, shift_word, charts.resampled)
    environment.globals |= {function.__name__: function for function in callable_there}
    return environment.get_template(name)


def _view(findings: Findings) -> dict[str, Any]:
    """What both templates show: everything sorted so that failures come first."""
    explained, notes = _explained(findings)
    failures = one_of_each_first(findings.failures)
    ordered = sorted(findings.metrics, key=lambda row: row.name != findings.headline)
    drawn = [plot for plot in findings.plots if plot.name != "importance"]
    if findings.importance:
        bars = sorted(findings.importance.items(), key=lambda item: -item[1])
        title, loses = "What the model looks at", f"loss of {spoken(findings.headline)} when shuffled"
        drawn.append(Plot("importance", title, "bars", loses, "", bars=bars))
    said = (findings.data.evidently if findings.data else None) or ""
    return {
        "f": findings,
        "passes": findings.verdict == "pass",
        "explained": explained,
        "notes": notes,
        "lead": headline(findings),
        "whys": failures[:WHYS],
        "unsaid": failures[WHYS:],
        "blocking": [gate for gate in findings.gates if gate.blocks],
        "gates": sorted(findings.gates, key=_gate_order),
        "metrics": ordered,
        "compared": any(row.base is not None for row in ordered),
        "limits": {row.name: _limit(row, findings.gates) for row in ordered},
        "critical": sorted(findings.critical, key=lambda case: (case.passed, case.level != "must")),
        "slices": sorted(findings.slices, key=lambda row: (False, True, None).index(row.passed)),
        "groups": sorted(findings.groups, key=lambda row: not row.judged),
        "stages": sorted(findings.stages, key=lambda stage: stage.state != "failed"),
        "plots": drawn,
        "columns": list(dict.fromkeys(name for values in findings.candidates.values() for name in values)),
        "candidates": sorted(findings.candidates.items(), key=lambda item: item[0] != findings.winner),
        "evidently": re.match(r"(\w[\w.-]*\.html)\b(.*)", said, re.ASCII | re.DOTALL),
        "lower": findings.slice_metric in METRICS and METRICS[findings.slice_metric].lower_is_better,
        "answer": "probability" if findings.task == "classification" else "answer",
    }


def _explained(findings: Findings) -> tuple[str, list[str]]:
    """For a new line and a restore the sentence that comes first, and the notes without it."""
    known, sentence = {
        "comparison": ("", ""),
        "new line": ("only absolute gates count", "There is nothing to compare with: only absolute gates count."),
        "restore": (
            "shown, not judged",
            "This release was registered before: integrity, critical cases and file checks block; "
            "the comparison with the newer model is shown, not judged.",
        ),
    }[findings.kind]
    notes = list(findings.notes)
    said = next((note for note in notes if known and known in note), None)
    if said is None:
        return sentence, notes
    notes.remove(said)
    return said, notes


def one_of_each_first(gates: Sequence[Gate]) -> list[Gate]:
    """The first gate of every group, then the second of every group: no reason hides behind many of another."""
    seen: Counter[str] = Counter()
    ranked = []
    for gate in gates:
        ranked.append((seen[gate.group], gate))
        seen[gate.group] += 1
    return [gate for _, gate in sorted(ranked, key=lambda item: item[0])]


def _gate_order(gate: Gate) -> int:
    return 2 if gate.passed else 0 if gate.blocks else 1


def _limit(row: MetricRow, gates: Sequence[Gate]) -> float | None:
    """The signed difference beyond which the metric's regression gate says no, None without such a gate."""
    names = {f"regression {row.name}", row.name}
    found = next((g.limit for g in gates if g.group == "regression" and g.name in names and g.limit is not None), None)
    return None if found is None else abs(found) * (1 if row.lower_is_better else -1)


def headline(findings: Findings) -> tuple[str, str]:
    """Better or worse, and by how much: a word and a sentence."""
    row = next((row for row in findings.metrics if row.name == findings.headline), None)
    if row is None or row.head is None:
        faults = findings.faults
        why = f"The rows have {of(len(faults), 'fault')}, so n" if faults else "N"
        missing = f"{upper_first(spoken(findings.headline))} is not defined on {of(findings.rows, 'test row')}."
        return "Not measured", missing if findings.metrics else f"{why}o model was scored."
    name, rows = upper_first(spoken(row.name)), f"on {findings.rows:,} test rows"
    if findings.kind == "new line" or row.base is None:
        unmatched = "Nothing to compare with" if findings.kind == "new line" else "Not comparable"
        return unmatched, f"{name} is {number(row.head)} {rows}."
    if row.delta is None or row.low is None or row.high is None:
        return "Not comparable", f"{name} is {number(row.base)} on the base and {number(row.head)} here, {rows}."
    if row.delta == row.low == row.high == 0:
        return "Equal", f"{name} is {number(row.head)} on both sides, {rows}."
    like = max(abs(row.base), abs(row.head))
    interval = f"95 % interval {signed(row.low, like)} to {signed(row.high, like)}"
    pair, difference = f"from {number(row.base, like)} to {number(row.head, like)}", signed(row.delta, like)
    if tone(row) == "even":
        return "No clear difference", f"{name} goes {pair}: {difference} could be chance ({interval}), {rows}."
    moves = "rises" if row.delta > 0 else "falls"
    lower = "; lower is better" if row.lower_is_better else ""
    return upper_first(word(row)), f"{name} {moves} {pair}, by {difference} ({interval}{lower}), {rows}."


def tone(row: MetricRow | SliceRow, lower_is_better: bool | None = None) -> str:
    """`good` or `bad` where the whole interval lies on one side of zero, else `even`."""
    low, high = row.low, row.high
    if low is None or high is None or low <= 0 <= high:
        return "even"
    lower = row.lower_is_better if isinstance(row, MetricRow) else bool(lower_is_better)
    return "good" if (low > 0) != lower else "bad"


def word(row: MetricRow | SliceRow, lower_is_better: bool | None = None) -> str:
    """The tone in plain words."""
    if row.low is None or row.high is None:
        return "—"
    if row.low == row.high == 0:
        return "equal"
    return {"good": "better", "bad": "worse", "even": "no clear difference"}[tone(row, lower_is_better)]


def whisker(row: MetricRow | SliceRow, limit: float | None = None, lower_is_better: bool | None = None) -> Markup:
    """The row's interval against zero, drawn."""
    delta = row.delta if isinstance(row, MetricRow) else _difference(row.base, row.value)
    said = f"{word(row, lower_is_better)}: {signed(delta)}, interval {signed(row.low)} to {signed(row.high)}"
    return charts.whisker(delta, row.low, row.high, tone(row, lower_is_better), limit, said)


def _difference(base: float | None, head: float | None) -> float | None:
    return None if base is None or head is None else head - base


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])) if value else digits - 1


def number(value: float | None, like: float | None = None, digits: int = 4) -> str:
    """Four significant digits with thousands separators and the real minus; `like` lends its decimals."""
    if value is None or not math.isfinite(value):
        return "—"
    places = _decimals(value if like is None or not math.isfinite(like) else like, digits)
    if value and not round(value, places):
        places = _decimals(value, 2)  # a small difference of large values is not none
    text = f"{value:,.{places}f}" if places < 10 and abs(value) < 1e15 else f"{value:.2e}"
    return text.replace("-", "−")


def brief(value: float | None) -> str:
    """A number that stands alone: without the zeros at its end."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def signed(value: float | None, like: float | None = None) -> str:
    """A difference, with its sign even if it is a plus."""
    text = number(value, like)
    return f"+{text}" if value is not None and math.isfinite(value) and value > 0 else text


def percent(value: float | None) -> str:
    """A share as per cent."""
    return "—" if value is None or not math.isfinite(value) else f"{number(value * 100, digits=3)} %"


def count(value: int | None) -> str:
    """A count with thousands separators."""
    return "—" if value is None else f"{value:,}".replace("-", "−")


def of(value: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count(value)} {noun}{'s' * (value != 1)}"


def seconds(value: float) -> str:
    """Seconds as a person says them."""
    return f"{value:.1f} s" if round(value, 1) < 60 else f"{int(value + 0.5) // 60} min {int(value + 0.5) % 60} s"


def shift_word(value: float) -> str:
    """What a population stability index means."""
    return next(said for limit, said in SHIFT_WORDS if not value >= limit)


def spoken(name: str) -> str:
    """A metric's name as people write it."""
    return label(name)


def upper_first(text: str) -> str:
    """The text as the beginning of a sentence."""
    return text[:1].upper() + text[1:]


def clean(text: str) -> str:
    """One line without what is not seen: format characters go (so no override of direction), others are marked."""
    shown = (char for char in " ".join(text.split()) if unicodedata.category(char) != "Cf")
    return "".join("�" if unicodedata.category(char) in ("Cc", "Cs") else char for char in shown).strip()


def shorten(text: str, length: int) -> str:
    """Cleaned, and cut at `length` characters."""
    return charts.clip(clean(text[: 4 * length]), length)


_INLINE = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\\": "&#92;", "$": "<span>$</span>",
    **{char: f"\\{char}" for char in "`*_{}[]~!^"},
}  # fmt: skip
_GAP = "&#8203;"  # keeps GitHub, which links names and numbers in the finished HTML, from seeing them


def escape(text: str) -> Markup:
    """Text for anywhere in GitHub's Markdown: it reads as it is, and does not format, link, mention or break a table.

    Backslashes stop Markdown. They do not stop GitHub, which looks for @name, #1, GH-1, :emoji: and addresses in the
    finished HTML: there a space of no width stands in between.
    """
    text = clean(text)
    text = "".join(_INLINE.get(char, char) for char in text)
    text = re.sub(r"(?<!&)#", f"\\#{_GAP}", text).replace("@", f"@{_GAP}")
    text = re.sub(r"(?i)(gh-)(?=\d)|(:)(?=//|[\w+\\-]+(?::|$))|(www)(?=\.)", lambda found: found[0] + _GAP, text)
    text = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)
    return Markup(re.sub(r"^([-+=])(?=[\s+=-]|$)", r"\\\1", text))  # noqa: S704 - escaped for Markdown just now


def code(text: str | None, length: int = 80) -> Markup:
    """A value as code in Markdown; with signs that a code span or a table cell cannot hold it goes through `escape`."""
    if text is None:
        return Markup("—")
    text = shorten(text, length)
    if not text:
        return Markup("(empty)")
    if re.search(r"[`|\\<>&]", text):
        return Markup(f"<code>{escape(text)}</code>")  # noqa: S704 - escaped for Markdown just now
    return Markup(f"`{text}`")  # noqa: S704 - holds nothing that could end the span


def breaks(name: str) -> Markup:
    """A name for the page that may be broken after its signs, and only where it must be elsewhere."""
    safe = str(html_escape(shorten(name, 2000)))
    return Markup(re.sub(r"(?<=[=_./:])(?=\w)", "<wbr>", safe))  # noqa: S704 - escaped just now


def svg(plot: Plot) -> Markup:
    """A plot for the page."""
    return Markup(clean(charts.drawing(plot)))  # noqa: S704 - escaped where it was drawn


def mermaid(plot: Plot) -> Markup:
    """A plot for the comment."""
    return Markup(charts.mermaid(plot))  # noqa: S704 - made of numbers and of texts cut down to harmless signs


def digest(style: Markup) -> str:
    """What the content security policy calls the style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
