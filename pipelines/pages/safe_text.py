"""Texts that nobody vouches for (names, values, branches), made safe for GitHub's Markdown and for the page."""

import re
import unicodedata

from markupsafe import Markup
from markupsafe import escape as html_escape

_INLINE = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;", "\\": "&#92;", "$": "<span>$</span>",
    **{char: f"\\{char}" for char in "`*_{}[]~!^"},
}  # fmt: skip
_GAP = "&#8203;"  # a space of no width: GitHub links names and numbers in the finished HTML, and must not see them


def clip(text: str, length: int) -> str:
    """The text, or its beginning with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def clean(text: str) -> str:
    """One line without invisible characters: format characters are removed, control characters are replaced."""
    shown = (char for char in " ".join(text.split()) if unicodedata.category(char) != "Cf")
    return "".join("�" if unicodedata.category(char) in ("Cc", "Cs") else char for char in shown).strip()


def shorten(text: str, length: int) -> str:
    """Cleaned, and cut at `length` characters."""
    return clip(clean(text[: 4 * length]), length)


def escape(text: str) -> Markup:
    """Text for any place of GitHub's Markdown: it does not format, link or mention anything, or break a table.

    Backslashes stop Markdown. They do not stop GitHub, which looks for @name, #1, GH-1, :emoji: and addresses in the
    finished HTML; those are broken by a space of no width.
    """
    text = clean(text)
    text = "".join(_INLINE.get(char, char) for char in text)
    text = re.sub(r"(?<!&)#", f"\\#{_GAP}", text).replace("@", f"@{_GAP}")
    text = re.sub(r"(?i)(gh-)(?=\d)|(:)(?=//|[\w+\\-]+(?::|$))|(www)(?=\.)", lambda match: match[0] + _GAP, text)
    text = re.sub(r"^(\d+)([.)])(?=\s|$)", r"\1\\\2", text)
    return Markup(re.sub(r"^([-+=])(?=[\s+=-]|$)", r"\\\1", text))  # noqa: S704 - escaped for Markdown just now


def code(text: str | None, length: int = 80) -> Markup:
    """A value as code in Markdown, escaped as HTML where a code span or a table cell cannot hold its characters."""
    if text is None:
        return Markup("—")
    text = shorten(text, length)
    if not text:
        return Markup("(empty)")
    if re.search(r"[`|\\<>&]", text):
        return Markup(f"<code>{escape(text)}</code>")  # noqa: S704 - escaped for Markdown just now
    return Markup(f"`{text}`")  # noqa: S704 - holds no character that could end the span


def breaks(name: str) -> Markup:
    """A name for the page, with places after its signs where a line may break."""
    safe = str(html_escape(shorten(name, 2000)))
    return Markup(re.sub(r"(?<=[=_./:])(?=\w)", "<wbr>", safe))  # noqa: S704 - escaped just now


def safe_in_markdown(value: object) -> Markup:
    """What a template of the comment prints: escaped and shortened, unless it is Markdown already."""
    return value if isinstance(value, Markup) else escape(shorten(str(value), 300))


def safe_in_page(value: object) -> str:
    """What a template of the page prints: shortened; Jinja escapes it then, unless it is HTML already."""
    return value if isinstance(value, Markup) else shorten(str(value), 2000)
