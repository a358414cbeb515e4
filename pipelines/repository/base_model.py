"""Fetch the model of a past commit: from the cache, else from the remote, else by reproducing it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import InputError, Unreachable
from pipelines.cli.files import write_json
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.repository import dvc_lock
from pipelines.repository.dvc import error_of, file_md5, run_dvc
from pipelines.repository.dvc_remote import default_remote
from pipelines.repository.git import git, text_at

FILES = ("models/model.onnx", "models/signature.json", "models/profile.json", "models/split.json")
KEPT = Path(".mainline/base")
REBUILT = "rebuilt.json"  # beside files that were reproduced: their md5s, which may be others than dvc.lock names


@dataclass(frozen=True)
class Base:
    """The base's files on disk.

    Attributes:
        source: where they came from: `cache`, `remote` or `reproduced`.
        md5: of the model's file.
        locked_md5: the md5 of the model in dvc.lock of the commit.
    """

    commit: str
    folder: Path
    source: str
    md5: str
    locked_md5: str

    @property
    def model(self) -> Path:
        """models/model.onnx of the base."""
        return self.folder / "model.onnx"

    @property
    def signature(self) -> Path:
        """models/signature.json of the base."""
        return self.folder / "signature.json"

    @property
    def profile(self) -> Path | None:
        """models/profile.json of the base, where there is one."""
        path = self.folder / "profile.json"
        return path if path.is_file() else None

    @property
    def split(self) -> Path | None:
        """models/split.json of the base, where there is one."""
        path = self.folder / "split.json"
        return path if path.is_file() else None


def named_outputs(commit: str) -> dict[str, str] | None:
    """The md5 of each of the base's files by its dvc.lock; None if the base has no model."""
    outputs = dvc_lock.outputs(text_at(commit, "dvc.lock"), f"dvc.lock of {commit[:12]}")
    if not all(name in outputs for name in FILES[:2]):
        return None
    return {name: outputs[name] for name in FILES if name in outputs}


def fetch(commit: str, progress: Progress) -> Base | None:
    """Fetch the base's files into .mainline/base/MD5/.

    Returns:
        None if the base's commit has no model at all.

    Raises:
        InputError: if no source has them and they cannot be reproduced.
    """
    if named_outputs(commit) is None:
        return None
    try:
        base = fetch_stored(commit, progress)
        why_not = ""
    except Unreachable as error:
        base, why_not = None, f" (the remote: {error})"
    return base or reproduce(commit, progress, why_not)


def fetch_stored(commit: str, progress: Progress) -> Base | None:
    """Fetch the files that the commit's dvc.lock names; None if neither the cache nor the remote has them.

    Raises:
        Unreachable: if the remote cannot be reached, or does not hold them.
    """
    named, folder = _named(commit)
    md5 = named[FILES[0]]
    if _whole(folder, named):
        return Base(commit, folder, "cache", md5, md5)
    for source in ("cache", "remote"):
        if source == "remote" and not default_remote():
            continue
        with progress.step(f"Fetching the model of {commit[:12]} from the {source}"):
            if _copy_from_dvc(named, folder, pull=commit if source == "remote" else None):
                return Base(commit, folder, source, md5, md5)
    return None


def reproduce(commit: str, progress: Progress, why_not: str = "") -> Base:
    """Reproduce the files with the commit's own code; their md5s may differ from its dvc.lock.

    Args:
        why_not: why they could not be fetched, for the error message.

    Raises:
        InputError: if that fails.
    """
    named, folder = _named(commit)
    source = "cache"
    if not _whole(folder, _rebuilt_earlier(folder)):
        source = "reproduced"
        with progress.step(f"Reproducing the model of {commit[:12]}, which is in no cache and no remote"):
            _rebuild(commit, folder, why_not)
    return Base(commit, folder, source, file_md5(folder / "model.onnx"), named[FILES[0]])


def _named(commit: str) -> tuple[dict[str, str], Path]:
    """The md5s by dvc.lock, and the folder for files of these md5s."""
    named = named_outputs(commit)
    assert named is not None
    return named, KEPT / "-".join(digest[:12] for digest in named.values())


def _whole(folder: Path, named: dict[str, str]) -> bool:
    files = [(folder / Path(name).name, md5) for name, md5 in named.items()]
    return bool(files) and all(path.is_file() and file_md5(path) == md5 for path, md5 in files)


def _rebuilt_earlier(folder: Path) -> dict[str, str]:
    path = folder / REBUILT
    md5s: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return md5s


def _copy_from_dvc(named: dict[str, str], folder: Path, pull: str | None) -> bool:
    """Copy the files out of DVC's cache, after fetching them if `pull` names a commit; False if one is not there."""
    from dvc.repo import Repo

    with Repo() as repo:
        odb = repo.cache.local
        if pull:
            fetch_revision(pull, list(named))
        paths = {name: Path(odb.oid_to_path(md5)) for name, md5 in named.items()}
    # The cache is shared and may hold a truncated file: use only files with the right md5.
    if not all(path.is_file() and file_md5(path) == named[name] for name, path in paths.items()):
        return False
    _install({Path(name).name: path for name, path in paths.items()}, folder)
    return True


def fetch_revision(commit: str, targets: list[str]) -> None:
    """`dvc fetch` of a commit's files; in a worktree, since the stages of dvc.yaml may be others here.

    Raises:
        Unreachable: with DVC's message, also if the remote does not hold them.
    """
    with _worktree(commit) as tree:
        done = run_dvc(tree, "fetch", *targets)
    if done.returncode:
        raise Unreachable(error_of(done), "Fix DVC_REMOTE_URL or the network.")


def _install(sources: dict[str, Path], folder: Path) -> None:
    """Copy files into a folder that appears whole."""
    temporary = folder.with_name(folder.name + ".tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for name, path in sources.items():
        shutil.copyfile(path, temporary / name)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def _rebuild(commit: str, folder: Path, why_not: str) -> None:
    """Reproduce the base in a scratch worktree, with its own code, sharing this repository's DVC cache.

    Raises:
        InputError: if that fails, with the last of what it printed.
    """
    with _worktree(commit) as tree:
        repro = run_verb("repro", cwd=tree, capture=True)
        if repro.returncode:
            printed = "\n".join((repro.stdout + repro.stderr).strip().splitlines()[-8:])
            raise InputError(
                f"the base's model ({commit[:12]}) is in no cache and no remote{why_not}, "
                f"and cannot be reproduced:\n{printed}",
                "Set DVC_REMOTE_URL to where the base's model was pushed, or choose another BASE.",
            )
        sources = {Path(name).name: tree / name for name in FILES if (tree / name).is_file()}
        md5s = {name: file_md5(path) for name, path in sources.items()}
        write_json(tree / ".mainline" / REBUILT, md5s)
        _install({**sources, REBUILT: tree / ".mainline" / REBUILT}, folder)


class _worktree:  # noqa: N801 - used as a function
    """A detached worktree of a commit with this repository's DVC cache and remote; removed afterwards."""

    def __init__(self, commit: str) -> None:
        self.commit = commit
        self.path = Path(".mainline/worktree").absolute()

    def __enter__(self) -> Path:
        self._remove()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        git("worktree", "add", "--detach", "--force", str(self.path), self.commit)
        from dvc.config import Config
        from dvc.repo import Repo

        with Repo() as repo, Config(str(self.path / ".dvc"), validate=False).edit("local") as local:
            # Read and written by DVC, since a relative path in its configuration starts at the configuration's folder.
            for section, values in Config(str(Path(".dvc").absolute())).read().items():
                local[section] = values
            local["cache"]["dir"] = repo.cache.local_cache_dir
        return self.path

    def __exit__(self, *_: object) -> None:
        self._remove()

    def _remove(self) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)
        git("worktree", "prune")
