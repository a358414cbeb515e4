"""report-fork.yml, given what a hostile fork may leave as its artifact.

Needs the small problem (git, DVC), act, emulate and Prism.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping

import pytest

from tests.workflows.acting import Run
from tests.workflows.world import World, docs

REPORT, DOCUMENT = "reports/review/review.md", "reports/review/review.json"
RUN = 21


def archive(files: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return buffer.getvalue()


def honest(number: int, report: str = "# A report\n") -> dict[str, bytes | str]:
    return {REPORT: report, DOCUMENT: json.dumps({"verdict": "pass", "pull_request": number})}


@pytest.fixture
def number(world: World) -> int:
    """A pull request of a fork."""
    return world.open(docs, fork=True)


def told(world: World, number: int, content: bytes, size: int | None = None) -> Run:
    world.github.artifact(RUN, "review", content, size)
    return world.report_fork(number, RUN)


def refused(world: World, number: int, run: Run, why: str) -> None:
    assert run.conclusions == {"report-fork": "failure"}, run.log
    assert why in run.jobs["report-fork"].log
    assert world.github.changes == []
    assert world.github.comments(number) == []
    assert world.pushes == []


def test_an_honest_report_is_posted_once_and_updated(world, number):
    assert told(world, number, archive(honest(number))).conclusions == {"report-fork": "success"}
    run = world.report_fork(number, RUN, own=101)
    assert run.conclusions == {"report-fork": "success"}, run.log
    (comment,) = world.github.comments(number)
    assert comment.startswith("# A report")


@pytest.mark.parametrize(("branch", "jobs"), [("change", {}), ("dependabot/ours", {"report-fork": "success"})])
def test_a_pull_request_of_ours_is_left_to_its_own_run_whatever_its_branch_is_called(world, branch, jobs):
    number = world.open(docs, branch)
    run = told(world, number, archive(honest(number)))
    assert run.conclusions == jobs, run.log
    assert (world.github.comments(number), world.github.changes) == ([], [])


def test_paths_that_climb_write_nothing(world, number, tmp_path):
    climbing = {"../../../../../../../../" + str(tmp_path / "climbed").lstrip("/"): "x", "/etc/climbed": "x"}
    run = told(world, number, archive({**honest(number), **climbing}))
    assert run.conclusions == {"report-fork": "success"}, run.log
    assert not (tmp_path / "climbed").exists()
    assert len(world.github.comments(number)) == 1


def test_the_number_of_another_pull_request_is_refused(world, number):
    other = world.open(docs, "another")
    run = told(world, number, archive(honest(other)))
    refused(world, number, run, "is not of mallory/fraud")
    assert world.github.comments(other) == []


@pytest.mark.parametrize("wrong", [0, -1, "1", None, 10**30, True, 4711])
def test_a_number_that_is_none_is_refused(world, number, wrong):
    document = json.dumps({"verdict": "pass", "pull_request": wrong})
    run = told(world, number, archive({REPORT: "x", DOCUMENT: document}))
    refused(world, number, run, "")


def test_an_archive_said_to_be_huge_is_not_downloaded(world, number):
    run = told(world, number, archive(honest(number)), size=200_000_000)
    refused(world, number, run, "200,000,000 bytes")
    assert not any(asked.endswith("/zip") for asked in world.github.asked)


def test_a_huge_archive_that_is_said_to_be_small_is_cut_off(world, number):
    run = told(world, number, b"\0" * 200_000_000, size=1000)
    refused(world, number, run, "more than 50,000,000 bytes")


def test_a_small_archive_of_200_megabytes_is_refused(world, number):
    run = told(world, number, archive(honest(number, "a" * 200_000_000)))
    refused(world, number, run, "200,000,000 bytes")


@pytest.mark.parametrize("content", [b"no zip", b"", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_report_is_refused(world, number, content):
    refused(world, number, told(world, number, content), "the artifact")


def test_a_run_without_an_artifact_is_refused(world, number):
    refused(world, number, world.report_fork(number, RUN), "no artifact")


def test_markdown_is_posted_as_text_and_nothing_of_it_is_run(world, number, tmp_path):
    mark = tmp_path / "ran"
    report = (
        f"$(touch {mark}) `touch {mark}`\n::set-output name=x::y\n<script>fetch('/')</script>\n"
        f"${{{{ github.token }}}}\n'; touch {mark}; '\n@everyone\n"
    )
    run = told(world, number, archive(honest(number, report)))
    assert run.conclusions == {"report-fork": "success"}, run.log
    assert not mark.exists()
    assert "fetch('/')" not in run.log  # the report is not printed: a log has commands too
    (comment,) = world.github.comments(number)
    assert comment.startswith(report.rstrip())


def test_a_newer_push_of_the_fork_is_respected(world, number):
    run_of = world.tip(world.ref(number))
    world.github.artifact(RUN, "review", archive(honest(number)))
    world.push(number, docs)
    run = world.report_fork(number, RUN, head=run_of)
    assert run.conclusions == {"report-fork": "success"}, run.log
    assert "Nothing to publish" in run.jobs["report-fork"].log
    assert world.github.comments(number) == []
