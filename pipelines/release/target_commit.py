"""What a release would put into production: a commit of main, with its settings, its identity and its files' md5s."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from pipelines.cli.errors import InputError
from pipelines.config.params import Params, parse
from pipelines.repository import dvc_lock
from pipelines.repository.git import commit_of, text_at
from pipelines.repository.release_id import PARTS, release_id


@dataclass(frozen=True)
class Candidate:
    """A commit that may be released. `files` has the md5 of each file of the model, by dvc.lock."""

    commit: str
    release: str
    params: Params
    files: dict[str, str]

    @property
    def name(self) -> str:
        """The line of releases, as in its tags."""
        return self.params.model_name


def line(commit: str) -> str | None:
    """The line that a commit releases, or None where its params.yaml does not say."""
    try:
        return str(yaml.safe_load(text_at(commit, "params.yaml") or "")["model_name"])
    except (yaml.YAMLError, KeyError, TypeError):
        return None


def of(revision: str) -> Candidate:
    """Read it from the tree of a commit alone.

    Raises:
        InputError: if there is no such commit, or nothing to release in it.
    """
    commit = commit_of(revision)
    if commit is None:
        raise InputError(f"there is no commit {revision!r}", "Name one that `git log` shows.")
    where = f"params.yaml of {commit[:12]}"
    params = parse(text_at(commit, "params.yaml") or "", where)
    outputs = dvc_lock.outputs(text_at(commit, "dvc.lock"), f"dvc.lock of {commit[:12]}")
    return Candidate(commit, release_id(commit), params, {part: outputs[part] for part in PARTS if part in outputs})
