"""Templates of reports, in Markdown for comments and issues, in HTML for people; what they print is escaped."""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipelines.pages.numbers import brief, count, largest, number, of, percent, seconds, signed
from pipelines.pages.safe_text import breaks, code

BUDGET = 60_000  # bytes of UTF-8; GitHub refuses a comment or an issue of more than 65,536 characters
CUT = "\f"  # between the sections of a template in Markdown; `clean` removes it from every value
_SHARED = Path(__file__).parent / "templates"


@cache
def environment(folder: Path, safe: Callable[[object], Any]) -> Environment:
    """The templates of a folder, which may include `style.css`, the style sheet of all pages.

    Args:
        safe: what makes a value safe: `safe_in_markdown` or `safe_in_page`.
    """
    made = Environment(
        loader=FileSystemLoader([folder, _SHARED]),
        autoescape=True,
        finalize=safe,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (number, largest, brief, signed, percent, count, seconds, code, breaks, upper_first, of, digest)
    made.filters |= {function.__name__: function for function in filters}
    return made


def joined_sections(rendered: str, left_out: str) -> str:
    """The sections of a document in Markdown, at most 60,000 bytes.

    Args:
        rendered: sections with `CUT` between them.
        left_out: stands at the end if the last sections had to be left out.
    """
    sections = [re.sub(r"\n{3,}", "\n\n", section.strip()) for section in rendered.split(CUT) if section.strip()]
    text = "\n\n".join(sections) + "\n"
    while len(text.encode()) > BUDGET:
        sections.pop()
        text = "\n\n".join([*sections, left_out]) + "\n"
    return text


def digest(style: Markup) -> str:
    """The hash by which the content security policy allows the style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()


def upper_first(text: str) -> str:
    """The text with a capital letter at its beginning."""
    return text[:1].upper() + text[1:]
