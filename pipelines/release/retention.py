"""Which images and DVC objects must be kept, so that every release that was in production can be restored."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.repository import dvc_lock, tags
from pipelines.repository.dvc_remote import default_remote, set_remote_from_environment
from pipelines.repository.git import commit_of, object_at, text_at


def print_retention(params: Params) -> int:
    """Print what `list_retained` returns, as JSON."""
    retained = list_retained(params)
    print(json.dumps(retained, indent=2))
    for md5 in retained["unread"]:
        print(f"{md5} is a folder whose list cannot be read: keep every file in it.", file=sys.stderr)
    return 0


def list_retained(params: Params) -> dict[str, Any]:
    """List the images and DVC objects of everything that was in production and of the newest versions.

    `images` are REPOSITORY@DIGEST. `objects` maps each md5 to the paths of the files that had it. `unread` lists the
    objects that are folders and whose list of files was not found: the files in them are not listed.

    Raises InputError or Unreachable if a released commit or origin's tags are missing: nothing is left out silently.
    """
    set_remote_from_environment(Path())
    tags.fetch_tags(params.model_name)
    assignments, versions = tags.list_assignments(params.model_name), tags.list_versions(params.model_name)
    assigned_ids = {assignment.release_id for assignment in assignments}
    newest = versions[-params.retention.keep_last :]
    versions = [version for version in versions if version in newest or version.release_id in assigned_ids]
    commits = {version.commit for version in versions} | {assignment.main_commit for assignment in assignments}
    objects: dict[str, set[str]] = {}
    for commit in commits:
        for path, md5 in _list_dvc_outputs(commit).items():
            objects.setdefault(md5, set()).add(path)
    unread = _add_folder_contents(objects)
    images = {tag.annotation.image for tag in versions} | {tag.annotation.image for tag in assignments}
    return {
        "versions": [version.tag for version in versions],
        "images": sorted(images),
        "objects": {md5: sorted(paths) for md5, paths in sorted(objects.items())},
        "unread": unread,
    }


def _list_dvc_outputs(commit: str) -> dict[str, str]:
    """Return path -> md5 of the outputs in a commit's dvc.lock that git does not hold (git holds metrics and plots)."""
    if commit_of(commit) is None:
        raise InputError(
            f"the released commit {commit} is not fetched",
            "Fetch the whole history (`git fetch --unshallow` in a shallow clone), then run again.",
        )
    text = text_at(commit, "dvc.lock")
    outputs = dvc_lock.outputs(text, f"dvc.lock of {commit[:12]}")
    if data := dvc_lock.data_md5(text):
        outputs["data"] = data
    return {path: md5 for path, md5 in outputs.items() if object_at(commit, path) is None}


def _add_folder_contents(objects: dict[str, set[str]]) -> list[str]:
    """Add the files of all folders among the objects; return the folders whose list of files was not found."""
    from dvc.repo import Repo

    unread = []
    with Repo() as repo:
        for folder in sorted(md5 for md5 in objects if md5.endswith(".dir")):
            files = _read_folder_list(repo, folder)
            if files is None:
                unread.append(folder)
            for name, md5 in (files or {}).items():
                objects.setdefault(md5, set()).update(f"{path}/{name}" for path in objects[folder])
    return unread


def _read_folder_list(repo: Any, folder: str) -> dict[str, str] | None:
    """Return path in the folder -> md5, from DVC's cache or else its remote; None if neither has the complete list."""
    stores = [lambda: repo.cache.local, *([repo.cloud.get_remote_odb] if default_remote() else [])]
    for open_store in stores:
        try:
            store = open_store()
            content = store.fs.cat_file(store.oid_to_path(folder))
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == folder.removesuffix(".dir"):
                return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
        except Exception:  # noqa: S112 - each kind of store has its own errors, and all mean an unreadable list
            continue
    return None
