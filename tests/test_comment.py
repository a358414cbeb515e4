from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import comment
from pipelines.github import GitHub

LINK = "https://github.com/acme/fraud/actions/runs/1"


def test_a_short_report_is_left_as_it_is() -> None:
    assert comment.fitting("# fine\n", LINK) == "# fine\n"


def test_a_long_report_is_cut_before_a_section_with_a_link_to_the_rest() -> None:
    row = "| a | b |\n"
    report = "# verdict\n\nwhy\n\n## one\n\n" + row * 100 + "\n## two\n\n" + row * 10_000
    cut = comment.fitting(report, LINK)
    assert len(cut) <= comment.LIMIT
    assert "## one" in cut
    assert "## two" not in cut
    assert cut.rstrip().endswith(f"]({LINK}).**")


def test_no_cut_falls_into_an_open_details() -> None:
    report = "# verdict\n\nwhy\n\n" + "<details><summary>x</summary>\n\n## inner\n" + "row\n" * 30_000 + "</details>\n"
    cut = comment.fitting(report, LINK)
    assert cut.count("<details") == cut.count("</details>")
    assert "verdict" in cut


@given(st.lists(st.text(max_size=3_000), max_size=60))
def test_whatever_the_report_it_fits(parts: list[str]) -> None:
    report = "\n## s\n".join(parts)
    cut = comment.fitting(report, LINK)
    assert len(cut) <= comment.LIMIT - 2_000 or cut == report
    assert len(cut) <= comment.LIMIT


def test_the_watermark_is_found_whatever_its_commit() -> None:
    for sha in ("0" * 40, "abcdef0123"):
        assert comment._WATERMARK.search("text\n\n" + comment.watermark(sha))
    assert not comment._WATERMARK.search('![](https://cml.dev/watermark.png#ab "CML watermark other")')


class TwoRuns:
    """A GitHub on which another run comments at the very moment at which this one does."""

    def __init__(self, other_first: bool) -> None:
        self.kept: dict[int, str] = {}
        self._other_first = other_first

    def comments(self, number: int) -> list[dict[str, object]]:
        return [{"id": each, "body": body, "user": {"type": "Bot"}} for each, body in self.kept.items()]

    def create_comment(self, number: int, body: str) -> None:
        other = "theirs\n\n" + comment.watermark("b" * 40)
        for text in (other, body) if self._other_first else (body, other):
            self.kept[len(self.kept) + 1] = text

    def update_comment(self, which: int, body: str) -> None:
        self.kept[which] = body

    def delete_comment(self, which: int) -> None:
        del self.kept[which]


@pytest.mark.parametrize("other_first", [True, False])
def test_of_two_comments_made_at_once_the_older_one_stays(other_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no CML
    github = TwoRuns(other_first)
    assert comment.post(cast(GitHub, github), 1, "a" * 40, "ours", LINK) == "REST"
    assert github.kept == {1: "ours\n\n" + comment.watermark("a" * 40)}
