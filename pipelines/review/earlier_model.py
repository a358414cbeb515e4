"""A model of an earlier commit, scored on the head's rows with the values of prepared columns that it learned from."""

import json
from dataclasses import dataclass
from functools import lru_cache

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.scratch import scratch_folder
from pipelines.cli.verbs import run_stage
from pipelines.config.params import Params
from pipelines.config.paths import PREPARED
from pipelines.config.read import PATH, read_yaml
from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input, Signature
from pipelines.repository import dvc_lock, git
from pipelines.tables.cast import has_type
from pipelines.tables.data import DATA, connect, read_rows, to_numpy
from pipelines.tables.preparation import FUNCTION
from pipelines.tables.rows import Rows

FEATURES = FUNCTION.parent.as_posix()


@dataclass(frozen=True)
class EarlierModel:
    """A model of an earlier commit.

    Attributes:
        own: key and prepared columns of the head's rows, as the function of the model's commit makes them; None if the
            head's function makes the same.
    """

    scorer: Scorer
    own: pa.Table | None = None

    @property
    def signature(self) -> Signature:
        """The model's signature."""
        return self.scorer.signature

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs that are read from the head's rows."""
        own = () if self.own is None else self.own.column_names
        return tuple(item for item in self.signature.inputs if item.name not in own)

    def score(self, rows: Rows) -> npt.NDArray[np.float64]:
        """Score some of the head's rows, which hold these inputs; shape (n,)."""
        columns = dict(rows.inputs)
        if self.own is not None:
            key = self.own.column_names[0]
            values = self.own.take(pc.index_in(rows.arrow[key], self.own[key]))
            own = (item for item in self.signature.inputs if item not in self.inputs)
            columns |= {item.name: encode(item, to_numpy(values, item.name)) for item in own}
        return self.scorer.score(columns)


def comparable_model(table: ir.Table, params: Params, scorer: Scorer, commit: str) -> EarlierModel:
    """Return a model of an earlier commit that can be scored on the head's rows.

    Args:
        table: the head's rows.
        params: of the head.

    Raises:
        InputError: if it cannot, with the reason.
    """
    try:
        own = own_columns(commit, scorer.signature, params)
    except InputError as error:
        raise InputError(f"not comparable: prepared columns of commit {commit[:7]}: {error}", error.remedy) from error
    columns = dict(table.schema()) | ({} if own is None else dict(ibis.Schema.from_pyarrow(own.schema)))
    split = (scorer.signature.split or {}).get("column")
    if own is not None and split in own.column_names[1:]:  # the key, which is the first, is the same
        raise InputError(
            f"not comparable: column {split}, which tells the rows it was trained on, is made otherwise", ""
        )
    if why_not := not_comparable(ibis.schema(columns), scorer.signature, params.table.event_time):
        raise InputError(why_not, "")
    return EarlierModel(scorer, own)


def not_comparable(columns: ibis.Schema, signature: Signature, event_time: str | None) -> str | None:
    """Why a model cannot be scored on rows with these columns; None if it can.

    It needs its input columns, and the column that tells which rows it was trained on.

    Args:
        event_time: the column of event times.
    """
    for item in signature.inputs:
        if item.name not in columns:
            return f"not comparable: column {item.name}"
        column_type = columns[item.name]
        if not has_type(column_type, item.type, widened=True):
            return f"not comparable: column {item.name} is {column_type}; the base's model takes {item.type}"
    if signature.split is not None:
        return None if signature.split["column"] in columns else f"not comparable: column {signature.split['column']}"
    if signature.trained_until is not None and event_time is None:
        return (
            "not comparable: params.yaml has no schema.event_time, which tells the rows the base's model was trained on"
        )
    return None


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
