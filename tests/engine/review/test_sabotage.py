"""Each sabotage of the real pipeline fails the review by the gate that is meant for it.

Needs the small problem (git, DVC, the whole pipeline), or the quick one where a test trains again.
"""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from pipelines.model.encoding import encode
from pipelines.model.scorer import Scorer
from pipelines.tables.data import to_numpy
from tests.engine.fixtures_repo import Repo
from tests.engine.forged import plant, scaled
from tests.engine.in_process import must, reproduce, review, stages_in_process, verb

Change = Callable[[pa.Table], pa.Table]
# Drawing an Evidently page is slow; one test draws it.
no_page = mock.patch("pipelines.review.evidently_page.draw_page", return_value="not drawn here")


def change_rows(repo: Repo, change: Change) -> None:
    """Rewrite data/ with another table."""
    for path in sorted((repo.path / "data").glob("*.parquet")):
        table = change(pq.read_table(path))
        path.unlink()  # the file may be a link into the cache
        pq.write_table(table, path)


def set_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(
        table.schema.get_field_index(name), table.schema.field(name), pa.array(values, table[name].type)
    )


def before_the_test_rows(repo: Repo, table: pa.Table) -> pa.ChunkedArray:
    """Mask of the rows that the head trains or selects on; the test rows stay unchanged."""
    split = json.loads((repo.path / "models/split.json").read_text())
    moment = datetime.fromisoformat(split["test_from"]).replace(tzinfo=None)
    return pc.less(table["paid_at"], pa.scalar(moment, table["paid_at"].type))


def review_fails(repo: Repo, *names: str) -> dict[str, str]:
    """Review, check that it ends with 1 and that a failed gate begins with each name; return the failed gates."""
    must(review(repo), 1)
    failed = repo.failed
    for name in names:
        assert any(gate.startswith(name) for gate in failed), (name, failed)
    assert (repo.path / "reports/review/review.md").read_text().startswith("## ❌ FAIL: ")
    return failed


def rows_of(repo: Repo, folder: str = "data") -> pa.Table:
    return pa.concat_tables(pq.read_table(path) for path in sorted((repo.path / folder).glob("*.parquet")))


def change_all_rows(repo: Repo, change: Change) -> None:
    """Rewrite data/ with another table, in one file."""
    table = change(rows_of(repo))
    for path in (repo.path / "data").glob("*.parquet"):
        path.unlink()
    pq.write_table(table, repo.path / "data/rows.parquet")


def mask_of_test_rows(repo: Repo, table: pa.Table) -> np.ndarray:
    """Mask of the test rows of shape (n,)."""
    split = json.loads((repo.path / "models/split.json").read_text())
    start, end = (
        np.datetime64(datetime.fromisoformat(split[n]).replace(tzinfo=None)) for n in ("test_from", "matured")
    )
    when = table["paid_at"].to_numpy()
    return (when >= start) & (when <= end) & table["is_fraud"].is_valid().to_numpy()


def gates_on_rows(repo: Repo) -> dict[str, str]:
    """Review; the failed gates on rows and on what is too good, by name."""
    with no_page:
        review(repo)
    groups = ("rows", "plausible")
    gates = repo.report["gates"]
    return {g["name"]: g["why"] for g in gates if g["group"] in groups and g["blocks"] and not g["passed"]}


def remove_metric_gates(document: dict[str, Any]) -> None:
    """Remove the gates on whole metrics, so that only the gate of the test can fail."""
    document["gates"] |= {"floors": {}, "regression": {}}


def test_a_slice_with_wrong_labels_fails_its_gate(quick: Repo) -> None:
    def mislabel(table: pa.Table) -> pa.Table:
        online = pc.and_(pc.equal(table["channel"], "online"), before_the_test_rows(quick, table))
        labels = pc.if_else(online, pc.if_else(pc.is_null(table["is_fraud"]), None, 0), table["is_fraud"])
        return set_column(table, "is_fraud", labels.to_pylist())

    change_rows(quick, mislabel)
    quick.params(remove_metric_gates)
    with no_page:
        review_fails(quick, "slice channel=online")


def test_a_category_renamed_upstream_fails_validation(repo: Repo) -> None:
    change_rows(
        repo,
        lambda t: set_column(t, "channel", pc.replace_substring(t["channel"], "contactless", "nfc").to_pylist()),
    )
    review_fails(repo, "validation channel: value", "validation channel: empty category")


def test_a_dropped_column_fails_validation_by_its_name(repo: Repo) -> None:
    change_rows(repo, lambda table: table.drop(["usual_amount"]))
    review_fails(repo, "validation usual_amount: column missing")


def test_a_flood_of_missing_values_fails_validation(repo: Repo) -> None:
    def flood(table: pa.Table) -> pa.Table:
        values = table["usual_amount"].to_pylist()
        return set_column(table, "usual_amount", [None if i % 3 else v for i, v in enumerate(values)])

    change_rows(repo, flood)
    review_fails(repo, "validation usual_amount: too much missing")


def test_a_column_that_nearly_is_the_target_fails_validation(repo: Repo) -> None:
    def leak(table: pa.Table) -> pa.Table:
        return set_column(table, "usual_amount", [float(v or 0) + 1 for v in table["is_fraud"].to_pylist()])

    change_rows(repo, leak)
    review_fails(repo, "validation usual_amount: leak")


def test_a_critical_case_that_is_flipped_fails_by_its_name(repo: Repo) -> None:
    path = repo.path / "tests/critical/payments.yaml"
    text = path.read_text()
    assert "expect: negative" in text
    path.write_text(text.replace("expect: negative", "expect: positive", 1))
    failed = review_fails(repo, "critical: groceries at home are let through")
    assert set(failed) == {"critical: groceries at home are let through"}


def test_a_sensitive_group_made_worse_fails_the_fairness_gate(quick: Repo) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        # Fraud on the oldest customers gets the fields of ordinary payments.
        fraud = pc.fill_null(pc.equal(table["is_fraud"], 1), False).to_numpy()
        rows = np.arange(len(table))
        hit = fraud & pc.equal(table["age_group"], "60+").to_numpy()
        rows[hit] = np.random.default_rng(1).choice(np.flatnonzero(~fraud), hit.sum())
        for name in ("amount", "usual_amount", "merchant_category", "merchant_country", "card_country", "channel",
                     "new_device", "minutes_since_last", "customer_id"):  # fmt: skip
            table = set_column(table, name, table[name].take(pa.array(rows)).to_pylist())
        return table

    change_rows(quick, spoil)
    quick.params(remove_metric_gates)
    # 22 of the test rows are fraud on the oldest customers: they can show a ratio below 0.8, not one below 0.4.
    quick.params(lambda document: document["fairness"].update(min_recall_ratio=0.8))
    with no_page:
        review_fails(quick, "fairness age_group: recall")


def test_a_model_planted_in_cache_and_lock_passes_a_review_and_is_found_by_training_again(quick: Repo) -> None:
    lock = (quick.path / "dvc.lock").read_text()
    plant(quick, "models/model.onnx", scaled(0.999))
    must(review(quick, "main"))
    must(verb(quick, "check-lock"))
    assert {stage["state"] for stage in quick.report["stages"]} == {"cached"}
    with stages_in_process("review.verify"):
        assert "models/model.onnx: scores" in must(verb(quick, "verify"), 1).out
        # The innocent twin: the lock that the tree gives.
        (quick.path / "dvc.lock").write_text(lock)
        quick.commit("what the pipeline wrote")
        assert "Verified: " in must(verb(quick, "verify")).last


def few_of(in_test: np.ndarray) -> int:
    """So many test rows that their share is below the limit of lost rows."""
    return int(0.004 * len(in_test))


def with_copies(repo: Repo, rows: pa.Table, of: np.ndarray) -> pa.Table:
    """The rows, and copies of some of them under new keys and at times of training rows."""
    early = np.flatnonzero(before_the_test_rows(repo, rows).to_numpy())[-4000:]  # none of the oldest
    at = np.random.default_rng(2).choice(early, len(of), replace=False)
    copies = set_column(rows.take(of), "payment_id", [f"copy-{i}" for i in range(len(of))])
    for name in ("paid_at", "labelled_at"):
        copies = set_column(copies, name, rows[name].take(at).to_pylist())
    return pa.concat_tables([rows, copies])


def with_hint(rows: pa.Table, share: float) -> pa.Table:
    """The rows with a column that ranks them by the target (AUC of about 0.96 for a share of 1), or less well."""
    fraud = pc.fill_null(rows["is_fraud"], 0).to_numpy()
    values = share * 2.5 * fraud + np.random.default_rng(1).normal(size=len(rows))
    return rows.append_column("hint", pa.array(values))


def use_hint(repo: Repo) -> None:
    """Make that column an input of the model."""

    def use(document: dict[str, Any]) -> None:
        document["schema"]["columns"]["hint"] = {"type": "number", "nullable": True}
        document["features"]["use"].append("hint")

    pointer = repo.path / "data.dvc"
    pointer.write_text(yaml.safe_dump({"outs": yaml.safe_load(pointer.read_text())["outs"]}))  # not made by ingest
    repo.params(use)


def test_the_innocent_twins_of_sabotaged_rows_pass_together(quick: Repo) -> None:
    """Late labels, few corrections, a moving window, few random losses, repeated training rows, a plausible input."""
    rows = rows_of(quick)
    labels = np.array(rows["is_fraud"].to_pylist(), dtype=object)
    labels[np.flatnonzero([label is None for label in labels])[:50]] = 0
    labels[np.flatnonzero(labels == 1)[:4]] = 0
    rows = set_column(rows, "is_fraud", labels.tolist())
    draw = np.random.default_rng(1)
    in_test = np.flatnonzero(mask_of_test_rows(quick, rows))
    in_training = np.flatnonzero(before_the_test_rows(quick, rows).to_numpy())
    oldest = np.argsort(rows["paid_at"].to_numpy())[:500]
    lost = np.concatenate([oldest, draw.choice(in_test, few_of(in_test), replace=False)])
    repeated = with_copies(quick, rows, draw.choice(in_training, 226, replace=False))
    kept = repeated.take(np.setdiff1d(np.arange(len(repeated)), lost))
    use_hint(quick)
    change_all_rows(quick, lambda _: with_hint(kept, 0.1))
    assert gates_on_rows(quick) == {}
    assert "\n- Test rows: " in (quick.path / "reports/review/review.md").read_text()


def test_labels_that_were_shuffled_fail_the_gates(quick: Repo) -> None:
    rows = rows_of(quick)
    labels = np.array(rows["is_fraud"].to_pylist(), dtype=object)
    early = np.flatnonzero(before_the_test_rows(quick, rows).to_numpy())
    labels[early] = np.random.default_rng(1).permutation(labels[early])
    change_all_rows(quick, lambda table: set_column(table, "is_fraud", labels.tolist()))
    review_fails(quick, "regression average_precision", "floor average_precision", "changed labels")
    # The data changed, and the base's rows are in the cache.
    assert (quick.path / "reports/review/data.html").is_file()


def test_hard_test_rows_that_vanish_fail_the_gate(quick: Repo) -> None:
    rows = rows_of(quick)
    in_test = np.flatnonzero(mask_of_test_rows(quick, rows))
    scorer = Scorer(quick.path / "models/model.onnx", quick.path / "models/signature.json")
    prepared = rows_of(quick, "prepared")
    scores = scorer.score({i.name: encode(i, to_numpy(prepared, i.name)) for i in scorer.signature.inputs})
    loss = np.abs(scores - to_numpy(rows, "is_fraud"))[in_test]
    lost = in_test[np.argsort(-loss)[: few_of(in_test)]]
    change_all_rows(quick, lambda _: rows.take(np.setdiff1d(np.arange(len(rows)), lost)))
    assert set(gates_on_rows(quick)) == {
        "lost rows: log loss on these test rows",
        "lost rows: log loss of the head's model on these test rows",
        "lost rows: test positives",
    }


def test_test_rows_copied_into_the_training_period_fail_the_gate(quick: Repo) -> None:
    rows = rows_of(quick)
    in_test = np.random.default_rng(1).choice(np.flatnonzero(mask_of_test_rows(quick, rows)), 226, replace=False)
    change_all_rows(quick, lambda _: with_copies(quick, rows, in_test))
    assert set(gates_on_rows(quick)) == {
        "repeated rows: new training rows equal a test row",
        "repeated rows: test rows of the rarer class equal a training row",
    }


def test_a_new_input_that_is_too_good_fails_the_gate_until_a_person_confirms_it(quick: Repo) -> None:
    use_hint(quick)
    change_all_rows(quick, lambda table: with_hint(table, 1.0))
    assert "plausible input hint" in gates_on_rows(quick)
    quick.params(lambda document: document["gates"].update(allow_gain="the bank scores each payment before it"))
    assert gates_on_rows(quick) == {}


def test_an_equal_model_passes_with_equal_metrics(repo: Repo) -> None:
    (repo.path / "README.md").write_text("another readme\n")
    must(review(repo))
    assert all(row["delta"] == 0 for row in repo.report["metrics"])
    assert {stage["state"] for stage in repo.report["stages"]} == {"cached"}


def test_a_better_model_passes_with_an_interval_above_zero(repo: Repo) -> None:
    def only(*names: str) -> Callable[[dict[str, Any]], None]:
        return lambda d: d.update(candidates={n: c for n, c in every.items() if n in names})

    every: dict[str, Any] = {}
    repo.params(lambda document: every.update(document["candidates"]))
    repo.params(only("logistic"))
    repo.params(lambda document: document["gates"].update(floors={}))
    reproduce(repo)
    repo.commit("a base with the weakest candidate")
    base = repo.git("rev-parse", "HEAD")
    repo.params(only("boosting", "logistic"))
    must(review(repo, base))
    row = next(row for row in repo.report["metrics"] if row["name"] == "average_precision")
    assert row["low"] > 0
    assert not (repo.path / "reports/review").joinpath("data.html").exists()
    assert Path(repo.path / "reports/review/review.html").is_file()
