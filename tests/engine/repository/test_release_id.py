"""The release id, in a repository of a few small files. Needs git."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from pipelines import __main__ as entry
from pipelines.cli.errors import InputError
from pipelines.config.serving import LIMITS
from pipelines.repository import release_id

LOCK = """schema: '2.0'
stages:
  export:
    cmd: python -m pipelines.training.export
    deps:
    - {path: models/split.json, md5: eeee}
    outs:
    - {path: models/model.onnx, md5: aaaa, size: 1}
    - {path: models/signature.json, md5: bbbb, size: 1}
  profile:
    outs:
    - {path: models/profile.json, md5: cccc}
"""
PARAMS = """model_name: fraud
gates: {headline: roc_auc}
serving: {base_image: python@sha256:00, max_batch_rows: 100, max_body_mb: 9, timeout_seconds: 8, deploy: null}
"""
FILES = {
    "dvc.lock": LOCK,
    "params.yaml": PARAMS,
    "serving/service.py": "x = 1\n",
    "requirements/serving.txt": "numpy==2\n",
    "requirements/pipelines.txt": "pandas==2\n",
    "README.md": "read\n",
    ".gitignore": "__pycache__/\n",
}


def run(*arguments: str, stdin: str | None = None) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, input=stdin)


def commit(changes: dict[str, str | None]) -> str:
    """Commit changed files (None removes one); return the release id of the commit."""
    for name, text in changes.items():
        if text is None:
            Path(name).unlink()
        else:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(text)
    run("add", "--all")
    run("commit", "--quiet", "--allow-empty", "-m", "change")
    return release_id.release_id("HEAD")


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The release id of the first commit of a repository that is the current folder."""
    monkeypatch.chdir(tmp_path)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    run("init", "--quiet", "--initial-branch=main")
    return commit(dict(FILES))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"dvc.lock": LOCK.replace("aaaa", "a111")}, id="model"),
        pytest.param({"dvc.lock": LOCK.replace("bbbb", "b111")}, id="signature"),
        pytest.param({"serving/service.py": "x = 2\n"}, id="service"),
        pytest.param({"serving/more.py": "y = 2\n"}, id="one more file of the service"),
        pytest.param({"requirements/serving.txt": "numpy==3\n"}, id="lock of the service"),
        pytest.param({"requirements/serving.txt": None}, id="no lock of the service"),
        pytest.param({"params.yaml": PARAMS.replace("sha256:00", "sha256:11")}, id="base image"),
        pytest.param({"params.yaml": PARAMS.replace("rows: 100", "rows: 101")}, id="rows of a batch"),
        pytest.param({"params.yaml": PARAMS.replace("mb: 9", "mb: 7")}, id="size of a body"),
        pytest.param({"params.yaml": PARAMS.replace("seconds: 8", "seconds: 7")}, id="time-out"),
    ],
)
def test_the_release_id_changes_with_each_part(first: str, changes: dict[str, str | None]) -> None:
    assert commit(changes) != first
    assert commit({name: FILES.get(name) for name in changes}) == first


def test_each_limit_of_the_service_is_in_the_release_id() -> None:
    assert set(LIMITS) < set(release_id.SETTINGS)


def test_the_release_id_does_not_depend_on_other_files(first: str) -> None:
    assert re.fullmatch("[0-9a-f]{12}", first)
    swapped = (
        "serving: {timeout_seconds: 8, max_body_mb: 9, max_batch_rows: 100, base_image: python@sha256:00,"
        " deploy: [./deploy.sh], front_image: haproxy@sha256:11, replicas: 3, keep_previous: true, tls: t, keys: k,"
        " fallback: {decision: false}}\ngates: {headline: mae}\nmodel_name: other\n"
    )
    assert first == commit(
        {
            "dvc.lock": LOCK.replace("cccc", "c111").replace("eeee", "e111").replace("size: 1", "size: 2"),
            "params.yaml": swapped,
            "requirements/pipelines.txt": "pandas==3\n",
            "README.md": "more\n",
            "pipelines/new.py": "z = 1\n",
        }
    )


def test_the_work_tree_has_the_release_id_of_its_later_commit(first: str) -> None:
    assert release_id.worktree_release_id() == first
    Path("serving/service.py").write_text("x = 3\n")
    Path("serving/__pycache__").mkdir()
    Path("serving/__pycache__/service.pyc").write_bytes(b"\0")
    before = release_id.worktree_release_id()
    assert before != first
    assert commit({}) == before == release_id.worktree_release_id()


def test_a_revision_without_a_model_or_section_serving_is_refused(first: str) -> None:
    with pytest.raises(InputError, match=r"no models/model\.onnx"):
        commit({"dvc.lock": LOCK.replace("models/model.onnx", "models/other.onnx")})
    with pytest.raises(InputError, match="no section serving"):
        commit({"dvc.lock": LOCK, "params.yaml": "model_name: fraud\n"})
    with pytest.raises(InputError, match=r"dvc\.lock of HEAD cannot be read"):
        commit({"dvc.lock": "<<<<<<< HEAD\n"})


def test_the_verb_prints_the_release_id_of_a_revision(first: str, capsys: pytest.CaptureFixture[str]) -> None:
    second = commit({"serving/service.py": "x = 9\n"})
    assert entry.main(["release", "id"]) == 0
    assert entry.main(["release", "id", "--rev", "HEAD~1"]) == 0
    assert capsys.readouterr().out.split() == [second, first]
    assert entry.main(["release", "id", "--rev", "nowhere"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "Name a commit that `git log` shows."
