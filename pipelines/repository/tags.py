"""Reading the tags of releases: `fraud@v1.4.0` registers a version, `fraud#production#7` assigns one to production.

In a rollout, `fraud#canary#8` gives a version a share of the requests, and `fraud#canary!#9` ends that. They follow
GTO's grammar and order, so that `gto show` and `gto history` print the same. Their annotations hold, as YAML, what
GTO does not record. Tags created by hand are ignored: their annotations can hold anything.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipelines.repository import origin
from pipelines.repository.git import git, has_origin

PRODUCTION = "production"
CANARY = "canary"
CANARY_END = "canary!"
Number = tuple[int, int, int]
_NUMBER = re.compile(r"^[^@]*@v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$", re.ASCII)
_COUNTER = re.compile(r"^[^#]*#[^#]*#([1-9]\d*)$", re.ASCII)
_REF_FORMAT = "%(refname:strip=2)%00%(*objectname)%00%(taggerdate:unix)%00%(contents)%01"
# The YAML loader reads every scalar as text, so that a release id of digits alone stays a text; empty means null.
_EmptyAsNone = BeforeValidator(lambda value: None if value in ("", "null") else value)


class Annotation(BaseModel):
    """The annotation of a tag. Only versions have `contract`, only assignments the fields from `version` on.

    Attributes:
        weight: share of the requests in percent; only a canary has one.
        why: why a canary was ended.
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

    weight: Annotated[int | None, Field(gt=0, lt=100)] = None
    why: str | None = None
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
    """An assignment of a version to a stage: its tag, counter, tagged commit, time (UTC) and annotation."""

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


def fetch_tags(model_name: str) -> None:
    """Make the tags of a model equal to origin's, and fetch origin's main. Without an origin, do nothing.

    Tags of the model that origin does not have are deleted: they would hide what is in production.
    """
    if has_origin():
        patterns = [f"+{name}:{name}" for name in (f"refs/tags/{model_name}@v*", f"refs/tags/{model_name}#*")]
        # A pattern, because an empty origin has no main. Of other branches, --prune would delete people's copies.
        main = "+refs/heads/main*:refs/remotes/origin/main*"
        origin.read("fetch", "--quiet", "--no-tags", "--prune", "origin", main, *patterns)


def list_versions(model_name: str) -> list[Version]:
    """List all registered versions of a model, the lowest first."""
    versions = []
    for tag, commit, _, text in _list_annotated_tags(f"{model_name}@v*"):
        number, annotation = _parse_number(tag), parse_annotation(text)
        if number and annotation:
            versions.append(Version(tag, number, commit, annotation))
    return sorted(versions, key=lambda version: version.number)


def list_lasting_versions(model_name: str) -> list[Version]:
    """List the versions that were not rolled back, the newest first.

    A version was rolled back if an older one was assigned after its last assignment, or if its canary was ended before
    it was in production.
    """
    versions = list_versions(model_name)
    ended = {end.version for end in list_assignments(model_name, CANARY_END)}
    numbers = {version.tag: version.number for version in versions}
    assigned = [numbers[item.version] for item in list_assignments(model_name) if item.version in numbers]

    def lasts(number: Number) -> bool:
        later = assigned[len(assigned) - assigned[::-1].index(number) :] if number in assigned else []
        return all(after > number for after in later)

    aborted = {version.tag for version in versions if version.tag in ended and version.number not in assigned}
    return [version for version in reversed(versions) if lasts(version.number) and version.tag not in aborted]


def versions_by_release_id(model_name: str) -> dict[str, str]:
    """Return release id -> tag (`fraud@v1.4.0`) of all registered versions; of two with one release id, the lower."""
    return {version.release_id: version.tag for version in reversed(list_versions(model_name))}


def find_version(model_name: str, release_id: str) -> Version | None:
    """Return the version of a release id, or None; of two, the lower."""
    return next((version for version in list_versions(model_name) if version.release_id == release_id), None)


def list_assignments(model_name: str, stage: str = PRODUCTION) -> list[Assignment]:
    """List all assignments to a stage, in GTO's order: by the tagger's time; for CANARY_END, the ends of canaries."""
    assignments = []
    for tag, commit, timestamp, text in _list_annotated_tags(f"{model_name}#{stage}#*"):
        counter, annotation = _parse_counter(tag), parse_annotation(text)
        if counter and annotation and annotation.version and annotation.main_commit:
            assignments.append(Assignment(tag, counter, commit, datetime.fromtimestamp(timestamp, UTC), annotation))
    return sorted(assignments, key=lambda assignment: (assignment.assigned_at, assignment.counter))


def find_newest_assignment(model_name: str) -> Assignment | None:
    """Return the assignment in production, or None before the first release."""
    assignments = list_assignments(model_name)
    return assignments[-1] if assignments else None


def find_canary(model_name: str) -> Assignment | None:
    """Return the newest assignment of the canary that runs, or None.

    An end, or any later assignment to production, ends a canary: a release that is killed between the tag of production
    and the canary's end leaves no canary. Of two runs at once both may take one counter, in different stages: the
    canary ends, too, whichever tag has the later time.
    """
    canaries = list_assignments(model_name, CANARY)
    ends = list_assignments(model_name, CANARY_END) + list_assignments(model_name)
    newest = canaries[-1] if canaries else None
    if newest is None or newest.annotation.weight is None:
        return None
    order = (newest.assigned_at, newest.counter)
    is_ended = any((end.assigned_at, end.counter) > order or end.counter >= newest.counter for end in ends)
    return None if is_ended else newest


def find_highest_counter(model_name: str) -> int:
    """Return the highest counter of the tags of all stages, including those created by hand; 0 without any."""
    return max(map(_parse_counter, _list_tags(f"{model_name}#*")), default=0)


def list_numbers(model_name: str) -> set[Number]:
    """Return the numbers of all version tags, including those created by hand."""
    return set(filter(None, map(_parse_number, _list_tags(f"{model_name}@v*"))))


def find_latest_time(model_name: str) -> int:
    """Return the latest tagger's time (seconds since 1970) of all tags of a model, 0 without any.

    Tags created by hand do not count: one dated in the future would date all later ones.
    """
    tags = [*_list_annotated_tags(f"{model_name}@v*"), *_list_annotated_tags(f"{model_name}#*")]
    return max((timestamp for _, _, timestamp, text in tags if parse_annotation(text)), default=0)


def parse_annotation(text: str) -> Annotation | None:
    """Return a tag's annotation, or None if the text is not the annotation of a release."""
    try:
        return Annotation.model_validate(yaml.load(text, yaml.BaseLoader))  # noqa: S506 - BaseLoader creates no objects
    except (yaml.YAMLError, ValueError):  # pydantic's ValidationError is a ValueError
        return None


def _parse_number(tag: str) -> Number | None:
    match = _NUMBER.search(tag)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _parse_counter(tag: str) -> int:
    """Return the counter of an assignment's tag, or 0 if it has none."""
    match = _COUNTER.search(tag)
    return int(match[1]) if match else 0


def _list_tags(pattern: str) -> list[str]:
    """List the names of all matching tags, annotated or not."""
    return git("for-each-ref", "--format=%(refname:strip=2)", f"refs/tags/{pattern}").splitlines()


def _list_annotated_tags(pattern: str) -> list[tuple[str, str, int, str]]:
    """List name, commit, tagger's time and text of the matching tags that are annotated."""
    tags = []
    for entry in git("for-each-ref", f"--format={_REF_FORMAT}", f"refs/tags/{pattern}").split("\x01"):
        name, *fields = entry.lstrip("\n").split("\0", 3)
        if len(fields) == 3 and fields[0] and fields[1].isdecimal():
            tags.append((name, fields[0], int(fields[1]), fields[2]))
    return tags
