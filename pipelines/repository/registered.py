"""Whether a release id was registered before, by more than a tag that anybody who may push could have made."""

from pipelines.cli.errors import InputError
from pipelines.repository import dvc_lock, tags
from pipelines.repository.git import base_commit, text_at, try_git
from pipelines.repository.release_id import release_id


def registered_version(model_name: str, expected: str, data_md5: str | None) -> str | None:
    """Return the version that registers a release id, or None.

    A tag alone is no proof: the commit that it names must be on main and have the release id. The release id says
    nothing of the rows, so that commit must also name the same ones.

    Args:
        expected: the release id.
        data_md5: md5 of the rows by dvc.lock.
    """
    version, (_, main) = tags.find_version(model_name, expected), base_commit(None)
    if version is None or try_git("merge-base", "--is-ancestor", version.commit, main) is None:
        return None
    try:
        same_rows = dvc_lock.data_md5(text_at(version.commit, "dvc.lock")) == data_md5
        return version.tag if same_rows and release_id(version.commit) == expected else None
    except InputError:
        return None
