"""The report of a review: review.json for programs, review.md for the comment, review.html for people.

review.md and review.html are rendered from one view of the findings. Every value that a template prints is escaped:
in Markdown by `safe_text.escape`, in HTML by Jinja.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from pipelines.cli.files import write_json, write_text
from pipelines.metrics.table import label
from pipelines.review import charts
from pipelines.review.findings import Findings, Plot
from pipelines.review.numbers import brief, count, number, of, percent, seconds, signed
from pipelines.review.report_view import shift_word, tone, upper_first, view, whisker, word
from pipelines.review.safe_text import breaks, clean, code, safe_in_markdown, safe_in_page

BUDGET = 60_000  # bytes of UTF-8; GitHub refuses a comment of more than 65,536 characters
CUT = "\f"  # between the sections of review.md.j2; `clean` removes it from every value
_TEMPLATES = Path(__file__).parent / "templates"


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
    sections = [re.sub(r"\n{3,}", "\n\n", section.strip()) for section in rendered.split(CUT) if section.strip()]
    left_out = "_Sections are left out here because the comment would be too long. review.html has all of them._"
    comment = "\n\n".join(sections) + "\n"
    while len(comment.encode()) > BUDGET:
        sections.pop()
        comment = "\n\n".join([*sections, left_out]) + "\n"
    return comment


def page(findings: Findings) -> str:
    """The page: one HTML file that loads nothing and runs no script."""
    return _template("review.html.j2", safe_in_page).render(view(findings))


@cache
def _template(name: str, safe: Callable[[object], Any]) -> Template:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (number, brief, signed, percent, count, seconds, code, breaks, upper_first, of, svg, mermaid, digest)
    environment.filters |= {function.__name__: function for function in filters} | {"label": label}
    functions = (tone, word, whisker, shift_word, charts.interpolated)
    environment.globals |= {function.__name__: function for function in functions}
    return environment.get_template(name)


def svg(plot: Plot) -> Markup:
    """A plot for the page."""
    return Markup(clean(charts.draw_svg(plot)))  # noqa: S704 - escaped where it was drawn


def mermaid(plot: Plot) -> Markup:
    """A plot for the comment."""
    return Markup(charts.mermaid(plot))  # noqa: S704 - made of numbers and of texts cut down to harmless characters


def digest(style: Markup) -> str:
    """The hash by which the content security policy allows the style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
