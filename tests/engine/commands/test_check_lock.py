"""`python -m pipelines check-lock`, in a repository of its own. Needs git."""

from pathlib import Path

import pytest

from pipelines.repository.git import git
from tests.engine.in_process import must, verb


@pytest.fixture
def committed(tmp_path: Path) -> Path:
    """A commit with generated files and others."""
    for name in ("dvc.lock", "reports/metrics.json", "reports/README.md", "params.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("old\n")
    (tmp_path / ".gitignore").write_text("/reports/review/\n")
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "first"]):
        git("-c", "user.name=tests", "-c", "user.email=tests@example.invalid", *command, cwd=tmp_path)
    return tmp_path


def test_a_commit_that_holds_what_its_tree_gives_passes(committed: Path) -> None:
    for name in ("reports/README.md", "params.yaml"):
        (committed / name).write_text("not generated\n")
    (committed / "reports/review").mkdir()
    (committed / "reports/review/review.md").write_text("# A report\n")
    assert must(verb(committed, "check-lock")).out == ""


@pytest.mark.parametrize("name", ["dvc.lock", "reports/metrics.json", "reports/new.json", "reports/plots/new.csv"])
def test_a_commit_that_lacks_what_its_tree_gives_fails_and_names_what_to_do(committed: Path, name: str) -> None:
    (committed / name).parent.mkdir(exist_ok=True)
    (committed / name).write_text("new\n")
    by_hand = must(verb(committed, "check-lock"), 1).out.splitlines()
    assert name.partition("new.csv")[0] in by_hand[0]
    assert "make update" in by_hand[1]
    by_bot = must(verb(committed, "check-lock", "--bot"), 1).out.splitlines()
    assert by_bot[0] == by_hand[0]
    assert "publish" in by_bot[1] and "make update" not in by_bot[1]


def test_a_generated_file_that_is_gone_is_named(committed: Path) -> None:
    (committed / "reports/metrics.json").unlink()
    assert "reports/metrics.json" in must(verb(committed, "check-lock"), 1).out


def test_a_file_that_the_commit_lacks_is_named_though_a_pull_request_lets_git_ignore_it(committed: Path) -> None:
    (committed / "reports/.gitignore").write_text("*\n")
    git("add", "--force", "reports/.gitignore", cwd=committed)
    git("rm", "--quiet", "reports/metrics.json", cwd=committed)
    git("-c", "user.name=a", "-c", "user.email=a@example.invalid", "commit", "--quiet", "-m", "hide", cwd=committed)
    (committed / "reports/metrics.json").write_text("new\n")
    assert "reports/metrics.json" in must(verb(committed, "check-lock"), 1).out
