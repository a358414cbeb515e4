"""What must be kept, so that every release that was in production can come back: images and DVC's objects."""

from __future__ import annotations

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


def show(params: Params) -> int:
    """Print, as JSON, the images and DVC objects of all that ever was in production and of the last versions.

    `images` are REPOSITORY@DIGEST; `objects` are md5s, each with the paths of files that had it; `unread` are those of
    them that are folders whose list of files is at hand nowhere, so that what is in them is not listed.
    """
    found = kept(params)
    print(json.dumps(found, indent=2))
    for md5 in found["unread"]:
        print(f"{md5} is a folder whose list cannot be read: it stands for all that is in it.", file=sys.stderr)
    return 0


def kept(params: Params) -> dict[str, Any]:
    """What `show` prints.

    Raises:
        InputError: if a commit that was released is not here: what it needs would be left out in silence.
        Unreachable: if origin's tags cannot be fetched, for the same reason.
    """
    set_remote_from_environment(Path())
    tags.fetch(params.model_name)
    assigned = tags.assignments(params.model_name)
    releases = {assignment.release for assignment in assigned}
    versions = tags.versions(params.model_name)
    last = versions[-params.retention.keep_last :]
    wanted = [version for version in versions if version in last or version.release in releases]
    images = {version.said.image for version in wanted} | {assignment.said.image for assignment in assigned}
    objects: dict[str, set[str]] = {}
    commits = {version.commit for version in wanted} | {assignment.main_commit for assignment in assigned}
    for commit in sorted(commits):
        for path, md5 in _named(commit).items():
            objects.setdefault(md5, set()).add(path)
    unread = _unfold(objects)
    return {
        "versions": [version.tag for version in wanted],
        "images": sorted(images),
        "objects": {md5: sorted(paths) for md5, paths in sorted(objects.items())},
        "unread": unread,
    }


def _named(commit: str) -> dict[str, str]:
    """Path -> md5 of what the dvc.lock of a commit names and git does not hold itself, as it does metrics and plots."""
    if commit_of(commit) is None:
        raise InputError(
            f"commit {commit}, which was released, is not here",
            "Fetch the whole history (`git fetch --unshallow` in a shallow clone), run it again.",
        )
    text = text_at(commit, "dvc.lock")
    data = dvc_lock.data_md5(text)
    named = {**dvc_lock.outputs(text, f"dvc.lock of {commit[:12]}"), **({"data": data} if data else {})}
    return {path: md5 for path, md5 in named.items() if object_at(commit, path) is None}


def _unfold(objects: dict[str, set[str]]) -> list[str]:
    """Add the files that are in the folders among the objects; the folders for which that cannot be done."""
    folders = sorted(md5 for md5 in objects if md5.endswith(".dir"))
    if not folders:
        return []
    from dvc.repo import Repo

    unread = []
    with Repo() as repo:
        for folder in folders:
            files = _listed(repo, folder)
            if files is None:
                unread.append(folder)
            for name, md5 in (files or {}).items():
                objects.setdefault(md5, set()).update(f"{path}/{name}" for path in objects[folder])
    return unread


def _listed(repo: Any, folder: str) -> dict[str, str] | None:
    """Path in the folder -> md5, by DVC's list of it in the cache, else the remote; None if neither has it whole."""
    stores = [lambda: repo.cache.local, *([repo.cloud.get_remote_odb] if default_remote() else [])]
    for store in stores:
        try:
            odb = store()
            content = odb.fs.cat_file(odb.oid_to_path(folder))
            if hashlib.md5(content, usedforsecurity=False).hexdigest() == folder.removesuffix(".dir"):
                return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
        except Exception:  # noqa: S112 - each kind of store has errors of its own, and all mean the same here
            continue
    return None
