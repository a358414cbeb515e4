"""What the review's job hands over, read as data: few names, small sizes, nothing unpacked or run."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.cli.errors import Refused
from pipelines.repository.dvc_lock import is_generated

REPORT = "reports/review/review.md"
DOCUMENT = "reports/review/review.json"
LARGEST_ZIP = 50_000_000
LARGEST_FILE = 2_000_000
LARGEST_SUM = 10_000_000


@dataclass(frozen=True)
class Handover:
    """A report with its verdict, and the generated files that belong into git (path -> content)."""

    report: str
    verdict: Literal["pass", "fail"]
    number: int | None
    generated: dict[str, bytes]


def from_folder(folder: Path) -> Handover:
    """Read an artifact that was unpacked into a folder.

    Raises:
        Refused: if it holds no report, or something too large.
    """
    contents: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not (is_generated(name) or name in (REPORT, DOCUMENT)) or path.is_dir():
            continue
        if path.is_symlink() or not path.is_file():
            raise Refused(f"the artifact holds {name!r}, which is no plain file", "Look into the review's job.")
        _check_size(name, path.stat().st_size)
        contents[name] = path.read_bytes()
    return _handover(contents)


def from_zip(content: bytes) -> Handover:
    """Read the report out of an artifact's zip; whatever else is in it is not looked at.

    Raises:
        Refused: if it is no zip, holds no report, or one that is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            contents = {}
            for name in (REPORT, DOCUMENT):
                if name in archive.namelist():
                    _check_size(name, archive.getinfo(name).file_size)
                    with archive.open(name) as file:
                        # The size above is the sender's word; without a limit, zipfile unpacks all before it looks.
                        contents[name] = file.read(LARGEST_FILE)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise Refused(f"the artifact is no readable zip: {error}", "Look into the review's job.") from error
    return _handover(contents)


def _check_size(name: str, size: int) -> None:
    if size > LARGEST_FILE:
        raise Refused(
            f"{name} of the artifact has {size:,} bytes, at most {LARGEST_FILE:,} are taken", "It is not posted."
        )


def _handover(contents: dict[str, bytes]) -> Handover:
    if sum(map(len, contents.values())) > LARGEST_SUM:
        raise Refused(f"the artifact's files have more than {LARGEST_SUM:,} bytes", "It is not posted.")
    remedy = "Look into the review's job: it ended before there was a report."
    try:
        report = contents[REPORT].decode("utf-8")
        document = json.loads(contents[DOCUMENT])
        verdict = document["verdict"]
        number = document.get("pull_request")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Refused(f"the artifact holds no report: {error!r}", remedy) from error
    if verdict not in ("pass", "fail") or not (number is None or (type(number) is int and number > 0)):
        raise Refused("the artifact's review.json is not one of a review", remedy)
    return Handover(report, verdict, number, {name: data for name, data in contents.items() if is_generated(name)})
