"""The bot commit against a real bare repository. Needs git."""

import subprocess
from pathlib import Path

import pytest

from pipelines.cli.errors import Refused, Unreachable
from pipelines.publish.bot_commit import Superseded, push_bot_commit
from pipelines.repository import origin
from pipelines.repository.git import git
from tests.engine.publish.conftest import BRANCH, tip, write

FILES = {"dvc.lock": b"new\n", "reports/metrics.json": b"{}\n"}


def test_the_commit_changes_only_generated_files(clone: Path) -> None:
    sha = tip()
    commit = push_bot_commit(BRANCH, sha, FILES)
    assert tip() == commit
    assert git("rev-parse", f"{commit}^") == sha
    changed = git("diff", "--no-renames", "--name-status", sha, commit).splitlines()
    assert changed == ["M\tdvc.lock", "D\treports/gone.json", "A\treports/metrics.json"]
    assert git("show", "--no-patch", "--format=%an", commit) == "github-actions[bot]"
    assert "[skip ci]" not in git("show", "--no-patch", "--format=%B", commit)
    assert not list(clone.glob("evil*"))


def test_work_tree_and_index_are_not_changed(clone: Path) -> None:
    push_bot_commit(BRANCH, tip(), FILES)
    assert git("status", "--porcelain") == ""
    assert Path("dvc.lock").read_text() == "old\n"


def test_a_repeated_run_returns_the_same_commit(clone: Path) -> None:
    sha = tip()
    assert push_bot_commit(BRANCH, sha, FILES) == push_bot_commit(BRANCH, sha, FILES) == tip()


def test_the_bot_does_not_commit_on_top_of_its_own_commit(clone: Path) -> None:
    """Else a model that is not reproducible would be committed again and again, by runs that its commits start."""
    commit = push_bot_commit(BRANCH, tip(), FILES)
    assert push_bot_commit(BRANCH, commit, FILES) == commit
    with pytest.raises(Refused, match="not reproducible"):
        push_bot_commit(BRANCH, commit, FILES | {"dvc.lock": b"other\n"})
    assert tip() == commit


def test_unchanged_files_make_no_commit(clone: Path) -> None:
    sha = tip()
    same = {"dvc.lock": b"old\n", "reports/gone.json": b"{}\n"}
    assert push_bot_commit(BRANCH, sha, same) == sha == tip()


def test_a_newer_push_is_not_overwritten(clone: Path) -> None:
    sha = tip()
    git("checkout", "--quiet", BRANCH)
    newer = write({"params.yaml": "a: 3\n"})
    git("push", "--quiet", "origin", BRANCH)
    with pytest.raises(Superseded, match="moved"):
        push_bot_commit(BRANCH, sha, FILES)
    assert tip() == newer


def test_a_commit_with_the_same_files_and_another_parent_is_not_taken_for_the_bot_commit(clone: Path) -> None:
    sha = tip()
    commit = push_bot_commit(BRANCH, sha, FILES)
    other = git("commit-tree", f"{commit}^{{tree}}", "-p", "main", "-m", "rebased")
    git("push", "--quiet", "--force", "origin", f"{other}:refs/heads/{BRANCH}")
    with pytest.raises(Superseded, match="moved"):
        push_bot_commit(BRANCH, sha, FILES)
    assert tip() == other


def test_a_push_that_succeeded_although_git_failed_is_recognized(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha, run_git = tip(), origin.run_git

    def run_git_and_fail(*arguments: str) -> str:
        output = run_git(*arguments)
        if arguments[0] == "push":
            raise subprocess.CalledProcessError(128, "git")
        return output

    monkeypatch.setattr(origin, "run_git", run_git_and_fail)
    assert push_bot_commit(BRANCH, sha, FILES) == tip() != sha


def test_a_push_after_the_branch_was_read_is_not_overwritten(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sha = tip()
    git("checkout", "--quiet", BRANCH)
    newer = write({"params.yaml": "a: 3\n"})
    read_ref = origin.read_ref

    def read_ref_before_another_push(ref: str) -> str | None:
        sha_before = read_ref(ref)
        git("push", "--quiet", "origin", BRANCH)
        return sha_before

    monkeypatch.setattr(origin, "read_ref", read_ref_before_another_push)
    with pytest.raises(Superseded, match="moved"):
        push_bot_commit(BRANCH, sha, FILES)
    assert tip() == newer


def test_a_deleted_branch_is_not_created_again(clone: Path) -> None:
    sha = tip()
    git("push", "--quiet", "origin", "--delete", BRANCH)
    # GitHub keeps the commits of a pull request under this ref.
    git("push", "--quiet", "origin", f"{sha}:refs/pull/1/head")
    subprocess.run(
        ["git", "-C", git("remote", "get-url", "origin"), "config", "uploadpack.allowAnySHA1InWant", "true"], check=True
    )
    with pytest.raises(Superseded, match="deleted"):
        push_bot_commit(BRANCH, sha, FILES)
    assert git("ls-remote", "origin", f"refs/heads/{BRANCH}") == ""


def test_a_missing_origin_is_unreachable(clone: Path) -> None:
    sha = tip()
    origin_path = Path(git("remote", "get-url", "origin"))
    origin_path.rename(origin_path.with_name("gone.git"))
    with pytest.raises(Unreachable, match="origin cannot be reached"):
        push_bot_commit(BRANCH, sha, FILES)


def test_the_token_is_in_no_argument_and_no_file(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "ghs_" + "x" * 36
    monkeypatch.setenv("GITHUB_TOKEN", token)
    seen: list[list[str]] = []
    real = subprocess.run

    def watch(arguments: list[str], **options: object) -> object:
        seen.append(arguments)
        return real(arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", watch)
    push_bot_commit(BRANCH, tip(), FILES)
    assert seen
    assert not any(token in word for words in seen for word in words)
    assert token not in (clone / ".git/config").read_text()
