"""Changed labels, lost rows and repeated rows, on tables small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.model.scorer import Scorer
from pipelines.review.gates.rows import changed_labels_gate, lost_rows_gate, repeated_rows_gate
from pipelines.review.row_changes import RowChanges, _repeated, row_changes
from pipelines.tables.data import connect
from tests.engine.review.made_up import evidence, params, table

SPLIT = {"by": "time", "column": "ordered_at", "matured": "2026-04-02T00:00:00+00:00",
         "test_from": "2026-03-01T00:00:00+00:00", "validation_from": "2026-02-20T00:00:00+00:00"}  # fmt: skip


@pytest.fixture
def rows(logistic) -> pa.Table:
    return table(logistic)


@pytest.fixture
def compare(logistic, tmp_path):
    """Changes from one Arrow table (or a reason why it is not known) to another."""

    def compared(before, after, positive="true", delay=0, head_scorer=None, unchanged=False):
        connection = connect()
        tables = [
            side if isinstance(side, str) else as_table(connection, tmp_path / name, side)
            for name, side in (("base", before), ("head", after))
        ]
        scorer = Scorer(logistic.model, logistic.signature)
        scorer.signature = replace(scorer.signature, classes=("other", positive))
        chosen = params(schema={"label_delay_days": delay})
        return row_changes(tables[1], tables[unchanged], chosen, SPLIT, scorer, head_scorer)

    return compared


def as_table(connection, path, rows: pa.Table):
    pq.write_table(rows, path)
    return connection.read_parquet(str(path))


def with_column(rows: pa.Table, name: str, values) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, pa.array(values, rows[name].type))


def in_test(rows: pa.Table) -> np.ndarray:
    return np.flatnonzero(rows["ordered_at"].to_numpy() >= np.datetime64("2026-03-01"))


def test_equal_rows_have_no_changes(rows, compare):
    changes = compare(rows, rows)
    assert [part.count for part in (*changes.labels, *changes.lost)] == [0, 0, 0, 0]
    assert [part.total for part in changes.lost] == [400, len(in_test(rows))]
    test_positives = sum(rows.take(in_test(rows))["returned"].to_pylist())
    assert [(part.count, part.total) for part in changes.repeated] == [(0, 0), (0, 0), (0, test_positives)]


def test_a_label_that_changes_counts_among_the_rarer_class_and_a_late_one_does_not(rows, compare):
    labels = rows["returned"].to_pylist()
    late = with_column(rows, "returned", [None, None, *labels[2:]])
    assert compare(late, rows).labels[0].count == 0
    changed = with_column(rows, "returned", [not label for label in labels[:7]] + labels[7:])
    part = compare(rows, changed).labels[0]
    assert (part.count, part.total) == (7, sum(labels))


def test_a_provisional_label_that_becomes_final_is_no_change(rows, compare):
    times = rows["ordered_at"].to_numpy()
    young = times > times.max() - np.timedelta64(14, "D")
    labels = np.array(rows["returned"].to_pylist())
    before = with_column(rows, "returned", [bool(label) for label in labels & ~young])
    assert compare(before, rows).labels[0].count == (labels & young).sum() > 5
    assert [part.count for part in compare(before, rows, delay=14).labels] == [0, 0]
    assert compare(before, with_column(rows, "returned", ~labels), delay=14).labels[0].count == (~young).sum()


@pytest.mark.parametrize("unchanged", [False, True])
def test_another_positive_class_changes_every_label(rows, compare, unchanged):
    part = compare(rows, rows, positive="false", unchanged=unchanged).labels[0]
    assert part.count == 400 and part.share > 1
    assert compare(rows, rows, unchanged=True) == RowChanges()


def test_a_row_is_lost_with_its_key_its_label_or_its_place_in_the_test_rows(rows, compare):
    chosen = in_test(rows)[:3]
    gone = rows.take(np.setdiff1d(np.arange(400), chosen[:1]))
    labels = gone["returned"].to_pylist()
    labels[gone["order_id"].to_pylist().index(str(chosen[1]))] = None
    times = gone["ordered_at"].to_pylist()
    times[gone["order_id"].to_pylist().index(str(chosen[2]))] = times[0].replace(month=2, day=1)
    changes = compare(rows, with_column(with_column(gone, "returned", labels), "ordered_at", times))
    assert [part.count for part in changes.lost[:2]] == [2, 3]
    assert [part.of for part in changes.lost[2:]] == ["test positives", "log loss on these test rows"]


def test_rows_older_than_the_oldest_one_are_not_lost(rows, compare):
    recent = rows.filter(pa.array(rows["ordered_at"].to_numpy() >= np.datetime64("2026-01-20")))
    assert recent.num_rows < 400
    assert [part.count for part in compare(rows, recent).lost] == [0, 0]


def copies(rows: pa.Table, of: np.ndarray, month: int) -> pa.Table:
    made = rows.take(of)
    made = with_column(made, "order_id", [f"copy-{i}" for i in range(len(of))])
    times = [moment.replace(month=month, day=5) for moment in made["ordered_at"].to_pylist()]
    return pa.concat_tables([rows, with_column(made, "ordered_at", times)])


def test_copies_are_counted_in_both_directions_with_and_without_the_base(rows, compare):
    to_training = copies(rows, in_test(rows)[:20], 2)
    new_test, new_training, _ = compare(rows, to_training).repeated
    assert (new_training.count, new_training.total, new_test.count) == (20, 20, 0)
    every, _ = compare("not fetched", to_training).repeated
    assert (every.count, every.total) == (20, len(in_test(rows)))
    new_test, _, _ = compare(rows, copies(rows, np.setdiff1d(np.arange(400), in_test(rows))[:20], 3)).repeated
    assert (new_test.count, new_test.total) == (20, 20)


def test_an_old_row_that_becomes_a_copy_is_new(rows, compare):
    source, target = in_test(rows)[0], np.setdiff1d(np.arange(400), in_test(rows))[0]
    order = np.arange(400)
    order[target] = source
    copied = rows.take(order)
    for name in ("order_id", "ordered_at"):
        copied = with_column(copied, name, rows[name].to_pylist())
    assert compare(rows, copied).repeated[1].count == 1


def test_the_training_rows_show_how_often_rows_are_equal_by_nature(rows, compare):
    few_columns = rows
    for name, value in (("price", 1.0), ("usual_price", 1.0), ("items", 1), ("shop", "web"), ("size", "S")):
        few_columns = with_column(few_columns, name, [value] * 400)
    for name in ("usual_size", "region"):
        few_columns = with_column(few_columns, name, few_columns[name].take(pa.array([0] * 400)).to_pylist())
    changes = compare("not fetched", few_columns)
    assert [(part.share, part.by_chance) for part in changes.repeated] == [(1.0, 1.0), (1.0, 1.0)]
    assert {part.by_chance for part in compare(few_columns, few_columns).repeated} == {1.0}


def test_copies_of_training_rows_do_not_make_copies_of_test_rows_natural(rows, compare):
    test = in_test(rows)
    training = np.setdiff1d(np.arange(400), test)
    doubled = pa.concat_tables([rows, with_column(rows.take(training), "order_id", [f"d{i}" for i in training])])
    assert compare("not fetched", doubled).repeated[0].by_chance == 1.0
    copied = copies(doubled, test[:20], 2)
    changes = compare(rows, copied)
    assert {part.by_chance for part in changes.repeated} == {0.0}
    assert [result.passed for result in repeated_rows_gate(evidence(row_changes=changes))] == [True, False, False]


def test_copies_of_test_positives_are_not_diluted_by_new_rows(rows, compare):
    test = in_test(rows)
    positive = np.array(rows["returned"].to_pylist())
    copied = copies(rows, test[positive[test]][:12], 2)
    new = rows.take(np.tile(np.setdiff1d(np.arange(400), test), 40))
    new = with_column(new, "price", np.random.default_rng(1).normal(size=len(new)))
    new = with_column(new, "order_id", [f"new-{i}" for i in range(len(new))])

    def failed(after):
        results = repeated_rows_gate(evidence(row_changes=compare(rows, after)))
        return [result.name for result in results if not result.passed]

    assert failed(pa.concat_tables([copied, new])) == [
        "repeated rows: test rows of the rarer class equal a training row"
    ]
    assert failed(pa.concat_tables([rows, new])) == []


def test_times_that_move_hide_no_changed_label_and_no_lost_row(rows, compare):
    labels = rows["returned"].to_pylist()
    later = with_column(rows, "ordered_at", [moment.replace(year=2028) for moment in rows["ordered_at"].to_pylist()])
    changes = compare(rows, with_column(later, "returned", [not label for label in labels]).slice(100))
    # The rows are in no order of time, so those that are left tell the window.
    assert changes.labels[0].count == 300
    assert changes.lost[0].count > 90


@pytest.mark.parametrize("kept", [0, 5])
def test_new_keys_and_moved_times_together_are_not_evaluated(rows, compare, kept):
    newest = rows.take(np.argsort(rows["ordered_at"].to_numpy())[::-1])
    keys = newest["order_id"].to_pylist()[:kept] + [f"new-{i}" for i in range(400 - kept)]
    later = [moment.replace(year=2028) for moment in newest["ordered_at"].to_pylist()[kept:]]
    times = newest["ordered_at"].to_pylist()[:kept] + later
    labels = [not label for label in newest["returned"].to_pylist()]
    moved = with_column(with_column(newest, "order_id", keys), "ordered_at", times)

    def states(before, after):
        judged = evidence(row_changes=compare(before, after))
        return [next(gate(judged)).state for gate in (changed_labels_gate, lost_rows_gate)]

    assert states(rows, with_column(moved, "returned", labels)) == ["not evaluated", "not evaluated"]
    assert f"{kept} of the base's 400 rows" in compare(rows, moved).few_common
    assert states(rows.slice(0, 15), moved) == ["passed", "passed"]  # the base itself has too few rows
    # Times that do not move make lost rows of them.
    assert states(rows, with_column(rows, "order_id", [f"new-{i}" for i in range(400)])) == ["not evaluated", "failed"]


def test_lost_rows_that_only_the_head_gets_wrong_count_by_its_loss(rows, compare, logistic):
    class Head:
        """Wrong about three rows; the base is right about them."""

        signature = Scorer(logistic.model, logistic.signature).signature

        def score(self, inputs):
            hard = np.isin(inputs["price"].ravel(), prices)
            return np.where(hard, 1e-6, 0.5)

    test = in_test(rows)
    chosen = test[np.array(rows["returned"].to_pylist())[test]][:3]
    prices = np.array(rows["price"].to_pylist(), dtype="float32")[chosen]
    changes = compare(rows, rows.take(np.setdiff1d(np.arange(400), chosen)), head_scorer=Head())
    results = {result.name: result.passed for result in lost_rows_gate(evidence(row_changes=changes))}
    assert not results["lost rows: log loss of the head's model on these test rows"]
    others = compare(rows, rows.take(np.setdiff1d(np.arange(400), test[-3:])), head_scorer=Head())
    part = others.lost[-1]
    assert part.share <= part.by_chance
    # A head that reads a column that the base's rows lack cannot be scored on them.
    unknown = replace(Head.signature.inputs[0], name="unknown")
    Head.signature = replace(Head.signature, inputs=(*Head.signature.inputs, unknown))
    assert compare(rows, rows.slice(3), head_scorer=Head()).lost == compare(rows, rows.slice(3)).lost


def test_without_the_rows_or_the_columns_of_the_base_the_reason_is_told(rows, compare):
    assert compare("not in the cache", rows).why_not == "not in the cache"
    changes = compare(rows.drop(["ordered_at"]), rows)
    assert "ordered_at" in changes.why_not and changes.labels == ()


def test_a_new_model_has_no_base_to_compare_with(rows, tmp_path):
    head = as_table(connect(), tmp_path / "head", rows)
    assert row_changes(head, "not read", params(), SPLIT, None).why_not == "there is no base to compare with"


def test_of_a_regression_all_rows_are_of_one_kind(tmp_path):
    def side(name, contents, test):
        rows = {
            "key": [f"{name}{i}" for i in range(len(contents))],
            "content": contents,
            "test": [test] * len(contents),
        }
        return pa.table({**rows, "training": [not test] * len(contents), "target": [float(c) for c in contents]})

    before = pa.concat_tables([side("train", [1, 1, 2, 3], False), side("test", [4, 5, -6], True)])
    after = pa.concat_tables([before, side("copy", [4, 9, -6], False)])
    connection = connect()
    sides = (as_table(connection, tmp_path / "after", after), as_table(connection, tmp_path / "before", before))
    *_, part = _repeated(*sides, "regression")
    assert (part.of, part.count, part.total) == ("test rows equal a training row", 2, 3)
    assert part.by_chance == pytest.approx(2 / 7)  # of the head's training rows; 2 / 4 of the base's
