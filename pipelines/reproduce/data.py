"""Fetch the rows that data.dvc names into data/: from DVC's cache, its remote, or by running ingest again."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pipelines.cli.errors import AlreadyPrinted, Unreachable
from pipelines.cli.verbs import run_verb
from pipelines.repository.data_pointer import DATA, POINTER, md5_of, read_pointer
from pipelines.repository.dvc import dvc_or_fail, folder_md5, in_cache
from pipelines.repository.dvc_remote import default_remote

Source = Literal["present", "checked out", "pulled", "made"]


def fetch_data(root: Path, report: Callable[[str], None]) -> Source:
    """Fetch the rows that data.dvc names, unless data/ already holds rows: those are never replaced.

    Args:
        report: called with one line before a slow step.

    Returns:
        Where the rows came from. Rows that were present or made may differ from those that data.dvc names: see
        `difference`.

    Raises:
        InputError: if there is no data.dvc.
        Unreachable: if the remote, or a source of the rows, does not respond.
    """
    md5 = md5_of(read_pointer(root))
    if (root / DATA).is_dir() and any((root / DATA).iterdir()):
        return "present"
    source: Source = "checked out"
    if not in_cache(root, md5):
        remote = default_remote(root)
        if remote is None:
            return _make(root, md5)
        report(f"pulling data/ from the remote {remote}")
        remedy = "Check the remote, its address and rights, and run again; or `make data`."
        dvc_or_fail(root, "fetch", str(POINTER), remedy=remedy)
        if not in_cache(root, md5):
            raise Unreachable(
                f"the remote {remote} does not hold all rows that data.dvc names ({md5[:8]})",
                "Push them (`dvc push data.dvc`) from where they were made; or `make data`, and commit data.dvc.",
            )
        source = "pulled"
    dvc_or_fail(root, "checkout", str(POINTER), remedy="Fix what DVC reports, and run again.")
    return source


def _make(root: Path, md5: str) -> Source:
    """Ingest into an empty data/; if the rows are those of data.dvc, they go into the cache."""
    if code := run_verb("data", "--keep-pointer", cwd=root).returncode:
        raise AlreadyPrinted(code)
    if folder_md5(root, root / DATA) == md5:
        dvc_or_fail(root, "commit", "--force", str(POINTER), remedy="Fix what DVC reports, and run again.")
    return "made"


def difference(root: Path, source: Source, actual: str | None = None) -> str | None:
    """Return a note for people if data/ differs from data.dvc, else None.

    Args:
        actual: the md5 of data/ if it is known; otherwise DVC hashes every file.
    """
    md5 = md5_of(read_pointer(root))
    actual = actual or folder_md5(root, root / DATA)
    if actual == md5:
        return None
    note = f"data/ is not what data.dvc names ({actual[:8]} instead of {md5[:8]})"
    if source == "made":
        return f"{note}: these parameters and locks give other bytes here. `make data` makes it the data of this branch"
    return (
        f"{note} and was left as it is. `dvc add data` makes it the data of this branch, "
        "`dvc checkout --force data.dvc` discards it"
    )
