"""Prepared columns of the head's rows, made by the features/prepare.py of an earlier commit."""

from __future__ import annotations

import json
from functools import lru_cache

import pyarrow as pa
import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.scratch import scratch_folder
from pipelines.cli.verbs import run_stage
from pipelines.config.params import Params
from pipelines.config.paths import PREPARED
from pipelines.config.read import PATH, read_yaml
from pipelines.model.signature import Signature
from pipelines.repository import dvc_lock, git
from pipelines.tables.data import DATA, connect, read_rows
from pipelines.tables.preparation import FUNCTION

FEATURES = FUNCTION.parent.as_posix()


def own_columns(commit: str, signature: Signature, params: Params) -> pa.Table | None:
    """Return the prepared columns that a commit's model reads, as the commit's function makes them of the head's rows.

    Args:
        params: of the head.

    Returns:
        The key, then these columns; None if the head makes them in the same way, so that prepared/ has them.

    Raises:
        InputError: if the function cannot be run on these rows.
    """
    read = {item.name: item.type for item in signature.inputs if item.prepared}
    if not read:
        return None
    made = {name: params.table.columns[name].type for name in params.table.prepared}
    features = git.object_at(commit, FEATURES) or ""
    if read.items() <= made.items() and features == git.object_at(git.tree_of_worktree([FEATURES]), FEATURES):
        return None
    declared = read_yaml(git.text_at(commit, str(PATH)) or "", f"{PATH} of the commit")["schema"]["columns"]
    sections = json.loads(params.model_dump_json(by_alias=True, include={"task", "table"}))
    columns = {name: column for name, column in declared.items() if column.get("prepared")}
    # The rows are the head's: the function is given what the head's is given.
    columns |= {name: column for name, column in sections["schema"]["columns"].items() if not column["prepared"]}
    sections["schema"]["columns"] = columns
    wanted = [name for name in read if columns.get(name, {}).get("prepared")]
    prepared = _prepare(features, json.dumps(sections), dvc_lock.data_md5(dvc_lock.read()))
    return prepared.select([params.table.key, *wanted])


@lru_cache(maxsize=4)  # several versions may have the same files in features/
def _prepare(features: str, sections: str, _data: str | None) -> pa.Table:
    """Run stage `prepare` in a folder of its own, and return the key and the prepared columns.

    Args:
        features: the git tree of features/.
        sections: params.yaml, as JSON.
        _data: md5 of data/.
    """
    table = json.loads(sections)["schema"]
    with scratch_folder("prepare") as folder:
        if features:
            git.write_files(features, folder / FEATURES)
        # Not as JSON, which YAML reads in another way: there 1e-05 is a text.
        (folder / PATH).write_text(yaml.safe_dump(json.loads(sections)), encoding="utf-8")
        (folder / DATA).symlink_to(DATA.absolute())
        done = run_stage("prepare", folder)
        if done.returncode:
            message = " ".join(" ".join(done.stderr.splitlines()[:-1]).split())  # the last line is the remedy
            raise InputError(message[-400:] or f"exit code {done.returncode}", "")
        rows = read_rows(connect(), folder / PREPARED)
        prepared = [name for name, column in table["columns"].items() if column.get("prepared")]
        if missing := [name for name in prepared if name not in rows.columns]:
            raise InputError(f"{FUNCTION} makes no {missing[0]}: {done.stdout.strip()}", "")
        return rows.select(table["key"], *prepared).to_pyarrow()
