"""What happened to the base's rows: changed labels, lost rows, and new rows that are on both sides of the split.

Rows are matched by key. Only rows with a known label count: a label that arrives late is no change, neither is one that
was younger in the base than `label_delay_days`, and a label that is taken away makes a lost row. Rows older than the
head's oldest one left with a moving window and are not lost; rows that are still there are compared, whatever their
time.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from pipelines.config.params import Params
from pipelines.model.inputs import inputs_of
from pipelines.model.scorer import Scorer
from pipelines.review.earlier_model import not_comparable
from pipelines.tables.data import target_value
from pipelines.tables.rows import load_rows
from pipelines.tables.split import is_on_side

DELETIONS = 999  # random deletions that a real one is compared with
MIN_COMMON = 0.1  # share of the base's rows that must be there to count what changed in them
ENOUGH = 20  # of fewer rows of the base, nothing can be told


@dataclass(frozen=True)
class Part:
    """A part of a whole, such as the lost ones of the base's test rows.

    Attributes:
        of: what both count, in words.
        by_chance: the share that is innocent: of lost rows, the largest that as many rows chosen at random had; of
            repeated rows, the share of the training rows that have an equal one among themselves, or of the base's, if
            that is less.
    """

    of: str
    count: float
    total: float
    by_chance: float = 0.0

    @property
    def share(self) -> float:
        """The part as a share of the whole."""
        return self.count / self.total if self.total else float(self.count > 0)


@dataclass(frozen=True)
class RowChanges:
    """How the head's rows differ from the base's; all empty if they are the same rows.

    Attributes:
        why_not: why the rows could not be compared; then only `repeated` is set, and every row counts as new.
        few_common: why changed labels cannot be counted, and lost rows neither unless `lost` is set: hardly a row of
            the base is there under its key.
        labels: changed labels. Of a classification the whole is the rarer class, since few changes among rare
            positives are many for a metric.
        lost: the base's rows that the head does not have, or has no label of.
        repeated: rows with inputs and target of a row on the other side of the split, of which one is new.
        target: mean and standard deviation of the known targets of the base and of the head.
    """

    why_not: str = ""
    few_common: str = ""
    labels: tuple[Part, ...] = ()
    lost: tuple[Part, ...] = ()
    repeated: tuple[Part, ...] = ()
    target: tuple[tuple[float, float], tuple[float, float]] | None = None


def row_changes(
    head: ir.Table,
    base: ir.Table | str,
    params: Params,
    split: dict[str, Any],
    base_scorer: Scorer | None,
    head_scorer: Scorer | None = None,
) -> RowChanges:
    """Compare the head's rows with the base's.

    Args:
        base: the base's rows, or why they are not known; the same table as the head's if the rows are the same.
        split: the head's, which is applied to both.
        base_scorer: the base's model; its signature names the positive class of the base.
        head_scorer: the head's model, which lost rows are scored with too.
    """
    classes = base_scorer.signature.classes if base_scorer else ()
    if base_scorer is None:
        base = "there is no base to compare with"
    elif base is head and (not classes or classes[-1] == params.table.positive):
        return RowChanges()
    elif not isinstance(base, str):
        needed = {params.table.key, params.table.target, split["column"], *filter(None, [params.table.event_time])}
        if missing := sorted(needed - set(base.columns)):
            base = f"the base's rows have no column {', '.join(missing)}"
    if isinstance(base, str):
        return RowChanges(why_not=base, repeated=_repeated(_labelled(head, params, split), None, params.task))
    assert base_scorer is not None
    common = set(base.columns)
    label = partial(_labelled, params=params, split=split, common=common)
    of_base = partial(label, positive=classes[-1] if classes else None)
    after, everything, window = label(head), of_base(base), base
    if params.table.event_time:
        window = base.filter(base[params.table.event_time] >= ibis.timestamp(_window_start(head, base, params)))
    before = of_base(window)
    labels, lost = _matched(before, after, params)
    few_common = ""
    total, here = int(everything.count().execute()), int(lost[0].total - lost[0].count)
    if total >= ENOUGH and here < MIN_COMMON * total:
        few_common = (
            f"only {here:,} of the base's {total:,} rows with a label are in the head under their key and in its period"
            "; keep key and time of rows that are still there. If all rows are new, set gates.when_unclear: warn, with "
            "a reason in gates.allow_weaker"
        )
        labels, lost = (), lost if lost[0].total >= MIN_COMMON * total else ()
    if lost and lost[1].count:
        gone = set(before.filter(before.test).anti_join(after.filter(after.test), "key").key.to_pyarrow().to_pylist())
        scorers = {"": base_scorer}
        if head_scorer and not not_comparable(base.schema(), head_scorer.signature, params.table.event_time):
            scorers[" of the head's model"] = head_scorer
        for whose, scorer in scorers.items():
            lost += _lost_weight(window, gone, params, split, scorer, whose)
    repeated = _repeated(after, everything, params.task)
    return RowChanges("", few_common, labels, lost, repeated, (_moments(before), _moments(after)))


def _window_start(head: ir.Table, base: ir.Table, params: Params) -> str:
    """From when on the base's rows are compared: the head's oldest row, or the oldest of the base's that it still has.

    The head's times alone prove no moving window: if all of them moved, no row would be compared.
    """
    key, time = params.table.key, params.table.event_time
    kept = base.filter(base[key].cast("string").isin(head[key].cast("string")))
    moments = [rows[time].min().to_pyarrow().as_py() for rows in (head, kept)]
    return str(min(moment for moment in moments if moment is not None).isoformat())


def _labelled(
    table: ir.Table,
    params: Params,
    split: dict[str, Any],
    common: set[str] | None = None,
    positive: str | None = None,
) -> ir.Table:
    """Key, target, side and content (a hash of inputs and target) of the rows with a known label; whether it is final.

    Times are no content: a row copied to the other side of a split by time must have another one. Neither are prepared
    columns: those of a copy can differ, because they count the rows beside it.

    Args:
        common: columns of which inputs are content; by default all.
        positive: the positive class; by default the head's.
    """
    table_params = params.table.model_copy(update={"positive": positive or params.table.positive})
    with_positive = params.model_copy(update={"table": table_params})
    rows = table.filter(table[params.table.target].notnull())
    value = target_value(rows, with_positive).cast("float64")
    raw = [item.name for item in inputs_of(params) if item.type != "timestamp" and not item.prepared]
    inputs = [name for name in raw if not common or name in common]
    content = {f"input_{name}": rows[name].cast("string") for name in inputs} | {"target": value.cast("string")}
    return rows.select(
        key=rows[params.table.key].cast("string"),
        target=value,
        final=_is_final(table, rows, params),
        test=is_on_side(rows, split, "test"),
        training=is_on_side(rows, split, "train") | is_on_side(rows, split, "validation"),
        content=ibis.struct(content).hash(),
    )


def _is_final(table: ir.Table, rows: ir.Table, params: Params) -> ir.BooleanValue:
    """Whether a label was final when these rows were taken: a younger one is used nowhere, and may be provisional."""
    time = params.table.event_time
    newest = table[time].max().to_pyarrow().as_py() if time and params.table.label_delay_days else None
    if newest is None:
        return ibis.literal(True)
    return rows[time] <= ibis.timestamp((newest - timedelta(days=params.table.label_delay_days)).isoformat())


def _matched(before: ir.Table, after: ir.Table, params: Params) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Changed labels and lost rows, by one query over both tables."""
    both = before.left_join(after, "key", rname="{name}_after")
    here = both.target_after.notnull()
    # Not by ==: a regression's target may come through another file format.
    differs = here & both.final & ((both.target - both.target_after).abs() > 1e-9 * both.target.abs())
    in_test = both.test | both.test_after.fill_null(False)
    counts = {
        "rows": both.count(),
        "lost": (~here).sum(),
        "test": both.test.sum(),
        "lost_test": (both.test & ~both.test_after.fill_null(False)).sum(),
        "changed": differs.sum(),
        "changed_test": (differs & in_test).sum(),
        "here": here.sum(),
        "here_test": (here & in_test).sum(),
        "positive": (here & (both.target == 1)).sum(),
        "positive_test": (here & in_test & (both.target == 1)).sum(),
    }
    n = {name: int(value or 0) for name, value in both.aggregate(**counts).to_pyarrow().to_pylist()[0].items()}

    def labels(of: str, suffix: str) -> Part:
        whole = n["here" + suffix]
        if params.task == "classification":
            positives = n["positive" + suffix]
            whole, of = min(positives, whole - positives), f"{of} in the rarer class"
        return Part(of, n["changed" + suffix], whole)

    return (
        (labels("rows", ""), labels("test rows", "_test")),
        (Part("rows", n["lost"], n["rows"]), Part("test rows", n["lost_test"], n["test"])),
    )


def _moments(rows: ir.Table) -> tuple[float, float]:
    row = rows.aggregate(mean=rows.target.mean(), sd=rows.target.std()).to_pyarrow().to_pylist()[0]
    return float(row["mean"] or 0), float(row["sd"] or 0)


def _lost_weight(
    base: ir.Table, gone: set[str], params: Params, split: dict[str, Any], scorer: Scorer, whose: str
) -> tuple[Part, ...]:
    """How much of the test positives, and of a model's loss on the base's test rows, the lost test rows carry.

    A few rows that are hard for the model are a small share of the rows and a large one of the loss. Each share comes
    with the largest of as many rows chosen at random 999 times: a deletion without a choice exceeds it once in 1,000.

    Args:
        gone: keys of the lost test rows.
        whose: whose model it is, in words; empty for the base's.
    """
    known = base.filter(base[params.table.target].notnull() & is_on_side(base, split, "test"))
    known = known.mutate(__key=known[params.table.key].cast("string"))
    rows = load_rows(known, params, scorer.signature.inputs)
    lost = np.array([key in gone for key in rows.arrow["__key"].to_pylist()])
    scores = scorer.score(rows.inputs)
    if params.task == "regression":
        weights = {f"absolute error{whose} on these test rows": np.abs(scores - rows.target)}
    else:
        clipped = np.clip(np.where(rows.target == 1, scores, 1 - scores), 1e-7, 1)
        weights = {f"log loss{whose} on these test rows": -np.log(clipped)}
        if not whose:
            weights = {"test positives": rows.target} | weights
    return tuple(_part(of, weight, lost, params.gates.seed) for of, weight in weights.items())


def _part(of: str, weight: npt.NDArray[np.float64], lost: npt.NDArray[np.bool_], seed: int) -> Part:
    generator = np.random.Generator(np.random.PCG64(seed))
    count = int(lost.sum())
    by_chance = max(weight[generator.integers(len(weight), size=count)].sum() for _ in range(DELETIONS))
    total = float(weight.sum())
    return Part(of, float(weight[lost].sum()), total, float(by_chance / total) if total else 0.0)


def _repeated(after: ir.Table, before: ir.Table | None, task: str) -> tuple[Part, ...]:
    """New rows that are equal to a row on the other side, and test rows of the rarer class with such a copy.

    Copies of a few test positives are a small share of many new rows, and a large one of the test positives.
    """
    if before is None:
        rows = after.mutate(new=ibis.literal(True))
    else:
        known = before.select("key", "content", known=ibis.literal(True)).distinct()
        joined = after.left_join(known, ["key", "content"], rname="{name}_before")
        rows = joined.mutate(new=joined.known.isnull())
    groups = rows.group_by("content").aggregate(
        target=rows.target.max(),
        training=rows.training.sum(),
        test=rows.test.sum(),
        new_training=(rows.training & rows.new).sum(),
        new_test=(rows.test & rows.new).sum(),
    )
    new_in_training = (groups.training > 0).ifelse(groups.new_test, 0)
    counted = _by_kind(
        groups,
        task,
        training=groups.training,
        twice=(groups.training >= 2).ifelse(groups.training, 0),
        test=groups.test,
        new_training=groups.new_training,
        new_test=groups.new_test,
        training_in_test=(groups.test > 0).ifelse(groups.new_training, 0),
        test_in_training=new_in_training,
        copied_test=(groups.new_training > 0).ifelse(groups.test, new_in_training),
    )
    of_base = None if before is None else _repeats_in_training(before, task)

    def part(of: str, count: str, whole: str, kinds: Iterable[float]) -> Part:
        n = sum((counted[kind] for kind in kinds), Counter())
        share = n["twice"] / n["training"] if n["training"] else 0.0
        if of_base is not None:
            # Copies that the head adds must not count as innocent. The share grows with the number of rows.
            b = sum((of_base[kind] for kind in kinds if kind in of_base), Counter())
            expected = b["twice"] / b["training"] * max(1.0, n["training"] / b["training"]) if b["training"] else 0.0
            share = min(share, expected)
        return Part(of, n[count], n[whole], share)

    parts = [part("new test rows equal a training row", "test_in_training", "new_test", counted)]
    if before is not None:
        parts.append(part("new training rows equal a test row", "training_in_test", "new_training", counted))
    rarer = sorted(counted, key=lambda kind: counted[kind]["test"])[:1]
    of = "test rows of the rarer class" if task == "classification" else "test rows"
    return (*parts, part(f"{of} equal a training row", "copied_test", "test", rarer))


def _repeats_in_training(rows: ir.Table, task: str) -> dict[float, Counter[str]]:
    groups = rows.group_by("content").aggregate(target=rows.target.max(), training=rows.training.sum())
    twice = (groups.training >= 2).ifelse(groups.training, 0)
    return _by_kind(groups, task, training=groups.training, twice=twice)


def _by_kind(groups: ir.Table, task: str, **counts: ir.IntegerColumn) -> dict[float, Counter[str]]:
    """Sums over groups of equal rows, by their class; a regression's rows are all of one kind."""
    kind = groups.target if task == "classification" else ibis.literal(0.0)
    rows = groups.group_by(kind=kind).aggregate(**{name: count.sum() for name, count in counts.items()}).to_pyarrow()
    return {row.pop("kind"): Counter({name: int(n or 0) for name, n in row.items()}) for row in rows.to_pylist()}
