"""The base's rows, found in DVC's cache or fetched from its remote."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock, git
from pipelines.repository.base_model import Base
from pipelines.repository.dvc import fetch_folder
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
    md5 = dvc_lock.prepared_md5(before)
    if md5 is None:
        return BaseRows(why_not=f"dvc.lock of {base.commit[:7]} names no data/")
    unchanged = dvc_lock.data_md5(before) == dvc_lock.data_md5(now)
    if dvc_lock.prepared_md5(now) == md5:
        return BaseRows(unchanged=True, prepared_alike=True)
    why_not = f"the base's rows ({md5[:12]}, commit {base.commit[:7]}) are not in DVC's cache"
    try:
        if files := fetch_folder(md5, progress):
            return BaseRows(unchanged, files=files)
    except Unreachable as error:
        return BaseRows(unchanged, why_not=f"{why_not}, and the remote cannot be read: {error}")
    if remote := default_remote():
        why_not += f", and not in the remote {remote}"
    return BaseRows(unchanged, why_not=why_not)
