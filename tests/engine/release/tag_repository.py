"""A repository of empty commits with a bare origin, and helpers that create the tags of releases in it. Needs git."""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.repository import push_tags, tags
from pipelines.repository.git import git
from pipelines.repository.tags import Annotation, Assignment, Number, Version

CONTRACT: dict[str, Any] = {
    "task": "classification",
    "model_name": "fraud",
    "target": "is_fraud",
    "candidate": "boosting",
    "output": "probability",
    "classes": ["0", "1"],
    "threshold": 0.5,
    "trained_until": "2026-01-26T00:00:00+00:00",
    "salt": None,
    "inputs": [
        {"name": "amount", "type": "number", "nullable": False, "min": 0.0, "max": 100.0},
        {"name": "channel", "type": "category", "nullable": True, "allowed": ["chip", "online"]},
    ],
}


def annotation(release: str, model: str = "m1", signature: str = "s1", digest: str = "a", **more: object) -> Annotation:
    """The annotation of a tag; release id and image digest repeat `release` and `digest` to their length."""
    image = f"127.0.0.1:5000/fraud@sha256:{digest * 64}"
    contract = json.dumps(more.pop("contract", CONTRACT))
    return Annotation(
        release=release * 12,
        image=image,
        model=model,
        signature=signature,
        contract=contract,
        **more,
    )


def push_commit(name: str = "change") -> str:
    """Push an empty commit to main; return its hash."""
    git("commit", "--quiet", "--allow-empty", "-m", name)
    git("push", "--quiet", "origin", "main")
    return git("rev-parse", "HEAD")


def assign_version(version: Version, stage: str = tags.PRODUCTION, **more: object) -> Assignment:
    """Assign a version to a stage."""
    update = {"contract": None, "version": version.tag, "main_commit": git("rev-parse", "HEAD"), **more}
    return push_tags.assign_version(
        "fraud", tags.find_highest_counter("fraud") + 1, version, version.annotation.model_copy(update=update), stage
    )


def register_version(release: str, number: Number, **more: object) -> Version:
    """Register a version on a commit of its own."""
    return push_tags.register_version("fraud", number, push_commit(), annotation(release, **more))


_KEPT: dict[str, Path] = {}


def make_once(name: str, folder: Path, make: Callable[[], object]) -> bool:
    """Make `main` and `origin.git` in a folder, or copy what an earlier test of this process made; return whether made.

    The current folder is `main` afterwards.
    """
    is_new, parts = name not in _KEPT, ("main", "origin.git")
    if is_new:
        make()
        _KEPT[name] = Path(tempfile.mkdtemp())
    os.chdir(folder)
    here, kept = folder, _KEPT[name]
    for source, target in ((here / part, kept / part) if is_new else (kept / part, here / part) for part in parts):
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target, symlinks=True)
    os.chdir(folder / "main")
    git("remote", "set-url", "origin", str(folder / "origin.git"))
    return is_new


@pytest.fixture
def tag_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, which is the current folder; its origin is `../origin.git`."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.chdir(tmp_path)

    def make() -> None:
        git("init", "--quiet", "--bare", "--template=", "--initial-branch=main", "origin.git")
        Path("origin.git/hooks").mkdir()
        git("clone", "--quiet", "--template=", "origin.git", "main")
        os.chdir("main")
        git("checkout", "--quiet", "-b", "main")
        push_commit("first")

    make_once("first commit", tmp_path, make)
    return tmp_path / "main"
