"""A rollback from its command to the branch on origin, with real reviews of the small problem, in this process.

Needs git, DVC and the small problem. tests/engine/workflows/test_release.py tests the part on GitHub, and
test_outcome.py kills, conflicts and what is published.
"""

from contextlib import chdir
from pathlib import Path

import pytest

from pipelines.release import tagging
from pipelines.repository import push_tags, tags
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from tests.engine.fixtures_repo import CommandResult, Repo
from tests.engine.in_process import must, stages_in_process, verb

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


def rollback(repo: Repo, *arguments: str) -> CommandResult:
    """`python -m pipelines rollback`, whose review runs in this process."""
    with stages_in_process("pull_request.publish", "review.flow", "repository.base_model"):
        return verb(repo, "rollback", *arguments, GITHUB_TOKEN="", TO="")


def pushed_branch(repo: Repo) -> str:
    """Return the only branch of a rollback on origin."""
    (line,) = repo.git("ls-remote", "origin", "refs/heads/rollback/*").splitlines()
    repo.git("fetch", "--quiet", "origin")
    return line.partition("refs/heads/")[2]


def test_three_merges_are_rolled_back_and_rolled_forward_again(main: Repo) -> None:
    old = must(verb(main, "release", "id")).last
    merge(main, 9_000)
    (main.path / "GUIDE.md").write_text("How to.\n")
    main.commit("Document it")
    merge_by_merge_commit(main, 5)
    tip = merge(main, 8_000)
    (main.path / "README.md").write_text("mine\n")
    done = must(rollback(main, "--to", "fraud@v1.0.0"))
    assert "Rolling back to fraud@v1.0.0" in done.out
    listed = [line.split(maxsplit=1)[1] for line in done.out.splitlines() if "Take" in line]
    assert listed == ["Take 8000 rows", "Take 9000 rows"]
    branch = pushed_branch(main)
    assert branch == f"rollback/fraud-v1.0.0-{tip[:8]}"
    assert must(verb(main, "release", "id", "--rev", f"origin/{branch}")).last == old
    assert main.git("show", f"origin/{branch}:GUIDE.md") == "How to."
    assert int(main.git("rev-list", "--count", f"main..origin/{branch}")) == 3
    assert main.report["verdict"] == "pass" and main.report["release"] == old
    # Branch and files of the user are as before.
    assert (main.git("symbolic-ref", "--short", "HEAD"), main.git("rev-parse", "HEAD")) == ("main", tip)
    assert (main.path / "README.md").read_text() == "mine\n"
    # Merged and released, it is that version again; another rollback restores the newest version.
    main.git("checkout", "--quiet", "README.md")
    main.git("merge", "--quiet", "--ff-only", f"origin/{branch}")
    main.git("push", "--quiet", "origin", "main")
    assert release(main) == "fraud@v1.0.0"
    assert "Rolling back to fraud@v1.0.3" in must(rollback(main)).out


def test_a_review_that_reproduces_another_release_id_is_refused_and_nothing_is_pushed(main: Repo) -> None:
    merge(main, 9_000)
    # Merged without a review, so main's dvc.lock still names the earlier model, and the change is in no release yet.
    main.params(lambda document: document["candidates"]["boosting"]["params"].update(max_iter=40))
    main.commit("Fewer trees")
    main.git("push", "--quiet", "origin", "main")
    done = must(rollback(main), 1)
    assert "the review reproduces release" in done.out and "of fraud@v1.0.0" in done.out
    assert main.git("ls-remote", "origin", "refs/heads/rollback/*") == ""
