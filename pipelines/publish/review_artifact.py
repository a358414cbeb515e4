"""The artifact of the review's job, read as data: known names, small sizes, nothing unpacked to disk or run."""

import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, PositiveInt, ValidationError

from pipelines.cli.errors import Refused
from pipelines.repository.dvc_lock import is_generated

REPORT = "reports/review/review.md"
DOCUMENT = "reports/review/review.json"
LARGEST_ZIP = 50_000_000
LARGEST_FILE = 2_000_000
LARGEST_SUM = 10_000_000
_SEE_JOB = "See the log of the review's job."
# What zipfile raises for a damaged zip.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError, ValueError)


class _Document(BaseModel):
    verdict: Literal["pass", "fail"]
    pull_request: PositiveInt | None = None


@dataclass(frozen=True)
class Review:
    """A report in Markdown with its verdict, and the generated files to commit.

    Attributes:
        pull_request: number of the pull request, as the artifact names it.
        generated: path -> content.
    """

    report: str
    verdict: Literal["pass", "fail"]
    pull_request: int | None
    generated: dict[str, bytes]


def read_folder(folder: Path) -> Review:
    """Read an unpacked artifact from a folder.

    Raises:
        Refused: if it has no report, or a file is too large.
    """
    contents: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not (is_generated(name) or name in (REPORT, DOCUMENT)) or path.is_dir():
            continue
        if path.is_symlink() or not path.is_file():
            raise Refused(f"{name!r} in the artifact is not a regular file", _SEE_JOB)
        _check_size(name, path.stat().st_size)
        contents[name] = path.read_bytes()
    return _parse_review(contents)


def read_zip(content: bytes) -> Review:
    """Read the report from an artifact's zip, and nothing else in it.

    Raises:
        Refused: if it is not a zip, or its report is missing or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            contents = {}
            for name in (REPORT, DOCUMENT):
                if name in archive.namelist():
                    member = archive.getinfo(name)
                    _check_size(name, member.file_size)
                    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                        # The limit of `read` below has no effect on bzip2 and LZMA.
                        raise zipfile.BadZipFile(f"{name} is compressed by method {member.compress_type}")
                    with archive.open(name) as file:
                        # The sender wrote the size above: without this limit, zipfile would unpack everything.
                        contents[name] = file.read(LARGEST_FILE)
    except _UNREADABLE as error:
        raise Refused(f"the artifact is not a readable zip: {error}", _SEE_JOB) from error
    return _parse_review(contents)


def _check_size(name: str, size: int) -> None:
    if size > LARGEST_FILE:
        raise Refused(f"{name} in the artifact has {size:,} bytes; at most {LARGEST_FILE:,} are allowed", _SEE_JOB)


def _parse_review(contents: dict[str, bytes]) -> Review:
    if sum(map(len, contents.values())) > LARGEST_SUM:
        raise Refused(f"the artifact's files have more than {LARGEST_SUM:,} bytes", _SEE_JOB)
    if REPORT not in contents or DOCUMENT not in contents:
        raise Refused("the artifact has no report", f"The review ended early. {_SEE_JOB}")
    try:
        report = contents[REPORT].decode("utf-8")
        document = _Document.model_validate_json(contents[DOCUMENT], strict=True)
    except UnicodeDecodeError as error:
        raise Refused("review.md in the artifact is not UTF-8", _SEE_JOB) from error
    except ValidationError as error:
        raise Refused("review.json in the artifact is invalid", _SEE_JOB) from error
    generated = {name: content for name, content in contents.items() if is_generated(name)}
    return Review(report, document.verdict, document.pull_request, generated)
