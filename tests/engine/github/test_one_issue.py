"""The one open issue of a label, on a GitHub in memory."""

from typing import Any, cast

import pytest

from pipelines.github.client import GitHub
from pipelines.github.one_issue import OneIssue

ISSUE = OneIssue("drift", "The data drifts", "<!-- mainline-drift -->")
CLOSED = "No drift any more."


class IssueGitHub:
    """A GitHub in memory that has only issues; `issues` lists the open ones, as GitHub does."""

    def __init__(self) -> None:
        self.all: dict[int, dict[str, Any]] = {}
        self.updates = 0

    def issues(self, label: str) -> list[dict[str, Any]]:
        newest_first = sorted(self.all.values(), key=lambda issue: -issue["number"])
        return [issue for issue in newest_first if issue["state"] == "open" and label in issue["labels"]]

    def create_issue(self, title: str, body: str | None, labels: list[str]) -> dict[str, Any]:
        number = len(self.all) + 1
        self.all[number] = {"number": number, "title": title, "body": body, "labels": labels, "state": "open"}
        return self.all[number]

    def update_issue(self, number: int, **fields: Any) -> None:
        self.updates += 1
        self.all[number] |= fields


@pytest.fixture
def github() -> IssueGitHub:
    return IssueGitHub()


def update(github: IssueGitHub, body: str | None) -> str:
    return ISSUE.update(cast(GitHub, github), body, CLOSED)


def test_the_issue_is_opened_updated_closed_and_opened_anew(github: IssueGitHub) -> None:
    assert update(github, "age drifts") == "opened issue 1"
    assert (github.all[1]["title"], github.all[1]["labels"]) == (ISSUE.title, [ISSUE.label])
    assert update(github, "age and amount drift") == "updated issue 1"
    assert github.all[1]["body"].startswith("age and amount drift") and ISSUE.mark in github.all[1]["body"]
    assert update(github, None) == "closed issue 1"
    assert (github.all[1]["state"], github.all[1]["state_reason"]) == ("closed", "completed")
    assert github.all[1]["body"].startswith(CLOSED)
    assert update(github, None) == "no issue is open"
    assert update(github, "age drifts") == "opened issue 2"


def test_an_issue_with_the_same_text_is_not_updated(github: IssueGitHub) -> None:
    update(github, "age\n\ndrifts")
    github.all[1]["body"] = github.all[1]["body"].replace("\n", "\r\n")  # as GitHub returns it
    assert update(github, "age\n\ndrifts") == "issue 1 is up to date"
    assert github.updates == 0


def test_other_issues_with_the_label_are_not_changed(github: IssueGitHub) -> None:
    github.create_issue("Drift in the report", None, [ISSUE.label])
    github.create_issue("Other label", ISSUE.mark, ["other"])
    assert update(github, None) == "no issue is open"
    assert update(github, "age drifts") == "opened issue 3"
    assert update(github, None) == "closed issue 3"
    assert [issue["state"] for issue in github.all.values()] == ["open", "open", "closed"]


def test_of_two_open_issues_the_older_is_updated_and_both_are_closed(github: IssueGitHub) -> None:
    for _ in range(2):
        github.create_issue(ISSUE.title, ISSUE.mark, [ISSUE.label])
    assert update(github, "age drifts") == "updated issue 1"
    assert update(github, None) == "closed issue 1, 2"
