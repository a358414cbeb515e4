"""The sticky comment, on a GitHub in memory and with a stand-in for CML."""

from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.github import comment
from pipelines.github.client import GitHub
from tests.engine.fixtures_github import BOT, PERSON, MemoryGitHub

LINK = "https://github.com/acme/fraud/actions/runs/1"


def test_a_short_report_is_not_changed() -> None:
    assert comment.shorten("# fine\n", LINK) == "# fine\n"


def test_a_long_report_is_cut_before_a_section_with_a_link_to_the_rest() -> None:
    row = "| a | b |\n"
    report = "# verdict\n\nwhy\n\n## one\n\n" + row * 100 + "\n## two\n\n" + row * 10_000
    cut = comment.shorten(report, LINK)
    assert len(cut) <= comment.LIMIT
    assert "## one" in cut
    assert "## two" not in cut
    assert cut.rstrip().endswith(f"]({LINK}).**")


def test_a_report_is_not_cut_inside_of_details() -> None:
    report = "# verdict\n\nwhy\n\n" + "<details><summary>x</summary>\n\n## inner\n" + "row\n" * 30_000 + "</details>\n"
    cut = comment.shorten(report, LINK)
    assert cut.count("<details") == cut.count("</details>")
    assert "verdict" in cut


@given(st.lists(st.text(max_size=3_000), max_size=60))
def test_every_shortened_report_fits_into_a_comment(parts: list[str]) -> None:
    report = "\n## s\n".join(parts)
    cut = comment.shorten(report, LINK)
    assert len(cut) <= comment.LIMIT - 2_000 or cut == report
    assert len(cut) <= comment.LIMIT


def test_the_watermark_of_any_commit_is_recognized() -> None:
    for sha in ("0" * 40, "abcdef0123"):
        assert comment._WATERMARK.search("text\n\n" + comment.watermark(sha))
    assert not comment._WATERMARK.search('![](https://cml.dev/watermark.png#ab "CML watermark other")')


@pytest.mark.parametrize("other_first", [True, False])
def test_of_two_comments_created_at_once_the_older_one_is_kept(
    other_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")  # no CML
    github = MemoryGitHub()
    theirs = "theirs\n\n" + comment.watermark("b" * 40)

    def create_two(number: int, body: str) -> None:
        for text in (theirs, body) if other_first else (body, theirs):
            github.add_comment(text, BOT)

    monkeypatch.setattr(github, "create_comment", create_two)
    assert post(github) == "REST"
    assert github.stored_comments == {1: {"id": 1, "body": "ours\n\n" + comment.watermark("a" * 40), "user": BOT}}


RECORDER = """#!/bin/sh
# Accepts only the documented command line of CML 0.20.6.
[ "$#" = 6 ] && [ "$*" = "comment update --publish=false --watermark-title=mainline-review --target=pr/7 $6" ] || exit 1
[ "${6##*/} $REPO_TOKEN $ITERATIVE_DO_NOT_TRACK$BOT_TOKEN" = "report.md the-token 1" ] || exit 1
echo x >> "$HOME/written" && echo x >> "${GIT_CONFIG_GLOBAL:-$HOME/.gitconfig}" || exit 1
PATH=/usr/bin:/bin; cp "$6" "$RECORD"; [ "$STATUS" != hang ] || exec sleep 60; exit "$STATUS"
"""


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which a stand-in for CML, alone on PATH, copies the report that it should post."""
    program = tmp_path / "bin/cml"
    program.parent.mkdir()
    program.write_text(RECORDER)
    program.chmod(0o755)
    for name, value in {"PATH": str(program.parent), "GITHUB_TOKEN": "the-token", "STATUS": "0"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECORD", str(tmp_path / "record"))
    monkeypatch.delenv("ITERATIVE_DO_NOT_TRACK", raising=False)
    return tmp_path / "record"


def post(github: MemoryGitHub, report: str = "ours") -> str:
    return comment.post_comment(cast(GitHub, github), 7, "a" * 40, report, LINK)


def test_cml_is_called_by_its_documented_command_line_with_a_home_of_its_own(
    record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, settings = tmp_path / "home", tmp_path / "gitconfig"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("BOT_TOKEN", "the-token-that-pushes")
    github = MemoryGitHub()
    assert post(github, "# é | b |\n") == "CML"
    assert list(home.iterdir()) == [] and not settings.exists()  # it adds safe.directory = * to git's configuration
    assert record.read_text() == "# é | b |\n"
    assert github.bodies == []


def test_rest_updates_the_comment_of_cml_if_cml_fails(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    github = MemoryGitHub()
    github.add_comment("by CML\n\n" + comment.watermark("b" * 40), BOT)
    monkeypatch.setenv("STATUS", "1")
    assert post(github) == "REST"
    assert record.exists()
    assert github.bodies == ["ours\n\n" + comment.watermark("a" * 40)]


def test_a_marked_comment_of_a_person_is_not_changed(record: Path) -> None:
    github = MemoryGitHub()
    theirs = "All is well\n\n" + comment.watermark("b" * 40)
    github.add_comment(theirs, PERSON)
    assert post(github) == "REST"
    assert github.bodies == [theirs, "ours\n\n" + comment.watermark("a" * 40)]
    assert post(github) == "REST"  # ours is the newest now, but CML might still update theirs
    assert github.bodies == [theirs, "ours\n\n" + comment.watermark("a" * 40)]


@pytest.mark.parametrize(
    ("before", "marked", "after", "route"),
    [
        (29, 0, 0, "CML"),
        (30, 0, 0, "REST"),
        (29, 1, 100, "CML"),
        (30, 1, 0, "REST"),
        (0, 2, 0, "REST"),
    ],
)
def test_cml_is_used_only_if_the_marked_comment_is_among_the_first_30(
    record: Path, before: int, marked: int, after: int, route: str
) -> None:
    github = MemoryGitHub()
    for user, count, text in (
        (PERSON, before, "Hello"),
        (BOT, marked, "by CML\n\n" + comment.watermark("b" * 40)),
        (PERSON, after, "Hello"),
    ):
        for _ in range(count):
            github.add_comment(text, user)
    assert post(github) == route
    assert record.exists() == (route == "CML")
    ours = [body for body in github.bodies if body == "ours\n\n" + comment.watermark("a" * 40)]
    assert len(ours) == (route == "REST")
    assert len(github.bodies) == before + after + (1 if route == "REST" else marked)


def test_a_marked_comment_of_another_bot_is_not_changed(record: Path) -> None:
    github = MemoryGitHub()
    theirs = "theirs\n\n" + comment.watermark("b" * 40)
    github.add_comment(theirs, {"login": "mallory[bot]", "type": "Bot"})
    github.add_comment(theirs, {"login": "github-actions", "type": "User"})
    assert post(github) == "REST"
    assert github.bodies == [theirs, theirs, "ours\n\n" + comment.watermark("a" * 40)]


@pytest.mark.parametrize(("slug", "is_own"), [("github-actions", True), ("another-app", False)])
def test_a_marked_comment_under_our_login_is_ours_only_if_our_app_wrote_it(
    monkeypatch: pytest.MonkeyPatch, slug: str, is_own: bool
) -> None:
    monkeypatch.setenv("PATH", "")  # no CML
    github = MemoryGitHub()
    github.add_comment("theirs\n\n" + comment.watermark("b" * 40), BOT)["performed_via_github_app"] = {"slug": slug}
    assert post(github) == "REST"
    assert len(github.bodies) == (1 if is_own else 2)


def test_rest_is_used_if_cml_times_out(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATUS", "hang")
    monkeypatch.setattr(comment, "_CML_TIMEOUT", 0.5)
    github = MemoryGitHub()
    assert post(github) == "REST"
    assert record.exists()
    assert github.bodies == ["ours\n\n" + comment.watermark("a" * 40)]
