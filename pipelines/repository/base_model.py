"""Fetch the model of a past commit: from the cache, else from the remote, else by reproducing it."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import InputError, Unreachable
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import run_verb
from pipelines.repository import dvc_lock
from pipelines.repository.dvc import fetch_from_remote, file_md5, open_dvc
from pipelines.repository.dvc_remote import default_remote
from pipelines.repository.git import text_at
from pipelines.repository.worktree import temporary_worktree

MODEL, SIGNATURE, PROFILE = "models/model.onnx", "models/signature.json", "models/profile.json"
FILES = (MODEL, SIGNATURE, PROFILE, "models/split.json")
FOLDER = Path(".mainline/base")
PRINTED_LINES = 8  # of a failed reproduction, in its error


@dataclass(frozen=True)
class Base:
    """The files of a past commit's model, on disk.

    Attributes:
        source: `cache`, `remote` or `reproduced`.
        md5: of models/model.onnx.
        locked_md5: the md5 of models/model.onnx in the commit's dvc.lock; differs if reproducing gave another model.
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
        """models/profile.json of the base, or None if it has no profile."""
        path = self.folder / "profile.json"
        return path if path.is_file() else None

    @property
    def split(self) -> Path | None:
        """models/split.json of the base, where there is one."""
        path = self.folder / "split.json"
        return path if path.is_file() else None


def fetch(commit: str, progress: Progress) -> Base | None:
    """Fetch the files of a commit's model, or return None if its dvc.lock names no model.

    Raises InputError if no source has them and they cannot be reproduced.
    """
    if not {MODEL, SIGNATURE} <= _locked_md5s(commit).keys():
        return None
    reason = ""
    try:
        if base := fetch_stored(commit, progress):
            return base
    except Unreachable as error:
        reason = f" (the remote: {error})"
    return reproduce(commit, progress, reason)


def fetch_stored(commit: str, progress: Progress) -> Base | None:
    """Fetch the files from the cache, else from the remote; None if the cache lacks them and there is no remote.

    Raises InputError if the commit's dvc.lock names no model, else as `fetch_outputs`.
    """
    md5s = _locked_md5s(commit)
    if MODEL not in md5s:
        raise InputError(f"dvc.lock of {commit[:12]} names no model", "Name a commit with a model.")
    folder = _folder(md5s)
    source = fetch_outputs(commit, md5s, folder, progress)
    return Base(commit, folder, source, md5s[MODEL], md5s[MODEL]) if source else None


def fetch_outputs(commit: str, md5s: dict[str, str], folder: Path, progress: Progress) -> str | None:
    """Fetch outputs of a commit (path -> md5 of its dvc.lock) into a folder, each by its file name.

    Returns `cache` or `remote`, where they came from; None if the cache lacks them and there is no remote. Raises
    Unreachable if the remote does not respond, or does not have them.
    """
    with progress.step(f"Fetching the model of {commit[:12]} from the cache"):
        if _copy_from_cache(md5s, folder):
            return "cache"
    if not (remote := default_remote()):
        return None
    with progress.step(f"Fetching the model of {commit[:12]} from the remote"):
        fetch_from_remote(md5s.values())
        if not _copy_from_cache(md5s, folder):
            raise Unreachable(
                f"the model is not in the remote {remote}", "Push it (`make push`) from where it was made."
            )
    return "remote"


def reproduce(commit: str, progress: Progress, reason: str = "") -> Base:
    """Reproduce the files with the commit's own code, unless an earlier call did; InputError if that fails.

    The error tells the `reason` why they could not be fetched.
    """
    md5s = _locked_md5s(commit)
    folder = _folder(md5s).with_suffix(".reproduced")
    source = "cache" if (folder / "model.onnx").is_file() else "reproduced"
    if source == "reproduced":
        with progress.step(f"Reproducing the model of {commit[:12]}, which is in no cache and no remote"):
            _reproduce_into(folder, commit, reason)
    return Base(commit, folder, source, file_md5(folder / "model.onnx"), md5s[MODEL])


def _locked_md5s(commit: str) -> dict[str, str]:
    """Return path -> md5 of the model's files that the commit's dvc.lock names."""
    md5s = dvc_lock.outputs(text_at(commit, "dvc.lock"), f"dvc.lock of {commit[:12]}")
    return {name: md5s[name] for name in FILES if name in md5s}


def _folder(md5s: dict[str, str]) -> Path:
    return FOLDER / "-".join(md5[:12] for md5 in md5s.values())


def _have_md5s(md5s: dict[Path, str]) -> bool:
    return all(path.is_file() and file_md5(path) == md5 for path, md5 in md5s.items())


def _copy_from_cache(md5s: dict[str, str], folder: Path) -> bool:
    """Copy files that the folder lacks from DVC's cache; return False if that lacks one, or holds a truncated one."""
    if _have_md5s({folder / Path(name).name: md5 for name, md5 in md5s.items()}):
        return True
    with open_dvc(Path()) as repo:
        cached = {name: Path(repo.cache.local.oid_to_path(md5)) for name, md5 in md5s.items()}
    if not _have_md5s({cached[name]: md5 for name, md5 in md5s.items()}):
        return False
    _copy_files(cached, folder)
    return True


def _copy_files(sources: dict[str, Path], folder: Path) -> None:
    """Copy files into a folder, each whole or not at all; another process may do the same."""
    for name, path in sources.items():
        write_bytes(folder / Path(name).name, path.read_bytes())


def _reproduce_into(folder: Path, commit: str, reason: str) -> None:
    with temporary_worktree(commit) as tree:
        done = run_verb("repro", cwd=tree, capture=True)
        if done.returncode:
            printed = "\n".join((done.stdout + done.stderr).strip().splitlines()[-PRINTED_LINES:])
            raise InputError(
                f"the base's model ({commit[:12]}) is in no cache and no remote{reason}, and cannot be reproduced:\n"
                + printed,
                "Set DVC_REMOTE_URL to where the base's model was pushed, or choose another BASE.",
            )
        # The model last: where it is, the others are.
        _copy_files({name: tree / name for name in reversed(FILES) if (tree / name).is_file()}, folder)
