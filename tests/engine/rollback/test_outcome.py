"""What a rollback pushes, publishes on GitHub and returns. The review is a Makefile of a few lines.

Needs git and make.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pipelines.cli.errors import Refused
from pipelines.github.client import GitHub
from pipelines.pull_request import publish
from pipelines.repository import origin, push_tags, tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.rollback import flow
from tests.engine.fixtures_repo import CommandResult
from tests.engine.in_process import verb
from tests.engine.release.release_world import World
from tests.engine.release.release_world import live as live
from tests.engine.release.release_world import world as world
from tests.engine.release.tag_repository import tag_repository as tag_repository

pytestmark = pytest.mark.repository
REVIEW = """review:
	@mkdir -p reports/review && echo report > reports/review/review.md
	@echo '{"verdict": "$(VERDICT)"}' > reports/review/review.json && [ $(VERDICT) = pass ]
"""


@dataclass
class FakeGitHub:
    """A repository with the pull request 7, where no workflow may open another."""

    checked: list[tuple[str, str, str]] = field(default_factory=list)
    pulls: list[dict[str, Any]] = field(default_factory=lambda: [{"number": 7, "title": "Old", "body": None}])
    repository: str = "acme/fraud"

    def open_pulls(self, branch: str) -> Any:
        return iter(self.pulls)

    def update_issue(self, number: int, **fields: str) -> None:
        self.pulls[0] |= fields

    def create_pull(self, *_: str) -> Any:
        raise Refused("403 GitHub Actions is not permitted to create or approve pull requests.", "")

    def checks(self, sha: str) -> Any:
        return iter([])

    def create_check(self, sha: str, name: str, conclusion: str, *_: str) -> None:
        self.checked.append((sha, name, conclusion))

    def dispatch(self, workflow: str, branch: str) -> None:
        pass


@pytest.fixture
def two_releases(live: World) -> World:
    """A world in which `m2` followed `m1` into production."""
    (live.clone / "Makefile").write_text(REVIEW)
    (live.clone / ".gitignore").write_text("/reports/review/\n")
    live.commit("Review without a pipeline")
    live.commit_model("m2")
    live.release()
    return live


def rollback(world: World, verdict: str = "pass", **environment: str) -> CommandResult:
    """`python -m pipelines rollback` with a review of that verdict."""
    return verb(world.clone, "rollback", VERDICT=verdict, TO="", **environment)


def list_pushed_commits(world: World) -> list[str]:
    """Commits of the rollback's branches on origin."""
    return [line.split()[0] for line in git("ls-remote", "origin", "refs/heads/rollback/*").splitlines()]


@pytest.mark.parametrize(("verdict", "code", "conclusion"), [("pass", 0, "success"), ("fail", 1, "failure")])
def test_exit_code_and_check_are_those_of_the_review(
    two_releases: World, monkeypatch: pytest.MonkeyPatch, verdict: str, code: int, conclusion: str
) -> None:
    github, posted = FakeGitHub(), []
    monkeypatch.setattr(GitHub, "from_environment", lambda: github)
    monkeypatch.setattr(publish, "post_comment", lambda *arguments: posted.append(arguments[1:4]))
    done = rollback(two_releases, verdict, GITHUB_TOKEN="secret")
    assert done.code == code, done.out
    (head,) = list_pushed_commits(two_releases)
    assert github.checked == [(head, "review", conclusion)]
    assert posted == [(7, head, "report\n")]
    assert release_id(head) == release_id("main^")


def test_where_workflows_may_not_open_pull_requests_the_link_that_opens_it_is_printed(
    two_releases: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    github = FakeGitHub(pulls=[])
    monkeypatch.setattr(GitHub, "from_environment", lambda: github)
    done = rollback(two_releases, GITHUB_TOKEN="secret")
    assert done.code == 1, done.out
    (head,) = list_pushed_commits(two_releases)
    assert github.checked == [(head, "review", "success")]  # valid for the pull request that a person opens
    name = git("symbolic-ref", "--short", "HEAD")
    assert "not permitted to create or approve pull requests" in done.out
    assert (
        f"https://github.com/acme/fraud/compare/main...{name}?expand=1&title=Roll%20back%20to%20fraud%40v1.0.0"
        in done.last
    )
    github.pulls.append({"number": 8, "title": "Mine", "body": ""})  # a person opened it
    monkeypatch.setattr(publish, "post_comment", lambda *_: "REST")
    assert rollback(two_releases, GITHUB_TOKEN="secret").code == 0


@pytest.mark.parametrize(("in_actions", "code"), [("true", 1), ("", 0)])
def test_a_revert_of_a_workflow_file_is_refused_in_a_workflow_before_the_review(
    two_releases: World, in_actions: str, code: int
) -> None:
    path = two_releases.clone / ".github/workflows/review.yml"
    path.parent.mkdir(parents=True)
    path.write_text("on: push\n")
    two_releases.commit_model("m3")
    two_releases.release()
    done = rollback(two_releases, GITHUB_ACTIONS=in_actions, GITHUB_TOKEN="")
    assert done.code == code, done.out
    assert ".github/workflows/review.yml" in done.out
    assert len(list_pushed_commits(two_releases)) == (0 if in_actions else 1)
    if in_actions:
        assert "make rollback TO=fraud@v1.1.0" in done.last
        assert not (two_releases.clone / "reports/review").exists()


def test_reverts_that_give_another_release_id_are_not_reviewed(
    two_releases: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow, "revert_commits", lambda commits: None)
    done = rollback(two_releases)
    assert done.code == 1, done.out
    assert not (two_releases.clone / "reports/review").exists()
    assert list_pushed_commits(two_releases) == []


def test_commits_of_others_on_the_branch_are_not_replaced(two_releases: World) -> None:
    assert rollback(two_releases).code == 0
    (head,) = list_pushed_commits(two_releases)
    other = git("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "Solve it by hand")
    (ref,) = git("ls-remote", "origin", "refs/heads/rollback/*").split()[1:]
    git("push", "--quiet", "origin", f"{other}:{ref}")
    git("checkout", "--quiet", "main")
    done = rollback(two_releases)
    assert done.code == 1 and "Solve it by hand" in done.out
    assert list_pushed_commits(two_releases) == [other]


def test_a_branch_that_somebody_else_pushed_is_not_overwritten(
    two_releases: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_commit, read_ref = git("rev-parse", "main^"), origin.read_ref

    def push_after_reading(ref: str) -> str | None:
        known = read_ref(ref)
        git("push", "--quiet", "origin", f"{other_commit}:{ref}")
        return known

    monkeypatch.setattr(origin, "read_ref", push_after_reading)
    done = rollback(two_releases)
    assert done.code == 3, done.out
    assert list_pushed_commits(two_releases) == [other_commit]


def test_release_of_an_aborted_canary_is_reverted(two_releases: World) -> None:
    two_releases.commit_model("m3", rollout={"steps": [5]})
    two_releases.release()
    running = tags.find_canary("fraud")
    assert running
    push_tags.assign_again(running, tags.CANARY_END, why="errors")
    done = verb(two_releases.clone, "rollback", "--to", "fraud@v1.1.0", VERDICT="pass")
    assert done.code == 0, done.out
    (head,) = list_pushed_commits(two_releases)
    newest = tags.find_newest_assignment("fraud")
    assert newest and release_id(head) == newest.release_id != running.release_id
