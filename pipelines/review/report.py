"""The report of a review: review.json for programs, review.md for the comment, review.html for people.

review.md and review.html are rendered from one view of the findings. Every value that a template prints is escaped:
in Markdown by `safe_text.escape`, in HTML by Jinja.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from pipelines.cli.files import write_json, write_text
from pipelines.config.metrics import label
from pipelines.pages import charts
from pipelines.pages.charts import Plot
from pipelines.pages.rendering import environment, joined_sections
from pipelines.pages.safe_text import clean, safe_in_markdown, safe_in_page
from pipelines.review.findings import Findings
from pipelines.review.report_view import shift_word, tone, view, whisker, word

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
