"""Fetch the reviewed model's files, byte for byte: from DVC, else from the review's artifact, else by reproducing."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from pipelines.cli.errors import InputError, MainlineError, Refused, Unreachable
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.github.client import GitHub
from pipelines.github.transport import Json
from pipelines.release import approvals
from pipelines.release.target_commit import TargetCommit
from pipelines.repository import base_model

LARGEST_ZIP = 500_000_000
MAX_ARTIFACTS = 10  # of a branch that are read, the newest first


def fetch_model(target: TargetCommit, into: Path, progress: Progress) -> str:
    """Write the files of the reviewed model into a folder; return their source, in words.

    Raises Refused if no source has them, and reproducing gives other files than the reviewed ones.
    """
    failures = []
    try:
        if stored := base_model.fetch_stored(target.commit, progress):
            _copy_reviewed(target, stored.folder, into)
            return f"DVC's {stored.source}"
        failures.append("neither DVC's cache nor its remote has it")
    except Unreachable as error:
        failures.append(f"DVC's remote: {error}")
    if github := approvals.connect_to_github():
        try:
            if number := _fetch_from_artifact(target, into, github, progress):
                return f"the review of pull request {number}"
            failures.append("no artifact of its review has it (artifacts expire)")
        except MainlineError as error:
            failures.append(f"the review's artifact: {error}")
    reasons = "; ".join(failures)
    progress.print(f"  {reasons}")
    try:
        reproduced = base_model.reproduce(target.commit, progress)
    except InputError as error:
        raise Refused(f"the reviewed model cannot be fetched: {reasons}; {error}", error.remedy) from error
    _copy_reviewed(target, reproduced.folder, into)
    return "reproducing it, with the same md5"


def _copy_reviewed(target: TargetCommit, folder: Path, into: Path) -> None:
    _write_reviewed(target, {name: (folder / Path(name).name).read_bytes() for name in target.model_files}, into)


def _write_reviewed(target: TargetCommit, files: Mapping[str, bytes], into: Path) -> None:
    """Write the model's files, after all of them were compared with the reviewed md5s."""
    for name, reviewed_md5 in target.model_files.items():
        md5 = hashlib.md5(files[name], usedforsecurity=False).hexdigest()
        if md5 != reviewed_md5:
            raise Refused(
                f"{name} has md5 {md5}, and the reviewed one has {reviewed_md5}",
                "Nothing was released. Set a DVC remote (DVC_REMOTE_URL) and `dvc push` from the machine that trained "
                "the model, or reproduce it in a new pull request.",
            )
    for name, content in files.items():
        write_bytes(into / Path(name).name, content)


def _fetch_from_artifact(target: TargetCommit, into: Path, github: GitHub, progress: Progress) -> int | None:
    """Write the files from a review's artifact and return the number of its pull request, or None.

    Artifacts of forks are not read: anybody can upload them, and md5 detects mistakes, not an attacker who makes two
    files with one md5.
    """
    with progress.step("Looking for the review's artifact"):
        for pull in github.commit_pulls(target.commit):
            head = pull["head"]
            if not pull.get("merged_at") or (head.get("repo") or {}).get("full_name") != github.repository:
                continue
            for artifact in _list_artifacts(github, head["ref"], head["repo"]["id"]):
                content = github.download_artifact(artifact["id"], LARGEST_ZIP)
                try:
                    _write_reviewed(target, _unzip(content, target), into)
                    return int(pull["number"])
                except (Refused, KeyError, zipfile.BadZipFile, zlib.error, RuntimeError, EOFError):
                    continue  # of another model, or no zip with its files
    return None


def _list_artifacts(github: GitHub, branch: str, repository_id: int) -> Iterator[Json]:
    """List the newest downloadable artifacts of a branch of this repository."""

    def is_usable(artifact: Json) -> bool:
        run = artifact.get("workflow_run") or {}
        same_branch = (run.get("head_branch"), run.get("head_repository_id")) == (branch, repository_id)
        return same_branch and not artifact.get("expired") and artifact["size_in_bytes"] <= LARGEST_ZIP

    return islice(filter(is_usable, github.artifacts_named("review")), MAX_ARTIFACTS)


def _unzip(content: bytes, target: TargetCommit) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(archive.getinfo(name).file_size > LARGEST_ZIP for name in target.model_files):
            raise zipfile.BadZipFile("a file of the model is too large")
        return {name: archive.read(name) for name in target.model_files}
