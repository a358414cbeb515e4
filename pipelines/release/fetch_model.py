"""The reviewed model's files, byte for byte: from DVC, else from the review's artifact, else reproduced."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipelines.cli.errors import InputError, MainlineError, Refused, Unreachable
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.github.client import GitHub, Json
from pipelines.release.target_commit import Candidate
from pipelines.repository import base_model
from pipelines.repository.dvc import file_md5

ARTIFACT = "review"
LARGEST_ZIP = 500_000_000
TRIES = 10  # artifacts of a branch that are looked into, the newest first


def models(found: Candidate, into: Path, github: GitHub | None, progress: Progress) -> str:
    """Put the files of the model into a folder.

    Args:
        github: where the review's artifact is looked for; None where no token allows it.

    Returns:
        Where they come from, in words.

    Raises:
        Refused: if they are nowhere, and reproducing gives others than were reviewed.
    """
    into.mkdir(parents=True, exist_ok=True)
    lacking = []
    try:
        if kept := base_model.stored(found.commit, progress):
            _install(found, {name: kept.folder / Path(name).name for name in found.files}, into)
            return f"DVC's {kept.found}"
        lacking.append("it is in no cache and no remote of DVC")
    except Unreachable as error:
        lacking.append(f"DVC's remote: {error}")
    if github is not None:
        try:
            if number := _from_artifact(found, into, github, progress):
                return f"the review of pull request {number}"
            lacking.append("no artifact of its review holds it (they expire)")
        except MainlineError as error:
            lacking.append(f"the review's artifact: {error}")
    why = "; ".join(lacking)
    progress.say(f"  {why}")
    try:
        made = base_model.reproduced(found.commit, progress)
    except InputError as error:
        raise Refused(f"the reviewed model cannot be had: {why}; {error}", error.remedy) from error
    _install(found, {name: made.folder / Path(name).name for name in found.files}, into)
    return "reproducing it, with the same md5"


def _install(found: Candidate, sources: dict[str, Path], into: Path) -> None:
    for name, path in sources.items():
        _check(found, name, file_md5(path))
    for name, path in sources.items():
        write_bytes(into / Path(name).name, path.read_bytes())


def _check(found: Candidate, name: str, md5: str) -> None:
    if md5 != found.files[name]:
        raise Refused(
            f"{name} has md5 {md5}, and the reviewed one has {found.files[name]}",
            "Nothing was released. Set a DVC remote (DVC_REMOTE_URL), `dvc push` from where it was trained, or "
            "reproduce it in a new pull request.",
        )


def _from_artifact(found: Candidate, into: Path, github: GitHub, progress: Progress) -> int | None:
    """The number of the pull request whose review holds the files, which are in `into` then.

    Only runs of branches of this repository are looked into: what a fork's run uploaded is anybody's word, and md5
    holds back mistakes, not somebody who makes two files of one md5.
    """
    with progress.step("Looking for the review's artifact"):
        for pull in github.commit_pulls(found.commit):
            head = pull["head"]
            if not pull.get("merged_at") or (head.get("repo") or {}).get("full_name") != github.repository:
                continue
            for artifact in _artifacts(github, head["ref"], head["repo"]["id"]):
                files = _unzip(github.download_artifact(artifact["id"], LARGEST_ZIP), found)
                if files is not None:
                    for name, content in files.items():
                        write_bytes(into / Path(name).name, content)
                    return int(pull["number"])
    return None


def _artifacts(github: GitHub, branch: str, repository: int) -> Iterator[Json]:
    """The newest artifacts of a branch of this repository that can be had."""

    def is_ours(artifact: Json) -> bool:
        run = artifact.get("workflow_run") or {}
        ours = (run.get("head_branch"), run.get("head_repository_id")) == (branch, repository)
        return ours and not artifact.get("expired") and artifact["size_in_bytes"] <= LARGEST_ZIP

    return islice((artifact for artifact in github.artifacts_named(ARTIFACT) if is_ours(artifact)), TRIES)


def _unzip(content: bytes, found: Candidate) -> dict[str, bytes] | None:
    """The files by name, if the zip holds all of them with the reviewed md5s; nothing else in it is looked at."""
    files = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name, md5 in found.files.items():
                info = archive.getinfo(name)
                if info.file_size > LARGEST_ZIP:
                    return None
                files[name] = archive.read(info)
                if hashlib.md5(files[name], usedforsecurity=False).hexdigest() != md5:
                    return None
    except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        return None
    return files
