"""The base's rows: found in DVC's cache, or fetched from its remote."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock, git
from pipelines.repository.base_model import Base, fetch_from_remote
from pipelines.repository.data_pointer import POINTER
from pipelines.repository.dvc import file_md5
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


def cached_files(md5: str, whole: bool = False) -> tuple[Path, ...]:
    """The Parquet files of a folder in DVC's cache; empty if one of them is not there.

    Args:
        md5: of the folder, which ends in .dir.
        whole: accept only files with the right md5; the cache is shared and may hold a truncated file.
    """
    from dvc.repo import Repo

    with Repo() as repo:
        odb = repo.cache.local
        listing = Path(odb.oid_to_path(md5))
        if not listing.is_file():
            return ()
        entries = json.loads(listing.read_text(encoding="utf-8"))
        files = {Path(odb.oid_to_path(e["md5"])): e["md5"] for e in entries if e["relpath"].endswith(".parquet")}
    complete = all(path.is_file() and (not whole or file_md5(path) == digest) for path, digest in files.items())
    return tuple(files) if complete else ()
