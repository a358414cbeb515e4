"""Refuse a features/prepare.py whose columns a request could not have: made of later rows, or different each time."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.cli.errors import InputError
from pipelines.config.table_schema import Column, Table
from pipelines.tables.preparation import FUNCTION, REMEDY, count_differences, load_preparation

Run = Callable[[pa.Table], pa.Table]

SHARES = (1 / 3, 2 / 3)  # of the rows, in order of time, on which the function is run once more
# What reads only the next rows differs in few rows before a moment: many short beginnings find it, and cost little.
BEGINNING_ROWS, TELLING, EVEN = 4_096, 12, 4
SAMPLE = 1_000  # rows of a part on which a row-wise function is run once more
# A sum over other rows in another order, or a logarithm in another position of a vector, may differ by a rounding.
ROUNDING = 1e-9


@contextmanager
def prepared_apart(table: Table) -> Iterator[Run]:
    """Start a process that has seen no row, in a folder with features/ alone, and yield what prepares rows there.

    What the features keep in a module, the environment, a library or a file of that folder is then made of the rows of
    earlier checks alone. Begin before features/ is loaded here: the process is a copy of this one, in which a library
    that started threads, as OpenMP does, would wait for them forever.
    """
    import pandas  # noqa: F401 - once for both processes

    context = get_context("fork")
    ours, theirs = context.Pipe()
    with TemporaryDirectory() as folder:
        process = context.Process(target=_prepare_rows, args=(ours, theirs, folder, table, Path.cwd()))
        process.start()
        theirs.close()

        def run(rows: pa.Table) -> pa.Table:
            try:
                ours.send(rows)
                made, error = ours.recv()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise InputError(f"{FUNCTION} ended its process", REMEDY) from None
            if error:
                raise InputError(*error)
            return made

        try:
            yield run
        finally:
            process.kill()
            process.join()
            ours.close()


def _prepare_rows(ours: Connection, theirs: Connection, folder: str, table: Table, root: Path) -> None:
    ours.close()
    os.chdir(folder)
    FUNCTION.parent.symlink_to(root / FUNCTION.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that asks ends this one
    with suppress(EOFError):  # the process that asks has ended
        while True:
            rows = theirs.recv()
            try:
                theirs.send((load_preparation(table, root).run(rows), None))
            except InputError as error:
                theirs.send((None, (str(error), error.remedy)))


def check_is_repeatable(run: Run, rows: pa.Table, columns: pa.Table) -> None:
    """Run the function once more on the same rows.

    Args:
        run: from `prepared_apart`.
        columns: what it made of the rows before.

    Raises:
        InputError: if a column differs.
    """
    for name, count in _differences(columns, run(rows)):
        raise InputError(
            f"{FUNCTION} is not deterministic: the column {name} differs in {count:,} of {len(rows):,} rows between "
            "two runs on the same rows",
            "Give every random draw a fixed seed, and read no clock, file or network.",
        )


def check_knows_only_the_past(run: Run, table: Table, rows: pa.Table, columns: pa.Table) -> None:
    """Run the function on the rows up to some moments, the earliest first, so that no run knows later rows.

    Nothing can be told without `schema.event_time`.

    Args:
        run: from `prepared_apart`.
        columns: what it made of all rows.

    Raises:
        InputError: if a column depends on later rows.
    """
    time = table.event_time
    if time is None:
        return
    for moment in _moments(table, rows, time):
        known = pc.less_equal(rows[time], moment)
        early = rows.filter(known)
        try:
            made = run(early)
        except InputError as error:
            where = f"given only the {len(early):,} rows up to {moment.as_py():%Y-%m-%d %H:%M:%S}"
            raise InputError(f"{error} ({where})", error.remedy) from error
        for name, count in _differences(columns.filter(known), made, ROUNDING):
            check_is_repeatable(run, early, made)
            raise InputError(
                f"{FUNCTION} reads the future: the column {name} differs in {count:,} of the {len(early):,} rows up to "
                f"{moment.as_py():%Y-%m-%d %H:%M:%S} when later rows are left out",
                f"Make {name} of a row from rows up to its own {time} only.",
            )


def _moments(table: Table, rows: pa.Table, time: str) -> pa.Array:
    """Return the times after which rows are left out, in their order: early ones, then two late ones."""
    order = pc.sort_indices(rows, [(time, "ascending"), (table.key, "ascending")])
    size = min(BEGINNING_ROWS, len(rows) // 3)
    early = rows.take(order[:size])
    telling = [
        place
        for name in early.column_names
        if name != table.key
        for place in _telling(table.columns[name], early, name, time)
    ]
    even = np.linspace(size // 8, size, EVEN, endpoint=False).astype(np.int64).tolist()
    late = [int(share * (len(rows) - 1)) for share in SHARES]
    places = pa.array([*late, *telling[:TELLING], *even], pa.int64())
    return pc.unique(rows[time].take(order.take(places))).drop_null().sort()


def _telling(column: Column, rows: pa.Table, name: str, time: str) -> list[int]:
    """Return the places, in rows by time, after which the next rows would show most: at most two of a column.

    They are where a value follows a missing one, and where two rows of one identifier or category are closest in time.
    """
    allowed = np.arange(len(rows)) >= len(rows) // 8  # a function may need a few rows
    missing = pc.is_null(rows[name]).to_numpy()
    filled = np.flatnonzero(missing[:-1] & ~missing[1:] & allowed[:-1])
    places: list[int] = [*filled[:1], *filled[-1:]]
    if column.type in ("identifier", "category"):
        codes = np.unique(rows[name].fill_null("").to_numpy(), return_inverse=True)[1]
        seconds = rows[time].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
        by_value = np.argsort(codes, kind="stable")
        gaps: npt.NDArray[np.float64] = np.diff(seconds[by_value]).astype(np.float64)
        gaps[(np.diff(codes[by_value]) != 0) | (gaps <= 0) | ~allowed[by_value[:-1]]] = np.inf
        if len(gaps) and np.isfinite(gaps.min()):
            places.append(int(by_value[gaps.argmin()]))
    return [int(place) for place in dict.fromkeys(places)]


def check_is_row_wise(run: Run, rows: pa.Table, columns: pa.Table) -> None:
    """Run a function that is declared row-wise on some of the rows, twice.

    Args:
        run: from `prepared_apart`.
        columns: what it made of all rows.

    Raises:
        InputError: if a column depends on other rows, or differs between the two runs.
    """
    # Without the first and the last rows, which a minimum or a count would need.
    middle = np.arange(len(rows) // 4, max(1, 3 * len(rows) // 4))
    draw = np.random.Generator(np.random.PCG64(0))
    picked = np.sort(draw.choice(middle, min(SAMPLE, (len(middle) + 1) // 2), replace=False))
    some = rows.take(picked)
    made = run(some)
    check_is_repeatable(run, some, made)
    for name, count in _differences(columns.take(picked), made, ROUNDING):
        raise InputError(
            f"{FUNCTION} is not row-wise: the column {name} differs in {count:,} of {len(some):,} rows when other rows "
            "are left out",
            f"Remove ROW_WISE = True from {FUNCTION}, or make {name} of a row from that row alone.",
        )


def _differences(before: pa.Table, after: pa.Table, tolerance: float = 0.0) -> Iterator[tuple[str, int]]:
    """Yield each column that differs, with the number of rows."""
    for name in before.column_names:
        if count := count_differences(before[name], after[name], tolerance):
            yield name, count
