"""Reading the tags of releases: `fraud@v1.4.0` registers a version, `fraud#production#7` assigns one to production.

They follow GTO's grammar and order, so that `gto show` and `gto history` print the same. Their annotations hold, as
YAML, what GTO does not record. Tags created by hand are ignored: their annotations can hold anything.
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
_REF_FORMAT = "%(refname:strip=2)%00%(*objectname)%00%(taggerdate:unix)%00%(contents)%01"
# The YAML loader reads every scalar as text, so that a release id of digits alone stays a text; empty means null.
_EmptyAsNone = BeforeValidator(lambda value: None if value in ("", "null") else value)


class Annotation(BaseModel):
    """The annotation of a tag. Only versions have `contract`, only assignments the fields from `version` on.

    Attributes:
        release: the release id.
        image: REPOSITORY@DIGEST.
        model: md5 of models/model.onnx.
        signature: md5 of models/signature.json.
        contract: the signature's JSON without its example, to see from git alone whether a later one breaks clients.
        version: the version's tag.
        main_commit: the commit of main that was released; differs from the tagged commit after a rollback.
        pull_request: number of the pull request.
        approved_by: logins of its approvers.
        bypassed: whether the ruleset of main was bypassed; None where that is unknown.
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
    pull_request: Annotated[int | None, _EmptyAsNone] = None
    approved_by: tuple[str, ...] = ()
    bypassed: Annotated[bool | None, _EmptyAsNone] = None
    metrics: dict[str, float] = Field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The image's digest."""
        return self.image.partition("@")[2]

    def to_yaml(self) -> str:
        """Return the text of the annotation."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_unset=True), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True)
class Version:
    """A registered version: its tag, its number, the tagged commit, and its annotation."""

    tag: str
    number: Number
    commit: str
    annotation: Annotation

    @property
    def release_id(self) -> str:
        """The release id."""
        return self.annotation.release


@dataclass(frozen=True)
class Assignment:
    """An assignment of a version to production: its tag, counter, tagged commit, time (UTC) and annotation."""

    tag: str
    counter: int
    commit: str
    assigned_at: datetime
    annotation: Annotation

    @property
    def release_id(self) -> str:
        """The release id."""
        return self.annotation.release

    @property
    def version(self) -> str:
        """The version's tag."""
        return str(self.annotation.version)

    @property
    def main_commit(self) -> str:
        """The commit of main that was released."""
        return str(self.annotation.main_commit)


@dataclass(frozen=True)
class _Tag:
    name: str
    commit: str
    timestamp: int
    text: str


def fetch_tags(model_name: str) -> None:
    """Make the tags of a model equal to origin's, and fetch origin's branches. Without an origin, do nothing.

    Tags of the model that origin does not have are deleted: they would hide what is in production.

    Raises:
        Unreachable: if origin does not respond.
    """
    if try_git("remote", "get-url", "origin") is None:
        return
    refspecs = [f"+refs/tags/{pattern}:refs/tags/{pattern}" for pattern in _patterns(model_name)]
    try:
        origin.run_git("fetch", "--quiet", "--no-tags", "origin")
        origin.run_git("fetch", "--quiet", "--no-tags", "--prune", "origin", *refspecs)
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip()
        raise Unreachable(f"origin's tags cannot be fetched: {reason}", "Fix the network, then run again.") from error


def list_versions(model_name: str) -> list[Version]:
    """List all registered versions of a model, the lowest first."""
    versions = []
    for tag in _list_annotated_tags(f"{model_name}@v*"):
        match = _NUMBER.fullmatch(tag.name.removeprefix(f"{model_name}@"))
        annotation = parse_annotation(tag.text)
        if match and annotation:
            versions.append(Version(tag.name, _parse_number(match), tag.commit, annotation))
    return sorted(versions, key=lambda version: version.number)


def list_lasting_versions(model_name: str) -> list[Version]:
    """List the versions that were not rolled back, the newest first.

    A version was rolled back if an older one was assigned after its last assignment.
    """
    versions = list_versions(model_name)
    numbers = {version.tag: version.number for version in versions}
    assigned = [numbers[item.version] for item in list_assignments(model_name) if item.version in numbers]

    def lasts(number: Number) -> bool:
        later = assigned[len(assigned) - assigned[::-1].index(number) :] if number in assigned else []
        return all(after > number for after in later)

    return [version for version in reversed(versions) if lasts(version.number)]


def versions_by_release_id(model_name: str) -> dict[str, str]:
    """Return release id -> tag (`fraud@v1.4.0`) of all registered versions; of two with one release id, the lower."""
    return {version.release_id: version.tag for version in reversed(list_versions(model_name))}


def find_version(model_name: str, release_id: str) -> Version | None:
    """Return the version of a release id, or None; of two, the lower."""
    return next((version for version in list_versions(model_name) if version.release_id == release_id), None)


def list_assignments(model_name: str) -> list[Assignment]:
    """List all assignments to production, in GTO's order: by the tagger's time."""
    assignments = []
    for tag in _list_annotated_tags(f"{model_name}#{STAGE}#*"):
        counter = tag.name.rpartition("#")[2]
        annotation = parse_annotation(tag.text)
        if _COUNTER.fullmatch(counter) and annotation and annotation.version and annotation.main_commit:
            assigned_at = datetime.fromtimestamp(tag.timestamp, UTC)
            assignments.append(Assignment(tag.name, int(counter), tag.commit, assigned_at, annotation))
    return sorted(assignments, key=lambda assignment: (assignment.assigned_at, assignment.counter))


def find_newest_assignment(model_name: str) -> Assignment | None:
    """Return the assignment in production, or None before the first release."""
    return next(iter(reversed(list_assignments(model_name))), None)


def find_highest_counter(model_name: str) -> int:
    """Return the highest counter of all assignment tags, including those created by hand; 0 without any."""
    counters = [name.rpartition("#")[2] for name in _list_tag_names(f"{model_name}#{STAGE}#*")]
    return max((int(counter) for counter in counters if _COUNTER.fullmatch(counter)), default=0)


def list_numbers(model_name: str) -> set[Number]:
    """Return the numbers of all version tags, including those created by hand."""
    names = _list_tag_names(f"{model_name}@v*")
    matches = (_NUMBER.fullmatch(name.removeprefix(f"{model_name}@")) for name in names)
    return {_parse_number(match) for match in matches if match}


def find_latest_time(model_name: str) -> int:
    """Return the latest tagger's time (seconds since 1970) of all tags of a model, 0 without any."""
    tags = (tag for pattern in _patterns(model_name) for tag in _list_annotated_tags(pattern))
    return max((tag.timestamp for tag in tags), default=0)


def parse_annotation(text: str) -> Annotation | None:
    """Return a tag's annotation, or None where the text is not the annotation of a release."""
    try:
        document: Any = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - BaseLoader creates no objects
        return Annotation.model_validate(document)
    except (yaml.YAMLError, ValidationError, ValueError):
        return None


def _patterns(model_name: str) -> tuple[str, str]:
    """Return the patterns of a model's version tags and assignment tags."""
    return f"{model_name}@v*", f"{model_name}#*"


def _list_tag_names(pattern: str) -> list[str]:
    """List the names of all matching tags, annotated or not."""
    return git("for-each-ref", "--format=%(refname:strip=2)", f"refs/tags/{pattern}").splitlines()


def _list_annotated_tags(pattern: str) -> list[_Tag]:
    """List the matching tags that are annotated."""
    tags = []
    for entry in git("for-each-ref", f"--format={_REF_FORMAT}", f"refs/tags/{pattern}").split("\x01"):
        parts = entry.lstrip("\n").split("\0", 3)
        if len(parts) == 4 and parts[1] and parts[2].isdecimal():
            tags.append(_Tag(parts[0], parts[1], int(parts[2]), parts[3]))
    return tags


def _parse_number(match: re.Match[str]) -> Number:
    major, minor, patch = (int(part) for part in match.groups())
    return major, minor, patch
