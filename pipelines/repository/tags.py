"""The tags of releases, read: `fraud@v1.4.0` registers a version, `fraud#production#7` puts one into production.

They follow GTO's grammar and order, so that `gto show` and `gto history` say the same; what GTO does not know stands in
their annotations, as YAML. Tags that people wrote by hand may hold anything, and say nothing about a release.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from pipelines.cli.errors import Unreachable
from pipelines.repository import origin
from pipelines.repository.git import git, try_git

STAGE = "production"
Number = tuple[int, int, int]
_NUMBER = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_COUNTER = re.compile(r"[1-9]\d*")
_FORM = "%(refname:strip=2)%00%(*objectname)%00%(taggerdate:unix)%00%(contents)%01"
# Every scalar is read as text, so that a release id of digits alone stays one; an empty one is null.
Nothing = BeforeValidator(lambda value: None if value in ("", "null") else value)


class Annotation(BaseModel):
    """What a tag's annotation says. `contract` belongs to versions alone, the fields from `version` on to assignments.

    Attributes:
        release: twelve hexadecimal digits.
        image: REPOSITORY@DIGEST.
        model: md5 of models/model.onnx.
        signature: md5 of models/signature.json.
        contract: the signature's JSON without its example, so that git alone can tell whether the next one breaks it.
        version: the version's tag.
        main_commit: the commit of main that was released; not the tagged one where an old version came back.
        pull_request: its number.
        approved_by: logins of those who approved it.
        bypassed: whether it was merged past the rules; None where that is not known.
        metrics: headline metrics on the test rows.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    release: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    image: Annotated[str, Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$")]
    model: str
    signature: str
    contract: str | None = None
    version: str | None = None
    main_commit: str | None = None
    pull_request: Annotated[int | None, Nothing] = None
    approved_by: tuple[str, ...] = ()
    bypassed: Annotated[bool | None, Nothing] = None
    metrics: dict[str, float] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.partition("@")[2]

    def to_yaml(self) -> str:
        """The text of the annotation."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class Version:
    """A registered version: its tag, the commit that carries it, and what it holds."""

    tag: str
    number: Number
    commit: str
    said: Annotation

    @property
    def release(self) -> str:
        """The release id."""
        return self.said.release


@dataclass(frozen=True)
class Assignment:
    """A version's way into production: its tag and counter, the tagged commit, the time (UTC), and what it says."""

    tag: str
    counter: int
    commit: str
    at: datetime
    said: Annotation

    @property
    def release(self) -> str:
        """The release id."""
        return self.said.release

    @property
    def version(self) -> str:
        """The version's tag."""
        return str(self.said.version)

    @property
    def main_commit(self) -> str:
        """The commit of main that was released."""
        return str(self.said.main_commit)


@dataclass(frozen=True)
class _Tag:
    name: str
    commit: str
    at: int
    text: str


def fetch(name: str) -> None:
    """Make a line's tags equal to origin's, where there is an origin, and bring its branches.

    A tag that origin lacks, or has otherwise, says nothing about production, and would hide what does: it goes.

    Raises:
        Unreachable: if it cannot be asked.
    """
    if try_git("remote", "get-url", "origin") is None:
        return
    ours = (f"+refs/tags/{pattern}:refs/tags/{pattern}" for pattern in (f"{name}@v*", f"{name}#*"))
    try:
        origin.call("fetch", "--quiet", "--no-tags", "origin")
        origin.call("fetch", "--quiet", "--no-tags", "--prune", "origin", *ours)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip()
        raise Unreachable(f"origin's tags cannot be fetched: {said}", "Mend the network, run it again.") from error


def versions(name: str) -> list[Version]:
    """All registered versions of a line, the lowest first."""
    found = []
    for tag in _tags(f"{name}@v*"):
        number = _NUMBER.fullmatch(tag.name.removeprefix(f"{name}@"))
        said = read(tag.text)
        if number and said:
            found.append(Version(tag.name, _number(number), tag.commit, said))
    return sorted(found, key=lambda version: version.number)


def registered(name: str) -> dict[str, str]:
    """Release id -> version tag (`fraud@v1.4.0`) of what was ever registered; of two tags, the lower."""
    return {version.release: version.tag for version in reversed(versions(name))}


def version_of(name: str, release: str) -> Version | None:
    """The version under which a release is registered; of two, the lower."""
    return next((version for version in versions(name) if version.release == release), None)


def assignments(name: str) -> list[Assignment]:
    """All assignments to production of a line, in GTO's order: by the tagger's time."""
    found = []
    for tag in _tags(f"{name}#{STAGE}#*"):
        counter = tag.name.rpartition("#")[2]
        said = read(tag.text)
        if _COUNTER.fullmatch(counter) and said and said.version and said.main_commit:
            at = datetime.fromtimestamp(tag.at, UTC)
            found.append(Assignment(tag.name, int(counter), tag.commit, at, said))
    return sorted(found, key=lambda assignment: (assignment.at, assignment.counter))


def newest(name: str) -> Assignment | None:
    """What is in production, or None before the first release."""
    return next(iter(reversed(assignments(name))), None)


def highest_counter(name: str) -> int:
    """The highest number of all assignments, those that people wrote by hand included; 0 without any."""
    counters = [each.rpartition("#")[2] for each in _names(f"{name}#{STAGE}#*")]
    return max((int(counter) for counter in counters if _COUNTER.fullmatch(counter)), default=0)


def numbers(name: str) -> set[Number]:
    """The numbers of all versions, those that people wrote by hand included."""
    found = (_NUMBER.fullmatch(each.removeprefix(f"{name}@")) for each in _names(f"{name}@v*"))
    return {_number(match) for match in found if match}


def latest_time(name: str) -> int:
    """The latest tagger's time (seconds since 1970) of all tags of a line, 0 without any."""
    return max((tag.at for pattern in (f"{name}@v*", f"{name}#*") for tag in _tags(pattern)), default=0)


def _names(pattern: str) -> list[str]:
    """The tags that match, annotated or not."""
    return git("for-each-ref", "--format=%(refname:strip=2)", f"refs/tags/{pattern}").splitlines()


def _tags(pattern: str) -> list[_Tag]:
    """The annotated tags that match."""
    found = []
    for entry in git("for-each-ref", f"--format={_FORM}", f"refs/tags/{pattern}").split("\x01"):
        parts = entry.lstrip("\n").split("\0", 3)
        if len(parts) == 4 and parts[1] and parts[2].isdecimal():
            found.append(_Tag(parts[0], parts[1], int(parts[2]), parts[3]))
    return found


def _number(match: re.Match[str]) -> Number:
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch


def read(text: str) -> Annotation | None:
    """What a tag's text says, or None where it says nothing about a release."""
    try:
        document: Any = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - makes no objects
        return Annotation.model_validate(document)
    except (yaml.YAMLError, ValidationError, ValueError):
        return None
