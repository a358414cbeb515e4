"""What tests of reports share: nasty texts, Markdown as GitHub reads it, the tags and words of a page."""

import re
from html.parser import HTMLParser

from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

GITHUB = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# What GitHub would link, mention or replace in finished HTML, outside code.
LINKED = re.compile(r"@\w|#\w|://|www\.|gh-\d|:[\w+-]+:", re.IGNORECASE)
GAP = "\u200b"

nasty = st.text(st.sampled_from("ab1 |`\\*_[](){}<>&#@:/.!$~^-+=\n\t\"'%\u202e\u200bé𝕏") | st.characters(), max_size=40)
nastier = st.lists(
    st.sampled_from(
        ["@octocat", "#1", "GH-1", "<b>", "</details>", "<!--", "http://a.b", "www.a.b", "a@b.c", "![x](y)"]
    )
    | st.sampled_from(["[x](y)", "**", "__", "~~", "``", "```", "|", "\\|", "\\", "&lt;", "&#35;", "\n\n", "- ", "1. "])
    | st.sampled_from([":tada:", "$x$", "---", "> ", "# ", "\x0c", "\ud800", "{{ 1 }}", "{% raw %}", "x"]),
    max_size=8,
).map("".join)
texts = nasty | nastier


def inline(markdown: str) -> list[Token]:
    """The inline tokens of a text that is one paragraph, however it is wrapped."""
    children = [token.children or [] for token in GITHUB.parse(markdown) if token.type == "inline"]
    return [child for some in children for child in some]


def read(tokens: list[Token]) -> str:
    """What a reader sees."""
    assert all(token.type in ("text", "text_special", "html_inline", "code_inline") for token in tokens), tokens
    tags = [token.content for token in tokens if token.type == "html_inline"]
    assert set(tags) <= {"<span>", "</span>", "<code>", "</code>"}
    shown = [token.content for token in tokens if token.type != "html_inline"]
    return "".join(shown).replace(GAP, "")


class Page(HTMLParser):
    """A page's tags with their attributes, and its text without the style sheet."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["style"]:
            self.style += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)
