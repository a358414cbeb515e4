"""The decisions of an adoption: roles of the columns, task, positive class, split, and what the model may see."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import duckdb

from pipelines.adopt import names
from pipelines.adopt.columns import VIEW, WORDS, Found, typed_table
from pipelines.adopt.source import RAW, one_row, quoted
from pipelines.cli.errors import InputError

Task = Literal["classification", "regression"]
POSITIVE_WORDS = {"1", "true", "yes", "y", "ja", "oui", "si", "positive", "bad", "default", "fraud", "churned", "churn"}
CLASSES = 20  # whole numbers with at most so many different values may be classes
MIN_ENTITIES = 50
MIN_ROWS = 50


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    target: str
    positive: str | None = None
    task: Task | None = None
    query: str | None = None


@dataclass
class Draft:
    """What will be written, and what is printed about it.

    Attributes:
        columns: those that data/ will hold, in the order of the table.
        drop: column of the table -> why it is left out.
        after, sensitive: column -> why.
        derive: feature -> its settings.
        decided, unsure, to_decide: sentences for the user.
    """

    model_name: str
    task: Task
    target: Found
    columns: list[Found]
    decimal: str
    positive: str | None = None
    rest: bool = False
    target_why: str = ""
    key: str = ""
    make_key: Literal["hash", "row_number"] | None = None
    key_why: str = ""
    event_time: str | None = None
    label_time: str | None = None
    time_why: str = ""
    split: dict[str, Any] = field(default_factory=dict)
    split_why: str = ""
    drop: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)
    sensitive: dict[str, str] = field(default_factory=dict)
    derive: dict[str, dict[str, str]] = field(default_factory=dict)
    decided: list[str] = field(default_factory=list)
    unsure: list[str] = field(default_factory=list)
    to_decide: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return self.target.rows

    @property
    def use(self) -> list[str]:
        """Columns that the model may see as they are."""
        hidden = {self.target.name, self.key, *self.after, *self.sensitive}
        types = ("number", "integer", "category", "boolean")
        return [column.name for column in self.columns if column.type in types and column.name not in hidden]

    def column(self, name: str) -> Found:
        """Return a column by its name in the schema."""
        return next(column for column in self.columns if column.name == name)


def make_draft(
    connection: duckdb.DuckDBPyConnection, columns: Sequence[Found], decimal: str, request: Request
) -> Draft:
    """Decide on everything that needs no model.

    Raises:
        InputError: if the target is missing, or is neither of two classes nor a number.
    """
    target = _target(columns, request.target)
    if target.rows < MIN_ROWS:
        raise InputError(f"the table has {target.rows} rows; a model needs at least {MIN_ROWS}", "Collect more rows.")
    task, positive, rest, why = _task(connection, target, request)
    draft = Draft(names.slug(target.name).replace("_", "-"), task, target, [], decimal, positive, rest, why)
    draft.decided.append(f"task {task}: {why}")
    for column in columns:
        if column is not target and (column.is_constant or column.is_text):
            draft.drop[column.source_name] = column.why if column.is_text else "has one value, or none"
        else:
            draft.columns.append(column)
        draft.unsure += column.unsure
    if draft.drop:
        draft.decided.append("left out: " + ", ".join(f"{name} ({why})" for name, why in draft.drop.items()))
    if len(draft.columns) == 1:
        raise InputError("no column is left that a model could read", "The table needs columns besides its target.")
    _choose_key(connection, draft)
    typed_table(connection, draft.columns, decimal, draft.key if draft.make_key else None)
    _choose_times(connection, draft)
    if draft.make_key:
        _choose_made_key(connection, draft, request.query)
    _flag_names(draft)
    _choose_split(connection, draft)
    _derive(connection, draft)
    roles = (draft.target.name, draft.key, *draft.after, *draft.sensitive)
    if unused := [column.name for column in draft.columns if column.type == "identifier" and column.name not in roles]:
        draft.decided.append(f"not given to the model, since they have too many different texts: {', '.join(unused)}")
    if not draft.use and not draft.derive:
        raise InputError(
            "no column is left that a model could read",
            "The columns are keys, times, texts, sensitive, or known too late: see the list above, and adopt by hand.",
        )
    return draft


def _target(columns: Sequence[Found], name: str) -> Found:
    matches = [column for column in columns if name in (column.name, column.source_name)]
    if not matches:
        known = [column.source_name for column in columns]
        near = difflib.get_close_matches(name, known, 3, 0.5) or known[:10]
        raise InputError(f"the table has no column {name}; it has {', '.join(near)}", "Correct TARGET=.")
    return matches[0]


def _task(connection: duckdb.DuckDBPyConnection, target: Found, request: Request) -> tuple[Task, str | None, bool, str]:
    """Return task, positive class, whether the other classes are one, and why."""
    cell = quoted(target.source_name)
    text = f"{cell}::VARCHAR" if target.type == "category" else f"trim({cell}::VARCHAR)"
    query = f"SELECT {text}, count(*) FROM {RAW} GROUP BY 1 ORDER BY 2 DESC, 1"
    counted = {str(v): int(n) for v, n in connection.execute(query + " LIMIT 60").fetchall() if v not in (None, "")}
    counted = {v: n for v, n in counted.items() if v.strip() not in {"", *(cell.strip() for cell in target.missing)}}
    numeric = target.type in ("number", "integer")
    if request.task == "regression" or (request.task is None and numeric and target.distinct > CLASSES):
        if not numeric:
            raise InputError(f"{target.name} holds texts, and a regression needs numbers", "Leave TASK= out.")
        return "regression", None, False, f"{target.name} is a number with {target.distinct:,} different values"
    if target.type == "number":
        raise InputError(
            f"{target.name} has {target.distinct} different decimals: neither a class nor a measurement",
            "Add TASK=regression, or give its classes names.",
        )
    if target.type in ("timestamp", "identifier") or target.distinct > 60:
        raise InputError(
            f"{target.name} is of type {target.type} with {target.distinct:,} different values: no class and no number",
            "Name another column: TARGET=.",
        )
    if target.type == "integer":
        counted = _whole(counted)
    elif target.type == "boolean":
        counted = {word: sum(n for v, n in counted.items() if v.lower() == word) for word in ("false", "true")}
        counted = dict(sorted((pair for pair in counted.items() if pair[1]), key=lambda pair: -pair[1]))
    if len(counted) < 2:
        why = "".join(f" ({line})" for line in target.unsure)
        raise InputError(f"{target.name} has one value in all rows{why}", "Name another column: TARGET=.")
    shown = ", ".join(f"{value} ({rows:,} rows)" for value, rows in list(counted.items())[:6])
    if request.positive is not None:
        positive = next((value for value in counted if value.strip() == str(request.positive).strip()), None)
        if positive is None:
            raise InputError(f"{target.name} has no class {request.positive!r}; it has {shown}", "Correct POSITIVE=.")
        return "classification", positive, len(counted) > 2, f"POSITIVE={positive}; {shown}"
    if len(counted) > 2:
        words = [value for value in counted if value.strip() in WORDS]
        rarest = next(value for value in reversed(counted) if value not in words)
        number = " or TASK=regression if its values are measurements," if numeric else ""
        raise InputError(
            f"{target.name} has {len(counted)} classes: {shown}; a model separates two",
            f"Add POSITIVE={rarest}, which makes one class of the others,{number} and run again."
            + (f" If {', '.join(words)} means that the class is not known, leave these cells empty." if words else ""),
        )
    for value in counted:
        if value.strip().lower() in POSITIVE_WORDS:
            return "classification", value, False, f"{value!r} is the positive class by its name; {shown}"
    rarer = min(counted, key=lambda value: counted[value])
    return "classification", rarer, False, f"unsure: {rarer!r} is the positive class, since it is rarer; {shown}"


def _whole(counted: dict[str, int]) -> dict[str, int]:
    """Return the counts of whole numbers, by the text that the column will have: 1.0 is 1."""
    whole: Counter[str] = Counter()
    for value, rows in counted.items():
        with suppress(ValueError):
            whole[str(int(float(value)))] += rows
    return whole


def _choose_key(connection: duckdb.DuckDBPyConnection, draft: Draft) -> None:
    unique = [
        column
        for column in draft.columns
        if column.type in ("identifier", "integer", "category") and column.distinct == column.present == column.rows
        and column.name != draft.target.name
    ]  # fmt: skip
    named = [column for column in unique if names.is_key_like(column.name)]
    first = [column for column in unique if column is draft.columns[0]]
    if chosen := (named or first or [column for column in unique if column.type == "identifier"]):
        draft.key = chosen[0].name
        draft.key_why = "every row has another value" + ("" if named else "; unsure: its name is not that of a key")
        draft.columns = [
            replace(c, type="identifier", low=None, high=None, values={}) if c.name == draft.key else c
            for c in draft.columns
        ]
        draft.decided.append(f"key {draft.key}: {draft.key_why}")
    else:
        taken = {column.name for column in draft.columns}
        draft.key = next(name for name in ("row_id", "row_hash", "made_row_id") if name not in taken)
        draft.make_key = "hash"


def _choose_made_key(connection: duckdb.DuckDBPyConnection, draft: Draft, query: str | None) -> None:
    """Number the rows where their order is fixed; otherwise their key is a hash, which does not depend on it."""
    order = "the query has an ORDER BY" if re.search(r"\border\s+by\b[^()]*$", query or "", re.IGNORECASE) else ""
    if draft.event_time and not order:
        time = quoted(draft.event_time)
        rises = f"SELECT bool_and(rises) FROM (SELECT {time} > lag({time}) OVER (ORDER BY rowid) AS rises FROM {VIEW})"
        if one_row(connection, rises)[0]:
            order = f"{draft.event_time} rises from row to row"
    if order:
        draft.make_key = "row_number"
        how = f"the number of the row, since {order}"
    else:
        how = "a hash of the row without its label, since nothing fixes the order of the rows"
    draft.key_why = f"made: no column is different in every row; {how}"
    question = f"no column is a key: {draft.key} is {how}"
    shown = ", ".join(quoted(c.source_name) for c in draft.columns if c.name != draft.target.name)
    distinct = one_row(connection, f"SELECT count(*) FROM (SELECT DISTINCT {shown} FROM {RAW})")[0]
    if repeated := draft.rows - distinct:
        question += f"; {repeated:,} rows equal an earlier one, and may be on the other side of the split"
    draft.unsure.append(question)
    draft.decided.append(f"key {draft.key}: {draft.key_why}")


def _choose_times(connection: duckdb.DuckDBPyConnection, draft: Draft) -> None:
    """Choose the moment of the event; other times that are usually later are known only after it."""
    now = datetime.now(UTC).isoformat(" ")
    times = [column for column in draft.columns if column.type == "timestamp"]
    usable = [
        column
        for column in times
        if not column.nullable
        and str(column.high) <= now
        and not names.known_later(column.name, draft.target.name)
        and not names.has_word_of(column.name, names.SENSITIVE)
    ]
    for column in times:
        if str(column.high) > now and not column.nullable and names.has_word_of(column.name, names.EVENT):
            draft.unsure.append(f"{column.name} has times later than now (UTC), and is not taken for the event's time")
    usable.sort(key=lambda column: not names.has_word_of(column.name, names.EVENT))
    if usable:
        draft.event_time = usable[0].name
        others = "; unsure: other times have a value in every row, too" if len(usable) > 1 else ""
        draft.time_why = f"{str(usable[0].low)[:10]} to {str(usable[0].high)[:10]}, in every row{others}"
        draft.decided.append(f"event time {draft.event_time}: {draft.time_why}")
    for column in times:
        if column.name == draft.event_time:
            continue
        share = earlier = 0.0
        if draft.event_time:
            this, event = quoted(column.name), quoted(draft.event_time)
            shares = f"SELECT avg(({this} > {event})::INT), avg(({this} < {event})::INT) FROM {VIEW}"
            share, earlier = (float(value or 0) for value in one_row(connection, shares))
        if names.has_word_of(column.name, names.LABEL_TIME):
            if earlier:
                draft.after[column.name] = f"a label's time by its name, but earlier than {draft.event_time}"
            else:
                draft.label_time = column.name
        elif share > 0.5:
            draft.after[column.name] = f"later than {draft.event_time} in {share:.0%} of the rows"


def _flag_names(draft: Draft) -> None:
    """Flag columns whose names tell that they are known too late, sensitive, or personal."""
    for column in draft.columns:
        roles = (draft.target.name, draft.key, draft.event_time, draft.label_time)
        personal = column.type == "identifier" and names.has_word_of(column.name, names.PERSONAL)
        if personal or names.has_word_of(column.name, names.SENSITIVE):
            if column.name not in roles:
                draft.sensitive[column.name] = "by its name"
        elif column.name not in (*roles, *draft.after) and names.known_later(column.name, draft.target.name):
            draft.after[column.name] = f"its name suggests that it follows from {draft.target.name}"
    draft.unsure += [f"{name} looks known only after the prediction: {why}" for name, why in draft.after.items()]
    if draft.sensitive:
        listed = ", ".join(draft.sensitive)
        draft.unsure.append(f"{listed}: sensitive by name; masked in reports, and not given to the model")


def _choose_split(connection: duckdb.DuckDBPyConnection, draft: Draft) -> None:
    if draft.event_time and _split_by_time(connection, draft):
        return
    test, validation = (0.2, 0.2) if draft.rows >= 2_000 else (0.3, 0.2)
    draft.split = {"by": "hash", "salt": draft.model_name, "test": test, "validation": validation}
    draft.split_why = "a hash of the key"
    entities = [column for column in draft.columns if _is_entity(column, draft)]
    if entities:
        entity = max(entities, key=lambda column: column.distinct)
        draft.split["column"] = entity.name
        each = entity.rows / entity.distinct
        draft.split_why = f"all rows of one {entity.name}, {each:.1f} on average, are on one side"
        if entity.type != "identifier":
            draft.unsure.append(f"{entity.name} is taken for an entity with several rows; as a feature it may not help")
    draft.decided.append(f"split by hash: {draft.split_why}")


def _is_entity(column: Found, draft: Draft) -> bool:
    """Return whether a column names somebody or something that has several rows."""
    if column.name in (draft.key, draft.target.name) or column.nullable:
        return False
    if not MIN_ENTITIES <= column.distinct < 0.95 * column.present:
        return False
    if names.has_word_of(column.name, names.ENTITY):
        return column.type in ("identifier", "category", "integer")
    return column.type == "identifier" and names.is_key_like(column.name)


def _split_by_time(connection: duckdb.DuckDBPyConnection, draft: Draft) -> bool:
    """Make the newest fifth of the rows the test rows, if each side then has rows of both classes."""
    time = quoted(str(draft.event_time))
    newest, test, validation, oldest = one_row(
        connection,
        f"SELECT max({time}), quantile_disc({time}, 0.8), quantile_disc({time}, 0.65), min({time}) FROM {VIEW}",
    )
    test_days = max(1, round((newest - test) / timedelta(days=1)))
    validation_days = max(1, round((test - validation) / timedelta(days=1)))
    starts = [newest - timedelta(days=test_days), newest - timedelta(days=test_days + validation_days)]
    target = f"{quoted(draft.target.name)}::VARCHAR"
    sides = connection.execute(
        f"SELECT CASE WHEN {time} >= ? THEN 0 WHEN {time} >= ? THEN 1 ELSE 2 END AS side, count({target}), "
        f"count(DISTINCT {target} = ?) FROM {VIEW} WHERE {target} IS NOT NULL GROUP BY 1",
        [*starts, draft.positive or ""],
    ).fetchall()
    classes = 1 if draft.task == "regression" else 2
    if newest - oldest < timedelta(days=10) or len(sides) < 3 or any(n < 30 or c < classes for _, n, c in sides):
        draft.unsure.append(f"{draft.event_time} does not split the rows into enough of each class: split by hash")
        return False
    shares = {side: rows / draft.rows for side, rows, _ in sides}
    draft.split = {"by": "time", "test_days": test_days, "validation_days": validation_days}
    draft.split_why = f"the newest {shares[0]:.0%} of the rows test, the {shares[1]:.0%} before them validate"
    draft.decided.append(f"split by time: {draft.split_why}")
    draft.to_decide.append(
        f"schema.label_delay_days: how many days after {draft.event_time} is {draft.target.name} final? It is 0 now."
    )
    return True


def _derive(connection: duckdb.DuckDBPyConnection, draft: Draft) -> None:
    """Derive features of the event's moment."""
    if not draft.event_time:
        return
    time, taken = quoted(draft.event_time), {column.name for column in draft.columns}
    days, has_hours = one_row(
        connection, f"SELECT count(DISTINCT {time}::DATE), bool_or({time} <> date_trunc('day', {time})) FROM {VIEW}"
    )
    for feature, wanted in (("hour", has_hours), ("weekday", days >= 14)):
        name = feature if feature not in taken else f"{feature}_of_event"
        if wanted:
            draft.derive[name] = {"op": feature, "of": draft.event_time}
