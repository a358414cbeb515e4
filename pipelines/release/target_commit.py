"""The target commit of a release: a commit of main with its params.yaml, release id and model md5s."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from pipelines.cli.errors import InputError
from pipelines.config.params import Params, parse
from pipelines.repository import dvc_lock
from pipelines.repository.git import commit_of, text_at
from pipelines.repository.release_id import PARTS, release_id


@dataclass(frozen=True)
class TargetCommit:
    """The commit being released.

    Attributes:
        commit: its hash.
        release_id: its release id.
        params: its params.yaml.
        model_files: path -> md5 of each file of the model, from its dvc.lock.
    """

    commit: str
    release_id: str
    params: Params
    model_files: dict[str, str]

    @property
    def model_name(self) -> str:
        """The model name, with which its tags begin."""
        return self.params.model_name


def read_model_name(commit: str) -> str | None:
    """Return the model name of a commit, or None where its params.yaml has none."""
    try:
        return str(yaml.safe_load(text_at(commit, "params.yaml") or "")["model_name"])
    except (yaml.YAMLError, KeyError, TypeError):
        return None


def read_target_commit(revision: str) -> TargetCommit:
    """Read the target commit from git alone.

    Raises:
        InputError: if there is no such commit, or it has no model or no valid params.yaml.
    """
    commit = commit_of(revision)
    if commit is None:
        raise InputError(f"there is no commit {revision!r}", "Name a commit that `git log` shows.")
    params = parse(text_at(commit, "params.yaml") or "", f"params.yaml of {commit[:12]}")
    outputs = dvc_lock.outputs(text_at(commit, "dvc.lock"), f"dvc.lock of {commit[:12]}")
    return TargetCommit(commit, release_id(commit), params, {part: outputs[part] for part in PARTS if part in outputs})
