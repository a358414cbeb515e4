"""The base's rows: found in DVC's cache, or fetched from its remote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock, git
from pipelines.repository.base_model import Base, fetch_from_remote
from pipelines.repository.dvc import cached_files
from pipelines.repository.dvc_remote import default_remote


@dataclass(frozen=True)
class BaseRows:
    """The base's Parquet files, with its prepared columns.

    Attributes:
        unchanged: the head has the same rows in data/.
        prepared_alike: it also has the same in prepared/, so there is nothing to compare.
        files: empty if they are alike, or could not be fetched.
        why_not: why they could not be fetched.
    """

    unchanged: bool = False
    prepared_alike: bool = False
    files: tuple[Path, ...] = ()
    why_not: str = ""


def fetch(base: Base, progress: Progress) -> BaseRows:
    """Fetch the rows that the base's model was made from, unless the head has the same."""
    before, now = git.text_at(base.commit, str(dvc_lock.PATH)), dvc_lock.read()
    rows = dvc_lock.prepared_rows(before)
    if rows is None:
        return BaseRows(why_not=f"dvc.lock of {base.commit[:7]} names no data/")
    folder, md5 = rows
    unchanged = dvc_lock.data_md5(before) == dvc_lock.data_md5(now)
    rows_now = dvc_lock.prepared_rows(now)
    if rows_now is not None and rows_now[1] == md5:
        return BaseRows(unchanged=True, prepared_alike=True)
    files = cached_files(md5, whole=True)
    why_not = f"the base's rows ({md5[:12]}, commit {base.commit[:7]}) are not in DVC's cache"
    if not files and (remote := default_remote()):
        try:
            with progress.step(f"Fetching the rows of {base.commit[:12]} from the remote"):
                fetch_from_remote(base.commit, [folder])
            files = cached_files(md5, whole=True)
            why_not += f", and not in the remote {remote}"
        except Unreachable as error:
            why_not += f", and the remote cannot be read: {error}"
    return BaseRows(unchanged, files=files, why_not="" if files else why_not)
