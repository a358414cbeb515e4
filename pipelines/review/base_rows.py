"""The base's rows: found in DVC's cache or fetched from its remote, and drawn beside the head's by Evidently."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.cli.errors import Unreachable
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.config.params import Params
from pipelines.model.inputs import inputs_of
from pipelines.pages.evidently_sample import column_kinds, drift_preset, sample
from pipelines.repository import dvc_lock, git
from pipelines.repository.base_model import Base
from pipelines.repository.dvc import fetch_folder
from pipelines.repository.dvc_remote import default_remote
from pipelines.tables.data import connect, read_rows


@dataclass(frozen=True)
class BaseRows:
    """The base's Parquet files, with its prepared columns.

    Attributes:
        unchanged: the head has the same rows in data/.
        prepared_alike: it also has the same in prepared/, so there is nothing to compare.
        files: empty if they are alike, or could not be fetched.
        why_not: why they could not be fetched.
    """

    unchanged: bool = False
    prepared_alike: bool = False
    files: tuple[Path, ...] = ()
    why_not: str = ""


def fetch(base: Base, progress: Progress) -> BaseRows:
    """Fetch the rows that the base's model was made from, unless the head has the same."""
    before, now = git.text_at(base.commit, str(dvc_lock.PATH)), dvc_lock.read()
    md5 = dvc_lock.prepared_md5(before)
    if md5 is None:
        return BaseRows(why_not=f"dvc.lock of {base.commit[:7]} names no data/")
    unchanged = dvc_lock.data_md5(before) == dvc_lock.data_md5(now)
    if dvc_lock.prepared_md5(now) == md5:
        return BaseRows(unchanged=True, prepared_alike=True)
    why_not = f"the base's rows ({md5[:12]}, commit {base.commit[:7]}) are not in DVC's cache"
    try:
        if files := fetch_folder(md5, progress):
            return BaseRows(unchanged, files=files)
    except Unreachable as error:
        return BaseRows(unchanged, why_not=f"{why_not}, and the remote cannot be read: {error}")
    if remote := default_remote():
        why_not += f", and not in the remote {remote}"
    return BaseRows(unchanged, why_not=why_not)


def draw_page(path: Path, params: Params, base_rows: BaseRows) -> str:
    """Write the page, and return where it is, or why there is none."""
    if not base_rows.files:
        return f"no Evidently page: {base_rows.why_not}"
    connection = connect()
    columns = [item.name for item in inputs_of(params) if not item.sensitive]
    head = read_rows(connection)
    base = connection.read_parquet([str(file) for file in base_rows.files], union_by_name=True)
    missing = sorted(set(columns) - set(base.columns))
    shown = [name for name in columns if name not in missing]
    try:
        current, reference = (sample(table, params.table.key, shown) for table in (head, base))
        text = _page(current, reference, params, shown)
    except Exception as error:  # rows of another schema can make Evidently or DuckDB raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        return f"no Evidently page: it cannot be drawn from the base's rows ({reason})"
    write_bytes(path, text.encode())
    without = f" (without {', '.join(missing)}, which the base does not have)" if missing else ""
    return f"{path.name} beside this report, from {len(reference):,} and {len(current):,} rows{without}"


def _page(current: Any, reference: Any, params: Params, columns: list[str]) -> str:
    from evidently import DataDefinition, Dataset, Report

    definition = DataDefinition(**column_kinds({name: params.table.columns[name].type for name in columns}))
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    return str(Report([drift_preset()]).run(*sides).get_html_str(as_iframe=False))
