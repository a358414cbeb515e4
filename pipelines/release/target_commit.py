"""The target commit of a release: a commit of main with its params.yaml, release id and model md5s."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from pipelines.cli.errors import InputError
from pipelines.config.params import Params, parse
from pipelines.release import deploy, main_history
from pipelines.repository import dvc_lock, origin, tags
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.git import resolve_commit, text_at
from pipelines.repository.release_id import PARTS, release_id


@dataclass(frozen=True)
class TargetCommit:
    """The commit being released: its hash, release id and params.yaml.

    `model_files` maps the path of each file of the model to its md5 in the commit's dvc.lock. `retries_canary` says
    whether a release whose canary was aborted may begin one again.
    """

    commit: str
    release_id: str
    params: Params
    model_files: dict[str, str]
    retries_canary: bool = False

    @property
    def model_name(self) -> str:
        """The model name."""
        return self.params.model_name


def read_model_name(commit: str) -> str | None:
    """Return the model name of a commit, or None where its params.yaml has none."""
    try:
        return str(yaml.safe_load(text_at(commit, "params.yaml") or "")["model_name"])
    except (yaml.YAMLError, KeyError, TypeError):
        return None


def read_target_commit(revision: str) -> TargetCommit:
    """Read the target commit from git alone; InputError if it does not exist, has no model or no valid params.yaml."""
    commit = resolve_commit(revision)
    params = parse(text_at(commit, "params.yaml") or "", f"params.yaml of {commit[:12]}")
    outputs = dvc_lock.outputs(text_at(commit, "dvc.lock"), f"dvc.lock of {commit[:12]}")
    return TargetCommit(commit, release_id(commit), params, {part: outputs[part] for part in PARTS})


def prepare_target_commit(revision: str) -> TargetCommit:
    """Read the target commit, which must be on origin's main, fetch its model's tags and configure the DVC remote.

    Raises InputError also if its service would run on a machine that is deleted when the job ends.
    """
    target = read_target_commit(revision)
    deploy.require_host(target.params)
    set_remote_from_environment(Path())
    tags.fetch_tags(target.model_name)
    if (main := origin.main()) and not main_history.is_ancestor(target.commit, main):
        commit = target.commit[:12]
        raise InputError(f"{commit} is not on origin's main", "Merge it first: only main goes into production.")
    return target
