"""A rollback from its command to the branch on origin, with real reviews of the small problem.

Needs git, DVC, make and the small problem; GitHub has its part in tests/engine/workflows/test_release.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from pipelines.release import tagging
from pipelines.repository import tags
from pipelines.repository.git import branch, git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from pipelines.rollback import flow
from tests.engine.fixtures_repo import CommandResult, Repo
from tests.engine.in_process import must, verb
from tests.engine.workflows.acting import environment_like

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def main(repo: Repo, tmp_path: Path) -> Repo:
    """A clone on main with a bare origin; its first commit is in production."""
    repo.git("checkout", "--quiet", "main")
    repo.git("clone", "--quiet", "--bare", str(repo.path), str(tmp_path / "origin.git"))
    repo.git("remote", "set-url", "origin", str(tmp_path / "origin.git"))
    released(repo)
    return repo


def released(repo: Repo) -> str:
    """What `release run` leaves in git for main's newest commit; the version's tag."""
    with chdir(repo.path):
        name, commit = "fraud", repo.git("rev-parse", "HEAD")
        release = release_id(commit)
        annotation = Annotation(release=release, image=f"127.0.0.1:5000/fraud@{DIGEST}", model="m", signature="s")
        version = tags.find_version(name, release)
        if version is None:
            number = tagging.choose_next_number(tags.list_versions(name), tags.list_numbers(name), annotation)
            version = tagging.register_version(name, number, commit, annotation)
        assigned = annotation.model_copy(update={"version": version.tag, "main_commit": commit})
        tagging.assign_version(name, tags.find_highest_counter(name) + 1, version, assigned)
        return version.tag


def merge(repo: Repo, limit: int) -> str:
    """Merge another setting of the service, and release it; the commit."""
    repo.params(lambda document: document["serving"].update(max_batch_rows=limit))
    repo.commit(f"Take {limit} rows")
    repo.git("push", "--quiet", "origin", "main")
    released(repo)
    return repo.git("rev-parse", "HEAD")


def merge_by_merge_commit(repo: Repo, megabytes: int) -> str:
    """The same by a merge commit of a branch with two commits."""
    repo.git("checkout", "--quiet", "-b", "feature")
    repo.params(lambda document: document["serving"].update(max_body_mb=megabytes))
    repo.commit("A larger body")
    (repo.path / "NOTES.md").write_text("Bodies may be larger.\n")
    repo.commit("Say so")
    repo.git("checkout", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "--no-edit", "feature")
    repo.git("branch", "--quiet", "-D", "feature")
    repo.git("push", "--quiet", "origin", "main")
    released(repo)
    return repo.git("rev-parse", "HEAD")


def rollback(repo: Repo, *arguments: str, tmp_path: Path) -> CommandResult:
    """`python -m pipelines rollback`."""
    venv = environment_like(tmp_path / "venv", tmp_path)
    (venv / ".mainline-stamp").write_bytes((repo.path / "requirements/dev.txt").read_bytes())
    return verb(repo, "rollback", *arguments, VENV=str(venv), GITHUB_TOKEN="", TO="")


def pushed(repo: Repo) -> str:
    """The one branch of a rollback on origin."""
    (line,) = repo.git("ls-remote", "origin", "refs/heads/rollback/*").splitlines()
    return line.partition("refs/heads/")[2]


def merge_what_conflicts(repo: Repo) -> None:
    """Release a setting, then change its line in a commit that keeps the release id: that commit is not reverted."""
    merge(repo, 9_000)
    path = repo.path / "params.yaml"
    path.write_text(path.read_text().replace("max_batch_rows: 9000", "max_batch_rows: 9000 # a limit"))
    repo.commit("Explain the limit")
    repo.git("push", "--quiet", "origin", "main")


class Killed(BaseException):
    """What no verb catches."""


def kill_at(step: str, repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback that is killed where this function of its flow begins."""

    def kill(_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(flow, step, kill)
        rollback(repo, tmp_path=tmp_path)


def where(repo: Repo) -> tuple[str, str]:
    """The branch that is checked out, or `detached`, and its commit."""
    with chdir(repo.path):
        return branch(), repo.git("rev-parse", "HEAD")


def is_undone(repo: Repo) -> None:
    """Assert that a rollback left no branch, here or on origin, and a clean work tree."""
    assert repo.git("status", "--porcelain", "--untracked-files=no") == ""
    assert repo.git("for-each-ref", "refs/heads/rollback") == ""
    assert repo.git("ls-remote", "origin", "refs/heads/rollback/*") == ""


def test_over_one_merge_it_makes_a_branch_with_the_old_release_and_a_review_that_judges_a_restore(
    main: Repo, tmp_path: Path
) -> None:
    old = main.verb("release", "id").last
    merge(main, 9_000)
    done = must(rollback(main, tmp_path=tmp_path))
    assert "Rolling back to fraud@v1.0.0" in done.out
    made = pushed(main)
    assert made.startswith("rollback/fraud-v1.0.0-") and where(main)[0] == made
    assert main.verb("release", "id", "--rev", f"origin/{made}").last == old
    assert main.report["verdict"] == "pass" and main.report["release"] == old
    # Merged and released, it is that version again; rolled back once more, the newer one comes back.
    main.git("checkout", "--quiet", "main")
    main.git("merge", "--quiet", "--ff-only", made)
    main.git("push", "--quiet", "origin", "main")
    assert released(main) == "fraud@v1.0.0"
    again = must(rollback(main, tmp_path=tmp_path))
    assert "Rolling back to fraud@v1.0.1" in again.out


def test_over_three_merges_documents_stay_and_merge_commits_are_reverted(main: Repo, tmp_path: Path) -> None:
    old = main.verb("release", "id").last
    merge(main, 9_000)
    (main.path / "GUIDE.md").write_text("How to.\n")
    main.commit("Document it")
    merge_by_merge_commit(main, 5)
    merge(main, 8_000)
    done = must(rollback(main, "--to", "fraud@v1.0.0", tmp_path=tmp_path))
    listed = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.startswith("  ") and "rows" in line]
    assert listed == ["Take 8000 rows", "Take 9000 rows"]
    made = pushed(main)
    assert main.verb("release", "id", "--rev", f"origin/{made}").last == old
    assert main.git("show", f"origin/{made}:GUIDE.md") == "How to."
    assert int(main.git("rev-list", "--count", f"main..origin/{made}")) == 3


def test_killed_after_its_reverts_and_run_again_it_ends_with_the_same_branch(
    main: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge(main, 9_000)
    kill_at("_review", main, tmp_path, monkeypatch)
    with (main.path / "dvc.lock").open("a") as lock:
        lock.write("# half a review\n")
    must(rollback(main, tmp_path=tmp_path))
    first = main.git("ls-remote", "origin", pushed(main))
    must(rollback(main, tmp_path=tmp_path))
    assert main.git("ls-remote", "origin", pushed(main)) == first


@pytest.mark.parametrize("begin", [("-b", "mine", "HEAD^"), ("--detach", "HEAD^")])
def test_a_conflict_lists_the_commits_and_leaves_branch_and_work_tree_as_they_were(
    main: Repo, tmp_path: Path, begin: tuple[str, ...]
) -> None:
    merge_what_conflicts(main)
    main.git("checkout", "--quiet", *begin)
    before = where(main)
    done = must(rollback(main, tmp_path=tmp_path), 1)
    assert "Take 9000 rows conflicts in params.yaml" in done.out and "<- here" in done.out
    is_undone(main)
    assert where(main) == before


@pytest.mark.parametrize("has_main", [True, False])
def test_a_conflict_in_a_run_after_a_killed_one_lists_the_commits_and_ends_on_main(
    main: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_main: bool
) -> None:
    merge_what_conflicts(main)
    tip = main.git("rev-parse", "main")
    kill_at("revert_commits", main, tmp_path, monkeypatch)
    assert where(main)[0].startswith("rollback/fraud-v1.0.0-")
    assert main.run("git", "revert", "--no-edit", "HEAD^").code == 1  # the half revert of a kill a moment later
    if not has_main:
        main.git("branch", "--quiet", "-D", "main")
    done = must(rollback(main, tmp_path=tmp_path), 1)
    assert "Take 9000 rows conflicts in params.yaml" in done.out and "<- here" in done.out
    is_undone(main)
    assert where(main) == ("main" if has_main else "detached", tip)


def test_a_review_that_reproduces_another_release_ends_as_a_refusal_and_nothing_is_pushed(
    main: Repo, tmp_path: Path
) -> None:
    merge(main, 9_000)
    # Merged without a review, so that main's lock still names the model before: it is no part of any release yet.
    main.params(lambda document: document["candidates"]["boosting"]["params"].update(max_iter=40))
    main.commit("Fewer trees")
    main.git("push", "--quiet", "origin", "main")
    before = where(main)
    done = must(rollback(main, tmp_path=tmp_path), 1)
    assert "the review reproduces release" in done.out and "of fraud@v1.0.0" in done.out
    is_undone(main)
    assert where(main) == before


def remove(origin: Path, _: str) -> None:
    """An origin that is gone."""
    origin.rename(origin.with_name("gone.git"))


def push_what_cannot_be_read(origin: Path, made: str) -> None:
    """An origin that names the branch's commit, and cannot hand it out: its parent is lost."""
    lost = git("commit-tree", "main^{tree}", "-m", "lost", cwd=origin)
    tip = git("commit-tree", "main^{tree}", "-p", lost, "-m", "tip", cwd=origin)
    git("update-ref", f"refs/heads/{made}", tip, cwd=origin)
    (origin / "objects" / lost[:2] / lost[2:]).unlink()


@pytest.mark.parametrize("harm", [remove, push_what_cannot_be_read])
def test_an_origin_that_fails_during_the_review_is_unreachable_and_run_again_it_is_pushed(
    main: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: Callable[[Path, str], None]
) -> None:
    merge(main, 9_000)
    shutil.copytree(tmp_path / "origin.git", tmp_path / "whole.git")

    def review_meanwhile(_: str) -> bool:
        harm(tmp_path / "origin.git", where(main)[0])
        return True

    with monkeypatch.context() as patch:
        patch.setattr(flow, "_review", review_meanwhile)
        done = must(rollback(main, tmp_path=tmp_path), 3)
    assert "origin cannot be reached: " in done.out and "run this again" in done.last
    main.git("remote", "set-url", "origin", str(tmp_path / "whole.git"))
    must(rollback(main, tmp_path=tmp_path))
    assert pushed(main) == where(main)[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--to", "fraud@v9.9.9"), "fraud@v9.9.9 was never in production"),
        ((), "fraud@v1.0.0 is the only version that was ever in production"),
    ],
)
def test_an_impossible_target_is_an_error_and_nothing_is_created(
    main: Repo, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = where(main)
    done = must(rollback(main, *arguments, tmp_path=tmp_path), 2)
    assert message in done.out
    is_undone(main)
    assert where(main) == before


def test_changes_that_are_not_committed_are_not_lost(main: Repo, tmp_path: Path) -> None:
    merge(main, 9_000)
    (main.path / "README.md").write_text("mine\n")
    done = must(rollback(main, tmp_path=tmp_path), 2)
    assert "changes that are not committed: README.md" in done.out
    assert (main.path / "README.md").read_text() == "mine\n"
