"""The release id: a hash of everything that goes into the image, from the tree of a commit alone."""

import hashlib
import json

import yaml

from pipelines.cli.errors import InputError
from pipelines.repository import dvc_lock, tags
from pipelines.repository.git import base_commit, object_at, text_at, tree_of_worktree, try_git

PARTS = ("models/model.onnx", "models/signature.json")
# The keys of `serving` in params.yaml that change the image. The others only decide where and how it runs.
SETTINGS = ("base_image", "max_batch_rows", "max_body_mb", "timeout_seconds")
FILES = ["dvc.lock", "params.yaml", "serving", "requirements/serving.txt"]


def release_id(revision: str) -> str:
    """Return the release id of a revision, 12 hexadecimal digits; raise InputError if it has no model."""
    outputs = dvc_lock.outputs(text_at(revision, "dvc.lock"), f"dvc.lock of {revision}")
    if missing := [part for part in PARTS if part not in outputs]:
        raise InputError(
            f"dvc.lock of {revision} has no {', '.join(missing)}", "Reproduce the pipeline and commit dvc.lock."
        )
    parts = {part: outputs[part] for part in PARTS}
    for path in ("serving", "requirements/serving.txt"):
        parts[path] = object_at(revision, path) or ""
    parts["params.serving"] = json.dumps(_serving_settings(revision), sort_keys=True, separators=(",", ":"))
    text = json.dumps(sorted(parts.items()), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _serving_settings(revision: str) -> dict[str, object]:
    """Return the settings in section `serving` of params.yaml that change the image."""
    try:
        serving = yaml.safe_load(text_at(revision, "params.yaml") or "")["serving"]
        return {key: serving[key] for key in SETTINGS if key in serving}
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"params.yaml of {revision} has no section serving", "Name a commit with one.") from error


def worktree_release_id() -> str:
    """Return the release id that the work tree would have if it were committed now."""
    return release_id(tree_of_worktree(FILES))


def registered_version(model_name: str, expected: str, data_md5: str | None) -> str | None:
    """Return the version that registers a release id, or None.

    A tag alone is no proof: the commit that it names must be on main and have the release id. The release id says
    nothing of the rows, so that commit must also name the same ones (`data_md5`).
    """
    version, (_, main) = tags.find_version(model_name, expected), base_commit(None)
    if version is None or try_git("merge-base", "--is-ancestor", version.commit, main) is None:
        return None
    try:
        same_rows = dvc_lock.data_md5(text_at(version.commit, "dvc.lock")) == data_md5
        return version.tag if same_rows and release_id(version.commit) == expected else None
    except InputError:
        return None
