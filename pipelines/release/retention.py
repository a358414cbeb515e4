"""What must be kept, so that every release that was in production can come back: images and DVC's objects."""

from __future__ import annotations

import json

from pipelines import lock, tags
from pipelines.config import Params
from pipelines.git import text_at


def show(params: Params) -> int:
    """Print, as JSON, the images and DVC objects of all that ever was in production and of the last versions.

    `images` are REPOSITORY@DIGEST; `objects` are md5s, each with the paths of files that had it.
    """
    print(json.dumps(kept(params), indent=2))
    return 0


def kept(params: Params) -> dict[str, object]:
    """What `show` prints."""
    assigned = tags.assignments(params.release)
    releases = {assignment.release for assignment in assigned}
    versions = tags.versions(params.release)
    last = versions[-params.retention.keep_last :]
    wanted = [version for version in versions if version in last or version.release in releases]
    images = {version.said.image for version in wanted} | {assignment.said.image for assignment in assigned}
    objects: dict[str, set[str]] = {}
    commits = {version.commit for version in wanted} | {assignment.main_commit for assignment in assigned}
    for commit in sorted(commits):
        where = f"dvc.lock of {commit[:12]}"
        text = text_at(commit, "dvc.lock")
        data = lock.data_md5(text)
        named = {**lock.outputs(text, where), **({"data": data} if data else {})}
        for path, md5 in named.items():
            objects.setdefault(md5, set()).add(path)
    return {
        "versions": [version.tag for version in wanted],
        "images": sorted(images),
        "objects": {md5: sorted(paths) for md5, paths in sorted(objects.items())},
    }
