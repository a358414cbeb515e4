"""Texts that nobody vouches for stay texts in GitHub's Markdown."""

from hypothesis import given

from pipelines.pages import safe_text
from tests.engine.pages.markup import GAP, GITHUB, LINKED, Page, inline, read, texts


@given(texts)
def test_an_escaped_text_reads_as_it_is_in_a_paragraph_a_list_and_a_cell(text: str) -> None:
    escaped, wanted = safe_text.escape(text), safe_text.clean(text)
    assert read(inline(f"before {escaped} after")) == " ".join(f"before {wanted} after".split(" "))
    assert read(inline(f"- {escaped}")) == wanted
    rows = GITHUB.render(f"| a | b |\n|---|---|\n| {escaped} | {safe_text.code(text)} |\n")
    assert (rows.count("<th>"), rows.count("<td>")) == (2, 2)
    assert len([token for token in GITHUB.parse(f"> - {escaped}") if token.level == 0]) == 2


@given(texts)
def test_nothing_in_a_text_is_linked_mentioned_or_replaced_by_github(text: str) -> None:
    shown = [
        token.content for token in inline(f"before {safe_text.escape(text)} after") if token.type.startswith("text")
    ]
    assert not LINKED.search("".join(shown))


@given(texts)
def test_a_code_span_survives_every_text_in_a_cell(text: str) -> None:
    html = GITHUB.render(f"| a |\n|---|\n| {safe_text.code(text)} |\n")
    cell = Page(html.encode("utf-8", "replace").decode())
    wanted = safe_text.shorten(text, 80) or "(empty)"
    assert cell.text.strip().removeprefix("a").strip().replace(GAP, "") == wanted
    assert [tag for tag, _ in cell.tags if tag == "td"] == ["td"]
    if wanted != "(empty)":
        assert [tag for tag, _ in cell.tags].count("code") == 1
