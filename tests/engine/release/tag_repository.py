"""A repository of empty commits with a bare origin, and helpers that create the tags of releases in it. Needs git."""

from __future__ import annotations

import json
import os
import shutil
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


def build_once(clone: Path, folder: Path, build: Callable[[], object]) -> None:
    """Run `build` in a clone with an origin beside it, the first time; later copy what it made from `folder`."""
    if folder.exists():
        for name in (clone.name, "origin.git"):
            shutil.copytree(folder / name, clone.parent / name, dirs_exist_ok=True)
        git("remote", "set-url", "origin", str(clone.parent / "origin.git"), cwd=clone)
        return
    build()
    for name in (clone.name, "origin.git"):
        shutil.copytree(clone.parent / name, folder / name)


@pytest.fixture
def tag_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository, which is the current folder; its origin is `../origin.git`."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests@example.invalid")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git("init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "origin.git"))
    git("clone", "--quiet", str(tmp_path / "origin.git"), str(tmp_path / "main"))
    monkeypatch.chdir(tmp_path / "main")
    git("checkout", "--quiet", "-b", "main")
    push_commit("first")
    return tmp_path / "main"
