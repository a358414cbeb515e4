"""Reading from git, in small repositories. Needs git."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipelines.cli.errors import InputError
from pipelines.repository import git
from testing.repository import ROOT


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


def run(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tree: Path) -> Path:
    """A repository with one commit on main."""
    run("init", "--quiet", "--initial-branch=main")
    (tree / "a.txt").write_text("one\n")
    (tree / "bytes").write_bytes(b"\xff\xfe")
    run("add", "--all")
    run("commit", "--quiet", "-m", "one")
    return tree


def test_the_error_says_whether_the_repository_the_commit_or_the_base_is_missing(tree: Path) -> None:
    with pytest.raises(InputError, match="not a git repository"):
        git.base_commit(None)
    run("init", "--quiet", "--initial-branch=main")
    with pytest.raises(InputError, match="no commit yet"):
        git.base_commit(None)
    run("commit", "--quiet", "--allow-empty", "-m", "one")
    assert git.base_commit(None) == ("main", git.commit_of("HEAD"))
    with pytest.raises(InputError, match="no base 'nowhere'") as error:
        git.base_commit("nowhere")
    assert "BASE=" in error.value.remedy


def test_the_default_base_is_origin_main_if_there_is_an_origin(repository: Path, tmp_path: Path) -> None:
    run("clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    run("remote", "add", "origin", str(tmp_path / "origin.git"))
    with pytest.raises(InputError, match="no base 'origin/main'") as error:
        git.base_commit(None)
    assert "git fetch origin main" in error.value.remedy
    run("fetch", "--quiet", "origin")
    run("commit", "--quiet", "--allow-empty", "-m", "two")
    assert git.base_commit(None) == ("origin/main", git.commit_of("HEAD~1"))
    assert git.base_commit("main") == ("main", git.commit_of("HEAD"))


def test_a_revision_with_a_dash_is_not_an_option(repository: Path) -> None:
    assert git.commit_of("--all") is None
    assert git.text_at("--output=x", "a.txt") is None
    assert not (repository / "x").exists()


def test_text_at_returns_the_text_at_the_revision(repository: Path) -> None:
    (repository / "a.txt").write_text("two\n")
    assert git.text_at("HEAD", "a.txt") == "one"
    assert git.text_at("HEAD", "b.txt") is None
    assert git.object_at("HEAD", "b.txt") is None
    assert git.text_at("HEAD", "bytes") == "\ufffd\ufffd"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ann:hunter2@127.0.0.1:9/x", "https://127.0.0.1:9/x/'"),
        ("https://ann:hun?hunter2@127.0.0.1:9/x", "https://127.0.0.1:9/x"),
        ("https://ann:hun/hunter2@127.0.0.1:9/x", "https://127.0.0.1:9/x/'"),
        ("https://127.0.0.1:9/x?token=hunter2", "https://127.0.0.1:9/x'"),
    ],
)
def test_secrets_of_an_address_are_removed_from_the_error(repository: Path, url: str, shown: str) -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        git.git("ls-remote", url)
    assert shown in error.value.stderr and "hunter2" not in error.value.stderr


def test_branch_returns_the_name_or_detached(repository: Path) -> None:
    run("checkout", "--quiet", "-b", "change")
    assert git.branch() == "change"
    run("checkout", "--quiet", "--detach")
    assert git.branch() == "detached"


def test_dirty_lists_changed_untracked_and_renamed_files(repository: Path) -> None:
    assert git.dirty() == []
    (repository / "a.txt").write_text("two\n")
    (repository / "größe und mehr.txt").write_text("new\n")
    run("mv", "bytes", "moved")
    assert sorted(git.dirty()) == ["a.txt", "größe und mehr.txt", "moved"]


def test_tree_of_worktree_does_not_change_the_index(repository: Path) -> None:
    (repository / "a.txt").write_text("two\n")
    (repository / "b.txt").write_text("new\n")
    tree = git.tree_of_worktree(["a.txt", "none.txt"])
    assert git.text_at(tree, "a.txt") == "two"
    assert git.text_at(tree, "b.txt") is None
    assert git.git("diff", "--cached", "--name-only") == ""
    (repository / "a.txt").unlink()
    assert git.object_at(git.tree_of_worktree(["a.txt"]), "a.txt") is None


def test_tree_of_worktree_omits_ignored_files(repository: Path) -> None:
    (repository / ".gitignore").write_text("__pycache__/\n")
    (repository / "serving" / "__pycache__").mkdir(parents=True)
    (repository / "serving" / "service.py").write_text("x = 1\n")
    (repository / "serving" / "__pycache__" / "service.pyc").write_bytes(b"\0")
    tree = git.tree_of_worktree(["serving"])
    assert git.git("ls-tree", "-r", "--name-only", tree, "serving") == "serving/service.py"


def test_what_dvc_draws_makes_no_work_tree_dirty(repository: Path) -> None:
    shutil.copy(ROOT / ".gitignore", repository)
    run("add", ".gitignore")
    run("commit", "--quiet", "--message", "ignore")
    (repository / "dvc_plots").mkdir()
    (repository / "dvc_plots/index.html").touch()
    assert git.dirty() == []
