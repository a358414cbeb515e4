"""Fetching the reviewed model, with the small problem's cache, remotes and reproduction. Needs git and DVC."""

import hashlib
import io
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pipelines.cli.errors import InputError, Refused
from pipelines.cli.progress import Progress
from pipelines.release import approvals, fetch_model
from pipelines.release.target_commit import read_target_commit
from pipelines.repository import base_model
from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import stages_in_process

OURS, BRANCH = 7, "change"


class GitHub:
    """A fake of the three calls that are used, with artifacts by id."""

    repository = "acme/fraud"

    def __init__(self, artifacts: dict[int, bytes], **run: Any) -> None:
        self.artifacts, self.asked = artifacts, list[int]()
        self.run = {"head_branch": BRANCH, "head_repository_id": OURS} | run

    def commit_pulls(self, sha: str) -> Iterator[dict[str, Any]]:
        repository = {"full_name": "acme/fraud", "id": OURS}
        yield {"number": 3, "merged_at": "2026-11-01", "head": {"ref": BRANCH, "repo": repository}}

    def artifacts_named(self, name: str) -> Iterator[dict[str, Any]]:
        for number, content in self.artifacts.items():
            yield {"id": number, "size_in_bytes": len(content), "expired": False, "workflow_run": self.run}

    def download_artifact(self, number: int, limit: int) -> bytes:
        self.asked.append(number)
        return self.artifacts[number]


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def reviewed(repo: Repo) -> dict[str, bytes]:
    """Path -> content of the reviewed files."""
    return {f"models/{name}": (repo.path / "models" / name).read_bytes() for name in ("model.onnx", "signature.json")}


@pytest.fixture
def lost(repo: Repo, reviewed: dict[str, bytes], tmp_path: Path) -> Repo:
    """A clone without the model: its cache is empty, and so is models/ of its work tree."""
    (repo.path / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path / 'empty'}\n")
    shutil.rmtree(repo.path / "models")
    return repo


def fetch(repo: Repo, into: Path, github: GitHub | None = None) -> tuple[str, dict[str, str]]:
    """Fetch the model of HEAD; return its source and md5s."""
    with chdir(repo.path):
        target = read_target_commit("HEAD")
        connected = mock.patch.object(approvals, "connect_to_github", lambda: github)
        with stages_in_process("repository.base_model"), connected:
            how = fetch_model.fetch_model(target, into, Progress())
    md5s = {f"models/{path.name}": hashlib.md5(path.read_bytes()).hexdigest() for path in into.iterdir()}
    assert md5s == target.model_files
    return how, md5s


def test_model_is_fetched_from_the_cache(repo: Repo, tmp_path: Path) -> None:
    assert fetch(repo, tmp_path / "into")[0] == "DVC's cache"


def test_model_is_fetched_from_the_remote(repo: Repo, lost: Repo, tmp_path: Path) -> None:
    shutil.copytree(repo.cache / "files", tmp_path / "remote/files")
    with (lost.path / ".dvc/config.local").open("a") as file:
        file.write(f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {tmp_path / 'remote'}\n")
    assert fetch(lost, tmp_path / "into")[0] == "DVC's remote"


def test_model_is_fetched_from_the_newest_artifact_with_the_reviewed_md5s(
    lost: Repo, reviewed: dict[str, bytes], tmp_path: Path
) -> None:
    other = {name: content + b" " for name, content in reviewed.items()}
    one = {"models/model.onnx": reviewed["models/model.onnx"]}
    climbing = {f"../{name}": content for name, content in reviewed.items()}
    github = GitHub({5: zipped(other), 4: zipped(one), 3: b"no zip", 2: zipped(climbing), 1: zipped(reviewed)})
    assert fetch(lost, tmp_path / "into", github)[0] == "the review of pull request 3"
    assert github.asked == [5, 4, 3, 2, 1]
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("run", [{"head_branch": "other"}, {"head_repository_id": 8}])
def test_artifacts_of_forks_and_other_branches_are_not_downloaded(
    lost: Repo, reviewed: dict[str, bytes], tmp_path: Path, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot(*_: object) -> None:
        raise InputError("the rows are gone", "Fetch them.")

    monkeypatch.setattr(base_model, "reproduce", cannot)
    github = GitHub({1: zipped(reviewed)}, **run)
    with pytest.raises(Refused, match="no artifact of its review has it .* the rows are gone"):
        fetch(lost, tmp_path / "into", github)
    assert github.asked == []


def test_model_without_a_source_is_reproduced(lost: Repo, tmp_path: Path) -> None:
    assert fetch(lost, tmp_path / "into")[0] == "reproducing it, with the same md5"


def test_reproduced_model_with_another_md5_is_refused(
    lost: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another model")
    (tmp_path / "signature.json").write_bytes(b"another signature")
    reproduced = base_model.Base("c", tmp_path, "reproduced", "m", "n")
    monkeypatch.setattr(base_model, "reproduce", lambda *_: reproduced)
    with pytest.raises(Refused, match=f"has md5 {hashlib.md5(b'another model').hexdigest()}, and the reviewed one has"):
        fetch(lost, tmp_path / "into")
    assert not (tmp_path / "into").exists()
