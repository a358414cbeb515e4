"""What a rollback pushes, publishes on GitHub and returns, and how it ends when it is killed or refused.

Needs git and DVC. The review writes what one would write.
"""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import Refused
from pipelines.github.client import GitHub
from pipelines.pull_request import publish
from pipelines.repository import origin, push_tags, tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.repository.worktree import temporary_worktree
from pipelines.rollback import flow
from tests.engine.fixtures_repo import CommandResult
from tests.engine.in_process import verb
from tests.engine.release.release_world import World
from tests.engine.release.release_world import world as world
from tests.engine.release.tag_repository import tag_repository as tag_repository

pytestmark = pytest.mark.repository


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


def make_two_releases(world: World) -> None:
    """Put `m2` into production after `m1`."""
    (world.clone / ".gitignore").write_text("/reports/review/\n/.mainline/\n/.dvc/\n")
    for model in ("m1", "m2"):
        world.commit_model(model)
        world.release()


@pytest.fixture
def two_releases(world: World) -> World:
    """A world in which `m2` followed `m1` into production."""
    return world.resume("two-releases", lambda: make_two_releases(world))


def rollback(world: World, verdict: str = "pass", *arguments: str, **environment: str) -> CommandResult:
    """`python -m pipelines rollback` with a review of that verdict."""

    def review(name: str, *options: str, cwd: Path) -> Any:
        assert (name, *options) == ("review", "--base", git("rev-parse", "main"))
        folder = cwd / "reports/review"
        folder.mkdir(parents=True)
        (folder / "review.md").write_text("report\n")
        (folder / "review.json").write_text(json.dumps({"verdict": verdict}))
        return subprocess.CompletedProcess([name], int(verdict != "pass"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "run_verb", review)
        return verb(world.clone, "rollback", *arguments, TO="", **environment)


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
    name = f"rollback/fraud-v1.0.0-{git('rev-parse', 'main')[:8]}"
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
    monkeypatch.setattr(flow, "revert_commits", lambda *_: None)
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
    done = rollback(two_releases, "pass", "--to", "fraud@v1.1.0")
    assert done.code == 0, done.out
    (head,) = list_pushed_commits(two_releases)
    newest = tags.find_newest_assignment("fraud")
    assert newest and release_id(head) == newest.release_id != running.release_id


def test_a_conflict_lists_the_commits_and_nothing_is_created(two_releases: World) -> None:
    params = two_releases.clone / "params.yaml"
    params.write_text(re.sub(r"max_batch_rows: \d+", "max_batch_rows: 9000", params.read_text()))
    two_releases.commit("Take 9000 rows")
    params.write_text(params.read_text().replace("max_batch_rows: 9000", "max_batch_rows: 9000 # a limit"))
    two_releases.commit("Explain the limit")  # it keeps the release id, so it is not reverted
    before = git("rev-parse", "HEAD"), git("status", "--porcelain")
    done = rollback(two_releases, "pass", "--to", "fraud@v1.0.0")
    assert done.code == 1 and "conflicts in params.yaml" in done.out and "<- here" in done.out, done.out
    assert (git("rev-parse", "HEAD"), git("status", "--porcelain")) == before
    assert list_pushed_commits(two_releases) == []


@pytest.mark.parametrize("step", ["revert_commits", "review_worktree", "publish"])
def test_a_run_after_a_killed_one_pushes_one_branch(
    two_releases: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(flow, step, kill)
        patch.setattr("pipelines.repository.worktree._remove_worktree", lambda _: None)  # nor does a killed run
        assert rollback(two_releases).code != 0
    assert rollback(two_releases).code == 0
    first = list_pushed_commits(two_releases)
    assert rollback(two_releases).code == 0
    assert list_pushed_commits(two_releases) == first and len(first) == 1


def remove(origin_folder: Path, _: str) -> None:
    """Remove origin."""
    origin_folder.rename(origin_folder.with_name("gone.git"))


def push_unreadable_commit(origin_folder: Path, branch: str) -> None:
    """Create the branch on origin with a commit that cannot be fetched, because its parent is lost."""
    lost = git("commit-tree", "main^{tree}", "-m", "lost", cwd=origin_folder)
    tip = git("commit-tree", "main^{tree}", "-p", lost, "-m", "tip", cwd=origin_folder)
    git("update-ref", f"refs/heads/{branch}", tip, cwd=origin_folder)
    (origin_folder / "objects" / lost[:2] / lost[2:]).unlink()


@pytest.mark.parametrize("damage", [remove, push_unreadable_commit])
def test_an_origin_that_fails_during_the_review_is_unreachable_and_the_next_run_pushes(
    two_releases: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path, str], None]
) -> None:
    folder = Path(git("remote", "get-url", "origin"))
    shutil.copytree(folder, tmp_path / "whole.git")

    def damage_origin(*_: object) -> bool:
        damage(folder, f"rollback/fraud-v1.0.0-{git('rev-parse', 'main')[:8]}")
        return True

    with monkeypatch.context() as patch:
        patch.setattr(flow, "review_worktree", damage_origin)
        done = rollback(two_releases)
    assert done.code == 3 and "origin cannot be reached: " in done.out and "run this again" in done.last, done.out
    git("remote", "set-url", "origin", str(tmp_path / "whole.git"))
    assert rollback(two_releases).code == 0
    assert len(list_pushed_commits(two_releases)) == 1


def test_without_an_origin_a_branch_that_is_checked_out_stays_as_it_is(two_releases: World) -> None:
    name = f"rollback/fraud-v1.0.0-{git('rev-parse', 'main')[:8]}"
    git("remote", "remove", "origin")
    assert rollback(two_releases).code == 0
    git("checkout", "--quiet", name)
    head = git("rev-parse", "HEAD")
    done = rollback(two_releases)
    assert done.code == 1 and f"branch '{name}' checked out" in done.out and git("rev-parse", "HEAD") == head, done.out


def test_a_revert_of_other_packages_says_in_which_environment_it_is_reviewed(two_releases: World) -> None:
    told = "requirements/dev.txt of the branch is not that of this checkout"
    assert told not in rollback(two_releases).out
    lock = two_releases.clone / "requirements/dev.txt"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("scikit-learn==9.9\n")
    two_releases.commit_model("m3")
    two_releases.release()
    done = rollback(two_releases)
    assert done.code == 0 and told in done.out, done.out


def test_the_report_replaces_that_of_an_earlier_review(two_releases: World) -> None:
    folder = two_releases.clone / "reports/review"
    folder.mkdir(parents=True)
    (folder / ".inputs").write_text("of the earlier review, which would take this report for its own")
    assert rollback(two_releases).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["review.json", "review.md"]


def test_a_second_rollback_waits_until_the_first_has_left_its_worktree(two_releases: World) -> None:
    entered: list[Path] = []

    def enter() -> None:
        with temporary_worktree("main", "rollback") as tree:
            entered.append(tree)

    second = threading.Thread(target=enter)
    with temporary_worktree("main", "rollback") as tree:
        second.start()
        second.join(1)
        assert not entered and (tree / ".git").is_file()
    second.join()
    assert entered == [tree] and not tree.exists()


def test_the_model_is_that_of_main_whatever_the_work_tree_holds(two_releases: World) -> None:
    params = two_releases.clone / "params.yaml"
    for text in ("model_name: [half edited", params.read_text().replace("model_name: fraud", "model_name: churn")):
        params.write_text(text)
        done = rollback(two_releases)
        assert done.code == 0 and params.read_text() == text, done.out
