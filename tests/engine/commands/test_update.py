"""`python -m pipelines update`: main is merged, and generated files are reproduced instead of merged.

Needs the small problem (git, DVC, all stages).
"""

from collections.abc import Callable

import pytest
import yaml

from tests.engine.fixtures_repo import CommandResult, Repo
from tests.engine.in_process import must, stages_in_process, verb


def on_main(repo: Repo, change: Callable[[Repo], None]) -> str:
    """Commit a change to main, switch back to the branch, and return the commit."""
    repo.git("checkout", "--quiet", "main")
    change(repo)
    repo.commit("on main")
    repo.git("checkout", "--quiet", "-")
    return repo.git("rev-parse", "main")


def update(repo: Repo, *arguments: str) -> CommandResult:
    """`python -m pipelines update`, with the stages in this process."""
    with stages_in_process("commands.update"):
        return verb(repo, "update", *arguments)


def append(repo: Repo, path: str, line: str) -> None:
    with (repo.path / path).open("a") as file:
        file.write(f"{line}\n")


def assert_unchanged(repo: Repo, head: str) -> None:
    """Assert that the branch is at `head` and no merge is in progress."""
    assert repo.git("rev-parse", "HEAD") == head
    assert repo.git("status", "--porcelain", "--untracked-files=no") == ""
    assert not (repo.path / ".git/MERGE_HEAD").exists()


def test_changes_of_two_branches_to_different_candidates_are_both_in_dvc_lock(repo: Repo) -> None:
    def change(candidate: str, **params: float) -> None:
        repo.params(lambda document: document["candidates"][candidate]["params"].update(params))
        append(repo, "dvc.lock", f"# by {candidate}")

    main = on_main(repo, lambda _: change("logistic", C=0.3))
    change("boosting", max_iter=50)
    repo.commit("on the branch")
    mine = repo.git("rev-parse", "HEAD")
    assert "dvc.lock" in repo.run("git", "merge-tree", "--name-only", mine, main).out  # git cannot merge it

    done = must(update(repo, "--base", "main"))
    assert done.last == "change is up to date with main; push it."
    assert repo.git("log", "-1", "--format=%P").split() == [mine, main]
    assert repo.git("log", "-1", "--format=%s") == "Merge main and reproduce the pipeline"
    stages = yaml.safe_load(repo.git("show", "HEAD:dvc.lock"))["stages"]
    trained = {name: stages[f"train@{name}"]["params"]["params.yaml"] for name in ("boosting", "logistic")}
    assert trained["boosting"]["candidates.boosting"]["params"]["max_iter"] == 50
    assert trained["logistic"]["candidates.logistic"]["params"]["C"] == 0.3
    assert repo.git("status", "--porcelain") == ""

    merged = repo.git("rev-parse", "HEAD")
    assert must(update(repo, "--base", "main")).last == "change was up to date with main."
    assert_unchanged(repo, merged)


def test_main_is_fetched_and_an_edited_generated_file_is_reproduced(repo: Repo) -> None:
    # The repository is its own origin, so origin/main differs from main until a fetch.
    repo.git("remote", "set-url", "origin", str(repo.path))
    main = on_main(repo, lambda clone: append(clone, "NOTES.md", "A note."))
    metrics = (repo.path / "reports/metrics.json").read_bytes()
    (repo.path / "reports/metrics.json").write_text("{}\n")
    repo.commit("better numbers")
    assert repo.git("rev-parse", "origin/main") != main

    assert must(update(repo)).last == "change is up to date with origin/main; push it."
    assert repo.git("merge-base", "HEAD", "main") == main
    assert (repo.path / "reports/metrics.json").read_bytes() == metrics
    assert repo.git("diff", "--name-only", "main") == ""


def test_a_conflict_in_another_file_is_named_and_the_merge_aborted(repo: Repo) -> None:
    def edit(side: str) -> None:
        append(repo, "README.md", f"By {side}.")
        append(repo, "dvc.lock", f"# by {side}")

    on_main(repo, lambda _: edit("main"))
    edit("the branch")
    repo.commit("on the branch")
    head = repo.git("rev-parse", "HEAD")
    done = must(update(repo, "--base", "main"), 1)
    assert done.out.strip().splitlines()[:-1] == ["merge these conflicts by hand:", "  README.md"]
    assert "`git merge main`" in done.last and "make update" in done.last
    assert_unchanged(repo, head)

    # Following the message helps, and a merge that a person started is never aborted.
    assert repo.run("git", "merge", "main").code == 1
    append(repo, "README.md", "Half a resolution.")
    must(update(repo, "--base", "main"), 1)
    assert (repo.path / "README.md").read_text().endswith("Half a resolution.\n")
    repo.git("checkout", "--ours", "README.md")
    repo.git("add", "README.md")
    must(update(repo, "--base", "main"))
    assert repo.git("log", "-1", "--format=%P").split() == [head, repo.git("rev-parse", "main")]
    assert repo.git("status", "--porcelain") == ""
    assert "<<<<" not in (repo.path / "dvc.lock").read_text()
    assert (repo.path / "README.md").read_text().endswith("By the branch.\n")


@pytest.mark.parametrize("staged", [False, True])
def test_uncommitted_changes_are_named_and_kept(repo: Repo, staged: bool) -> None:
    on_main(repo, lambda clone: append(clone, "NOTES.md", "A note."))
    head = repo.git("rev-parse", "HEAD")
    append(repo, "README.md", "Not committed.")
    if staged:
        repo.git("add", "README.md")
    done = must(update(repo, "--base", "main"), 2)
    assert "README.md" in done.out and "Commit them" in done.last
    assert repo.git("rev-parse", "HEAD") == head
    assert (repo.path / "README.md").read_text().endswith("Not committed.\n")
