"""Scratch folders that the next run removes if this one is killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """Yield a new folder below the temporary folder, and remove it and those of killed runs of this kind.

    Each run holds a lock on its folder, which the kernel releases when the process ends.
    """
    prefix = f"mainline-{kind}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    created = Path(tempfile.mkdtemp(prefix=".mainline-"))
    with _locked(created):
        folder = created.rename(created.with_name(f"{prefix}{created.name.rpartition('-')[2]}"))  # after it is locked
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; OSError if another process holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
