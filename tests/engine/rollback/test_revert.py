"""The commits that a rollback reverts, in a repository of a few small files. Needs git."""

import os
from pathlib import Path

import pytest

from pipelines.cli.errors import InputError, Refused
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.rollback.revert import list_commits_to_revert, revert_commits

PARAMS = "model_name: fraud\ngates: {headline: roc_auc}\nserving: {max_batch_rows: 100}\n"


def lock(model: str, code: str = "c0") -> str:
    """A dvc.lock in which the model's md5 and the code's are in distant lines, as in a real dvc.lock."""
    filler = "".join(f"  filler{i}:\n    outs: []\n" for i in range(5))
    return (
        f"schema: '2.0'\nstages:\n  split:\n    deps:\n    - {{path: split.py, md5: {code}}}\n{filler}"
        f"  export:\n    outs:\n    - {{path: models/model.onnx, md5: {model}}}\n"
        "    - {path: models/signature.json, md5: s}\n"
    )


@pytest.fixture(autouse=True)
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The first commit on main, of model m1; the repository is the current folder."""
    monkeypatch.chdir(tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git("init", "--quiet", "--initial-branch=main")
    return squash({"dvc.lock": lock("m1"), "params.yaml": PARAMS, "README.md": "read\n"})


def squash(changes: dict[str, str], title: str = "change") -> str:
    """A squashed pull request."""
    for name, text in changes.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    git("add", "--all")
    git("commit", "--quiet", "-m", title)
    return git("rev-parse", "HEAD")


def merge(changes: dict[str, str], title: str = "a merge") -> str:
    """A pull request that was merged by a merge commit, of two commits."""
    git("checkout", "--quiet", "-b", "branch")
    squash({"notes.md": git("rev-parse", "main")})
    squash(changes)
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-ff", "-m", title, "branch")
    git("branch", "--quiet", "-D", "branch")
    return git("rev-parse", "HEAD")


def roll_back(to: str) -> str:
    """Revert on a branch, and return the release id of the result."""
    git("checkout", "--quiet", "-B", "rollback", "main")
    revert_commits(Path(), list_commits_to_revert(to, "main"))
    return release_id("HEAD")


def test_several_merges_are_reverted_and_documents_between_them_are_kept(first: str) -> None:
    for number, kind in enumerate([squash, merge, squash]):
        kind({"dvc.lock": lock(f"n{number}")})
        squash({"README.md": f"read {number}\n"}, "docs alone")
    assert roll_back(first) == release_id(first)
    assert git("rev-list", "--count", "main..HEAD") == "3"
    assert Path("README.md").read_text() == "read 2\n"


def test_a_revert_can_be_reverted(first: str) -> None:
    better = squash({"dvc.lock": lock("m2")})
    git("revert", "--no-edit", better)
    assert roll_back(better) == release_id(better)
    assert git("log", "-1", "--format=%s").startswith(("Reapply", 'Revert "Revert'))


def test_code_that_changed_only_the_lock_is_reverted(first: str) -> None:
    squash({"dvc.lock": lock("m1", code="c1"), "pipelines/x.py": "x = 1\n"})
    squash({"dvc.lock": lock("m2", code="c1")})
    roll_back(first)
    assert git("diff", "--name-only", first) == ""


def test_a_change_of_the_data_alone_is_reverted(first: str) -> None:
    changed = squash({"data.dvc": "outs: []\n"})
    assert [commit.sha for commit in list_commits_to_revert(first, "main")] == [changed]


def test_a_change_of_the_gates_is_kept(first: str) -> None:
    squash({"dvc.lock": lock("m2")})
    squash({"params.yaml": PARAMS.replace("roc_auc", "f1")})
    assert roll_back(first) == release_id(first)
    assert "f1" in Path("params.yaml").read_text()


def test_the_service_and_its_settings_are_reverted(first: str) -> None:
    squash({"serving/service.py": "x = 1\n"})
    squash({"params.yaml": PARAMS.replace("100", "200")})
    squash({"requirements/serving.txt": "numpy==2\n"})
    assert roll_back(first) == release_id(first)
    assert git("rev-list", "--count", "main..HEAD") == "3"


def test_a_conflict_lists_all_commits(first: str) -> None:
    one = squash({"dvc.lock": lock("m2"), "README.md": "one\n"}, "tune the forest")
    squash({"README.md": "two\n"}, "docs alone")
    two = squash({"dvc.lock": lock("m3")}, "tune the trees")
    with pytest.raises(Refused, match="README.md") as caught:
        roll_back(first)
    listed = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert listed == [f"{two[:10]} tune the trees", f"{one[:10]} tune the forest  <- here"]


def test_a_commit_outside_the_history_of_main_is_refused(first: str) -> None:
    git("checkout", "--quiet", "--orphan", "elsewhere")
    elsewhere = squash({"README.md": "else\n"})
    with pytest.raises(InputError, match="not in the history of main"):
        list_commits_to_revert(elsewhere, "main")


def test_without_later_merges_nothing_is_reverted(first: str) -> None:
    assert list_commits_to_revert(first, "main") == []
