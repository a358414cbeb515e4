"""verdict.md for an issue, index.html for people: what the monitor found.

Both are rendered from one view. Every value that a template prints is escaped: in Markdown by `safe_text.escape`, in
HTML by Jinja, so that no text of the log or of the labels is more than text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Template
from markupsafe import Markup, escape

from pipelines.config.metrics import label
from pipelines.monitor import page_plots, report_view, time_charts
from pipelines.monitor.pass_record import PassRecord, Verdict
from pipelines.pages.rendering import environment, joined_sections
from pipelines.pages.safe_text import clean, safe_in_markdown, safe_in_page
from pipelines.repository.tags import Assignment

Lineages = Mapping[str, Mapping[str, Sequence[str]]]
"""Version -> part of its lineage -> lines of text, as `pipelines/repository/lineage.py` returns them."""
_TEMPLATES = Path(__file__).parent / "templates"


def markdown(verdict: Verdict, records: Sequence[PassRecord], assignments: Sequence[Assignment]) -> str:
    """The verdict in GitHub's Markdown, at most 60,000 bytes; the last sections are left out of a longer one."""
    rendered = _template("verdict.md.j2", safe_in_markdown).render(report_view.view(verdict, records, assignments))
    left_out = "_Sections are left out here because the text would be too long. index.html has all of them._"
    return joined_sections(rendered, left_out)


def page(
    verdict: Verdict,
    records: Sequence[PassRecord],
    assignments: Sequence[Assignment],
    lineages: Lineages = MappingProxyType({}),
) -> str:
    """The page: one HTML file that loads nothing and runs no script."""
    variables = report_view.view(verdict, records, assignments) | {"lineages": lineages}
    history, listed = variables["history"], variables["releases"]
    axis = page_plots.axis(history, listed)
    return _template("index.html.j2", safe_in_page).render(
        variables,
        axis=axis,
        spans=axis and page_plots.production(listed, axis),
        lanes=axis and page_plots.lanes(history, axis),
        quality_plots=page_plots.metric_plots(history),
        drift_plots=page_plots.drift_plots(history),
        traffic_plots=history and page_plots.traffic_plots(history),
        budget_plots=page_plots.budget_plots(history),
    )


def code_spans(sentence: str) -> Markup:
    """A sentence of Mainline's own for the page: what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped just now


def _cleaned(draw: Callable[..., Markup]) -> Callable[..., Markup]:
    """The drawing without invisible characters, which names of inputs may hold."""
    return lambda *arguments: Markup(clean(draw(*arguments)))  # noqa: S704 - escaped where it was drawn


@cache
def _template(name: str, safe: Callable[[object], Any]) -> Template:
    templates = environment(_TEMPLATES, safe)
    filters = (code_spans, label, report_view.period, report_view.moment, report_view.p_value)
    templates.filters |= {function.__name__: function for function in filters}
    templates.globals["draw"] = _cleaned(time_charts.draw)
    return templates.get_template(name)
