"""The base's rows: found in DVC's cache, or fetched from its remote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock, git
from pipelines.repository.base_model import Base, fetch_from_remote
from pipelines.repository.data_pointer import POINTER
from pipelines.repository.dvc import cached_files
from pipelines.repository.dvc_remote import default_remote


@dataclass(frozen=True)
class BaseRows:
    """The base's Parquet files.

    Attributes:
        unchanged: the head has the same files, so there is nothing to compare.
        files: empty if they are unchanged, or could not be fetched.
        why_not: why they could not be fetched.
    """

    unchanged: bool = False
    files: tuple[Path, ...] = ()
    why_not: str = ""


def fetch(base: Base, progress: Progress) -> BaseRows:
    """Fetch the rows that the base's model was made from, unless the head has the same."""
    md5 = dvc_lock.data_md5(git.text_at(base.commit, str(dvc_lock.PATH)))
    if md5 is None:
        return BaseRows(why_not=f"dvc.lock of {base.commit[:7]} names no data/")
    if md5 == dvc_lock.data_md5(dvc_lock.read()):
        return BaseRows(unchanged=True)
    files = cached_files(md5, whole=True)
    why_not = f"the base's rows ({md5[:12]}, commit {base.commit[:7]}) are not in DVC's cache"
    if not files and (remote := default_remote()):
        try:
            with progress.step(f"Fetching the rows of {base.commit[:12]} from the remote"):
                fetch_from_remote(base.commit, [str(POINTER)])
            files = cached_files(md5, whole=True)
            why_not += f", and not in the remote {remote}"
        except Unreachable as error:
            why_not += f", and the remote cannot be read: {error}"
    return BaseRows(files=files) if files else BaseRows(why_not=why_not)
