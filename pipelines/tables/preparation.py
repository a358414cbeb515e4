"""Run features/prepare.py, the team's function from a pandas frame of rows to the same rows with more columns."""

import runpy
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.table_schema import Column, ColumnType, Table
from pipelines.tables.cast import ARROW, cast_lossless

FUNCTION = Path("features/prepare.py")
REMEDY = f"Correct {FUNCTION} (docs/features.md)."


@dataclass(frozen=True)
class Preparation:
    """The function of features/prepare.py.

    Attributes:
        table: the schema, which marks the columns that the function makes.
        row_wise: whether each row depends on nothing but itself, so that it can run on a part of the rows at a time.
        root: the work tree of the function.
    """

    table: Table
    function: Callable[[Any], Any]
    row_wise: bool
    root: Path

    @property
    def given(self) -> tuple[str, ...]:
        """The columns that the function is given: those that are known when a prediction is made."""
        withheld = {self.table.target, self.table.label_time, *self.table.prepared}
        known = [name for name, column in self.table.columns.items() if column.known != "after"]
        return tuple(name for name in known if name not in withheld)

    def run(self, rows: pa.Table) -> pa.Table:
        """Return the prepared columns of rows, in the order of the rows.

        The function is given a copy in order of event time, then key, and may return the rows in any order.

        Args:
            rows: with a key that no two rows share; columns that are not given to the function are ignored.

        Raises:
            InputError: if the function raises, or returns anything but these rows with the columns that the schema
                marks as prepared.
        """
        import pandas as pd

        given = [name for name in self.given if name in rows.column_names]
        values = {name: _to_series(rows[name], self.table.columns[name]) for name in given}
        frame = pd.DataFrame(values)
        order = [name for name in (self.table.event_time, self.table.key) if name in given]
        result = self._call(frame.sort_values(order, kind="stable", ignore_index=True), rows)
        if not isinstance(result, pd.DataFrame):
            raise InputError(f"{FUNCTION} returns a {type(result).__name__} instead of a DataFrame", REMEDY)
        self._check_columns([str(name) for name in result.columns], given)
        # A frame of equal columns, in the order of the rows that were given.
        result = result.iloc[self._positions(values[self.table.key], result[self.table.key])]
        for name in given:
            if name in result.columns and _differs(values[name], result[name], self.table.columns[name]):
                raise InputError(
                    f"{FUNCTION} changes the column {name}, which a request would not change",
                    f"Write the new values to a column of their own in {FUNCTION}, and mark it as prepared.",
                )
        return pa.table({name: self._to_arrow(result[name], name) for name in self.table.prepared})

    def _call(self, frame: Any, rows: pa.Table) -> Any:
        with _imports_of(self.root):
            try:
                return self.function(frame)
            except (Exception, SystemExit) as error:
                message = self._masked(_describe(error, self.root), rows)
                unknown = [name for name in self.table.columns if name not in frame.columns]
                withheld = [name for name in unknown if repr(name) in str(error)]
                reason = f"; {withheld[0]} is not among the columns that it is given" if withheld else ""
                raise InputError(f"{FUNCTION} raises {message}{reason}", REMEDY) from error

    def _masked(self, message: str, rows: pa.Table) -> str:
        """Return a message without values of sensitive columns."""
        for name in self.table.sensitive & set(rows.column_names):
            for value in pc.unique(rows[name]).to_pylist():
                if value is not None and str(value) in message:
                    message = message.replace(str(value), "•••")
        return message

    def _check_columns(self, returned: list[str], given: list[str]) -> None:
        columns, key = self.table.columns, self.table.key
        if repeated := sorted({name for name in returned if returned.count(name) > 1}):
            raise InputError(f"{FUNCTION} returns the column {repeated[0]} twice", REMEDY)
        if key not in returned:
            raise InputError(f"{FUNCTION} does not return the key {key}, which tells the rows apart", REMEDY)
        if missing := [name for name in self.table.prepared if name not in returned]:
            raise InputError(
                f"{FUNCTION} does not make the column {missing[0]}, which schema.columns marks as prepared",
                f"Make it in {FUNCTION}, or remove it from params.yaml.",
            )
        for name in returned:
            if name in given or name in self.table.prepared:
                continue
            if name not in columns:
                raise InputError(
                    f"{FUNCTION} makes the column {name}, which is not in schema.columns",
                    f"Add `{name}: {{type: number, prepared: true}}` to schema.columns in params.yaml, with its type; "
                    "or drop the column.",
                )
            raise InputError(f"{FUNCTION} makes the column {name}, which comes from data/", REMEDY)

    def _positions(self, keys: Any, returned: Any) -> Any:
        """Return where each row is among the returned ones."""
        import pandas as pd

        index = pd.Index(returned)
        if not index.is_unique:
            count = int(index.duplicated().sum())
            raise InputError(f"{FUNCTION} returns {count:,} rows with the {self.table.key} of another row", REMEDY)
        positions = index.get_indexer(pd.Index(keys))
        same = int((positions >= 0).sum())
        if max(len(keys), len(index)) > same:
            raise InputError(
                f"{FUNCTION} returns {same:,} of {len(keys):,} rows by their {self.table.key}, "
                f"and {len(index) - same:,} with another",
                "Return every row under its key; leave a value empty where it is not known.",
            )
        return positions

    def _to_arrow(self, values: Any, name: str) -> pa.ChunkedArray:
        kind = self.table.columns[name].type
        arrow = _from_pandas(values)
        cast = None if arrow is None else cast_lossless(arrow, kind)
        if cast is None:
            raise InputError(
                f"{FUNCTION} makes the column {name} of {values.dtype}, which is not {kind} in every row",
                f"Change the values, or the type of {name} in schema.columns.",
            )
        return cast.cast(arrow_type(kind))


def load_preparation(table: Table, root: Path = Path()) -> Preparation:
    """Load features/prepare.py of a work tree.

    Raises:
        InputError: if it is missing or broken.
    """
    root = root.absolute()
    if not (root / FUNCTION).is_file():
        raise InputError(
            f"{FUNCTION} is missing", f"Restore it: `git checkout origin/main -- {FUNCTION}` (docs/features.md)."
        )
    with _imports_of(root):
        try:
            # Not by import: sys.modules could hold the file of another work tree.
            content = runpy.run_path(str(root / FUNCTION), run_name="features.prepare")
        except (Exception, SystemExit) as error:
            raise InputError(f"{FUNCTION} cannot be loaded: {_describe(error, root)}", REMEDY) from error
    function, row_wise = content.get("prepare"), content.get("ROW_WISE", False)
    if not callable(function):
        raise InputError(f"{FUNCTION} has no function prepare(frame)", REMEDY)
    if not isinstance(row_wise, bool):
        raise InputError(f"{FUNCTION}: ROW_WISE is {row_wise!r}; it must be True or False", REMEDY)
    return Preparation(table, function, row_wise, root)


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type of a column that the function is given, or makes: a time has microseconds in each file."""
    return pa.timestamp("us") if kind == "timestamp" else ARROW[kind]


class _FeaturesOf:
    """Finds the package `features` of one work tree: an `__init__.py` in another's would come first on any sys.path."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FUNCTION.parent

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """Return the package, or None for all other modules."""
        if name != FUNCTION.parent.name:
            return None
        begin = self.folder / "__init__.py"
        spec = spec_from_file_location(name, begin) if begin.is_file() else ModuleSpec(name, None, is_package=True)
        if spec is not None:
            spec.submodule_search_locations = [str(self.folder)]
        return spec


@contextmanager
def _imports_of(root: Path) -> Iterator[None]:
    """Let modules of features/ import each other, each time anew, and never those of another work tree on sys.path."""
    finder = _FeaturesOf(root)
    sys.meta_path.insert(0, finder)
    sys.path.append(str(root))
    try:
        yield
    finally:
        sys.path.remove(str(root))
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == FUNCTION.parent.name]:
            del sys.modules[name]


def _describe(error: BaseException, root: Path) -> str:
    """Return an error in one line, with the last line of the team's code that led to it."""
    folder = root / FUNCTION.parent
    lines = [line for line in traceback.extract_tb(error.__traceback__) if Path(line.filename).is_relative_to(folder)]
    place = f", {Path(lines[-1].filename).name} line {lines[-1].lineno}: `{lines[-1].line}`" if lines else ""
    return f"{' '.join(''.join(traceback.format_exception_only(error)).split())}{place}"


def _to_series(values: pa.ChunkedArray, column: Column) -> Any:
    """Return a column as pandas has it; its dtype follows from the schema and not from the values.

    A text that is missing is None, a number NaN, a time NaT, and a boolean pandas.NA.
    """
    import pandas as pd

    kind = "number" if column.type == "integer" and (column.nullable or values.null_count) else column.type
    if kind == "boolean" and column.nullable:
        return values.cast(pa.bool_()).to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    return values.cast(arrow_type(kind)).to_pandas()


def _from_pandas(values: Any) -> pa.ChunkedArray | None:
    """Return values as Arrow infers them (NaN is null), or None if they are of different types."""
    try:
        array = pa.Array.from_pandas(values)
    except (ValueError, pa.ArrowTypeError, pa.ArrowNotImplementedError):  # also texts that are no UTF-8
        return None
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _differs(before: Any, after: Any, column: Column) -> bool:
    """Whether two series of a column hold different values; their dtypes may differ."""
    if before.dtype == after.dtype and before.reset_index(drop=True).equals(after.reset_index(drop=True)):
        return False
    sides = [_from_pandas(values) for values in (before, after)]
    casts = [None if side is None else cast_lossless(side, column.type) for side in sides]
    return casts[0] is None or casts[1] is None or count_differences(casts[0], casts[1]) > 0


def count_differences(before: pa.ChunkedArray, after: pa.ChunkedArray, tolerance: float = 0.0) -> int:
    """Return how many values of two columns of one type differ; null equals null and NaN.

    Args:
        tolerance: by how much two numbers may differ, as a share.
    """
    if pa.types.is_floating(before.type):
        first, second = (np.asarray(side.to_numpy(), dtype=np.float64) for side in (before, after))
        return int((~np.isclose(first, second, rtol=tolerance, atol=0.0, equal_nan=True)).sum())
    both_null = pc.and_(pc.is_null(before), pc.is_null(after))
    equal = pc.or_(both_null, pc.fill_null(pc.equal(before, after), False))
    return len(equal) - int(pc.sum(equal).as_py() or 0)
