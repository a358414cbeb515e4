"""A rollback from its command to the branch on origin, with real reviews of the small problem.

Needs git, DVC, make and the small problem. The first test starts a review by make, the others review in this process.
tests/engine/workflows/test_release.py tests the part on GitHub.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from pipelines.release import tagging
from pipelines.repository import push_tags, tags
from pipelines.repository.git import branch, git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from pipelines.rollback import flow
from tests.engine.fixtures_repo import CommandResult, Repo
from tests.engine.in_process import must, review, verb
from tests.engine.workflows.acting import environment_like

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def main(repo: Repo, tmp_path: Path) -> Repo:
    """A clone on main with a bare origin; its first commit is in production."""
    repo.git("checkout", "--quiet", "main")
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "origin.git"))
    repo.git("remote", "set-url", "origin", str(tmp_path / "origin.git"))
    release(repo)
    return repo


def release(repo: Repo) -> str:
    """Create the tags of `release run` for main's newest commit, and return the version's tag."""
    with chdir(repo.path):
        name, commit = "fraud", repo.git("rev-parse", "HEAD")
        annotation = Annotation(
            release=release_id(commit), image=f"127.0.0.1:5000/fraud@{DIGEST}", model="m", signature="s"
        )
        version = tags.find_version(name, annotation.release)
        if version is None:
            number = tagging.choose_next_number(tags.list_versions(name), tags.list_numbers(name), annotation)
            version = push_tags.register_version(name, number, commit, annotation)
        assigned = annotation.model_copy(update={"version": version.tag, "main_commit": commit})
        push_tags.assign_version(name, tags.find_highest_counter(name) + 1, version, assigned)
        return version.tag


def merge(repo: Repo, limit: int) -> str:
    """Merge another setting of the service, release it, and return the commit."""
    repo.params(lambda document: document["serving"].update(max_batch_rows=limit))
    repo.commit(f"Take {limit} rows")
    repo.git("push", "--quiet", "origin", "main")
    release(repo)
    return repo.git("rev-parse", "HEAD")


def merge_by_merge_commit(repo: Repo, megabytes: int) -> str:
    """Do the same by a merge commit of a branch with two commits."""
    repo.git("checkout", "--quiet", "-b", "feature")
    repo.params(lambda document: document["serving"].update(max_body_mb=megabytes))
    repo.commit("A larger body")
    (repo.path / "NOTES.md").write_text("Bodies may be larger.\n")
    repo.commit("Document it")
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "feature")
    repo.git("branch", "--quiet", "-D", "feature")
    repo.git("push", "--quiet", "origin", "main")
    release(repo)
    return repo.git("rev-parse", "HEAD")


def rollback(repo: Repo, *arguments: str, tmp_path: Path, by_make: bool = False) -> CommandResult:
    """`python -m pipelines rollback`, whose `make review` runs in this process unless `by_make`."""
    venv = environment_like(tmp_path / "venv", tmp_path)
    (venv / ".mainline-stamp").write_bytes((repo.path / "requirements/dev.txt").read_bytes())

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        target, _, base = " ".join(command).partition(" BASE=")
        assert target == "make review"
        return subprocess.CompletedProcess(command, review(repo, base).code)

    here = SimpleNamespace(run=run, CalledProcessError=subprocess.CalledProcessError)
    with mock.patch.object(flow, "subprocess", subprocess if by_make else here):
        return verb(repo, "rollback", *arguments, VENV=str(venv), GITHUB_TOKEN="", TO="")


def pushed_branch(repo: Repo) -> str:
    """Return the only branch of a rollback on origin."""
    (line,) = repo.git("ls-remote", "origin", "refs/heads/rollback/*").splitlines()
    return line.partition("refs/heads/")[2]


def merge_conflicting_commits(repo: Repo) -> None:
    """Release a setting, then change its line in a commit that keeps the release id: that commit is not reverted."""
    merge(repo, 9_000)
    path = repo.path / "params.yaml"
    path.write_text(path.read_text().replace("max_batch_rows: 9000", "max_batch_rows: 9000 # a limit"))
    repo.commit("Explain the limit")
    repo.git("push", "--quiet", "origin", "main")


class Killed(BaseException):
    """An exception that no verb catches."""


def kill_at(step: str, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a rollback that is killed where this function of its flow begins."""

    def kill(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(flow, step, kill)
        rollback(repo, tmp_path=tmp_path)


def current_checkout(repo: Repo) -> tuple[str, str]:
    """Return the branch that is checked out, or `detached`, and its commit."""
    with chdir(repo.path):
        return branch(), repo.git("rev-parse", "HEAD")


def assert_undone(repo: Repo) -> None:
    """Assert that a rollback left no branch, here or on origin, and a clean work tree."""
    assert repo.git("status", "--porcelain", "--untracked-files=no") == ""
    assert repo.git("for-each-ref", "refs/heads/rollback") == ""
    assert repo.git("ls-remote", "origin", "refs/heads/rollback/*") == ""


def test_one_merge_is_rolled_back_and_rolled_forward_again(main: Repo, tmp_path: Path) -> None:
    old = must(verb(main, "release", "id")).last
    merge(main, 9_000)
    done = must(rollback(main, tmp_path=tmp_path, by_make=True))
    assert "Rolling back to fraud@v1.0.0" in done.out
    new_branch = pushed_branch(main)
    assert new_branch.startswith("rollback/fraud-v1.0.0-") and current_checkout(main)[0] == new_branch
    assert must(verb(main, "release", "id", "--rev", f"origin/{new_branch}")).last == old
    assert main.report["verdict"] == "pass" and main.report["release"] == old
    # Merged and released, it is that version again; another rollback restores the newer version.
    main.git("checkout", "--quiet", "main")
    main.git("merge", "--quiet", "--ff-only", new_branch)
    main.git("push", "--quiet", "origin", "main")
    assert release(main) == "fraud@v1.0.0"
    again = must(rollback(main, tmp_path=tmp_path))
    assert "Rolling back to fraud@v1.0.1" in again.out


def test_three_merges_are_reverted_and_documents_are_kept(main: Repo, tmp_path: Path) -> None:
    old = must(verb(main, "release", "id")).last
    merge(main, 9_000)
    (main.path / "GUIDE.md").write_text("How to.\n")
    main.commit("Document it")
    merge_by_merge_commit(main, 5)
    merge(main, 8_000)
    done = must(rollback(main, "--to", "fraud@v1.0.0", tmp_path=tmp_path))
    listed = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.startswith("  ") and "rows" in line]
    assert listed == ["Take 8000 rows", "Take 9000 rows"]
    new_branch = pushed_branch(main)
    assert must(verb(main, "release", "id", "--rev", f"origin/{new_branch}")).last == old
    assert main.git("show", f"origin/{new_branch}:GUIDE.md") == "How to."
    assert int(main.git("rev-list", "--count", f"main..origin/{new_branch}")) == 3


def test_a_run_after_a_killed_one_pushes_the_same_branch(
    main: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(main, 9_000)
    kill_at("_review", main, tmp_path, monkeypatch)
    with (main.path / "dvc.lock").open("a") as lock:
        lock.write("# half a review\n")
    must(rollback(main, tmp_path=tmp_path))
    first = main.git("ls-remote", "origin", pushed_branch(main))
    must(rollback(main, tmp_path=tmp_path))
    assert main.git("ls-remote", "origin", pushed_branch(main)) == first


@pytest.mark.parametrize("start", [("-b", "mine", "HEAD^"), ("--detach", "HEAD^")])
def test_a_conflict_lists_the_commits_and_restores_branch_and_work_tree(
    main: Repo, tmp_path: Path, start: tuple[str, ...]
) -> None:
    merge_conflicting_commits(main)
    main.git("checkout", "--quiet", *start)
    before = current_checkout(main)
    done = must(rollback(main, tmp_path=tmp_path), 1)
    assert "Take 9000 rows conflicts in params.yaml" in done.out and "<- here" in done.out
    assert_undone(main)
    assert current_checkout(main) == before


@pytest.mark.parametrize("has_main", [True, False])
def test_a_conflict_in_a_run_after_a_killed_one_ends_on_main(
    main: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_main: bool
) -> None:
    merge_conflicting_commits(main)
    tip = main.git("rev-parse", "main")
    kill_at("revert_commits", main, tmp_path, monkeypatch)
    assert current_checkout(main)[0].startswith("rollback/fraud-v1.0.0-")
    assert main.run("git", "revert", "--no-edit", "HEAD^").code == 1  # the half revert of a kill a moment later
    if not has_main:
        main.git("branch", "--quiet", "-D", "main")
    done = must(rollback(main, tmp_path=tmp_path), 1)
    assert "Take 9000 rows conflicts in params.yaml" in done.out and "<- here" in done.out
    assert_undone(main)
    assert current_checkout(main) == ("main" if has_main else "detached", tip)


def test_a_review_that_reproduces_another_release_id_is_refused_and_nothing_is_pushed(
    main: Repo, tmp_path: Path
) -> None:
    merge(main, 9_000)
    # Merged without a review, so main's dvc.lock still names the earlier model, and the change is in no release yet.
    main.params(lambda document: document["candidates"]["boosting"]["params"].update(max_iter=40))
    main.commit("Fewer trees")
    main.git("push", "--quiet", "origin", "main")
    before = current_checkout(main)
    done = must(rollback(main, tmp_path=tmp_path), 1)
    assert "the review reproduces release" in done.out and "of fraud@v1.0.0" in done.out
    assert_undone(main)
    assert current_checkout(main) == before


def remove(origin: Path, _: str) -> None:
    """Remove origin."""
    origin.rename(origin.with_name("gone.git"))


def push_unreadable_commit(origin: Path, new_branch: str) -> None:
    """Create the branch on origin with a commit that cannot be fetched, because its parent is lost."""
    lost = git("commit-tree", "main^{tree}", "-m", "lost", cwd=origin)
    tip = git("commit-tree", "main^{tree}", "-p", lost, "-m", "tip", cwd=origin)
    git("update-ref", f"refs/heads/{new_branch}", tip, cwd=origin)
    (origin / "objects" / lost[:2] / lost[2:]).unlink()


@pytest.mark.parametrize("damage", [remove, push_unreadable_commit])
def test_an_origin_that_fails_during_the_review_is_unreachable_and_the_next_run_pushes(
    main: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Callable[[Path, str], None]
) -> None:
    merge(main, 9_000)
    shutil.copytree(tmp_path / "origin.git", tmp_path / "whole.git")

    def damage_origin(_: str) -> bool:
        damage(tmp_path / "origin.git", current_checkout(main)[0])
        return True

    with monkeypatch.context() as patch:
        patch.setattr(flow, "_review", damage_origin)
        done = must(rollback(main, tmp_path=tmp_path), 3)
    assert "origin cannot be reached: " in done.out and "run this again" in done.last
    main.git("remote", "set-url", "origin", str(tmp_path / "whole.git"))
    must(rollback(main, tmp_path=tmp_path))
    assert pushed_branch(main) == current_checkout(main)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "fraud@v9.9.9"), "fraud@v9.9.9 was never in production"),
        ((), "fraud@v1.0.0 is the only version that was ever in production"),
    ],
)
def test_an_impossible_target_is_refused_and_nothing_is_created(
    main: Repo, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = current_checkout(main)
    done = must(rollback(main, *arguments, tmp_path=tmp_path), 2)
    assert message in done.out
    assert_undone(main)
    assert current_checkout(main) == before


def test_uncommitted_changes_are_not_lost(main: Repo, tmp_path: Path) -> None:
    merge(main, 9_000)
    (main.path / "README.md").write_text("mine\n")
    done = must(rollback(main, tmp_path=tmp_path), 2)
    assert "changes that are not committed: README.md" in done.out
    assert (main.path / "README.md").read_text() == "mine\n"
