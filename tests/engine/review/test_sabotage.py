"""Each sabotage of the real pipeline fails the review by the gate that is meant for it.

Needs the small problem (git, DVC, the whole pipeline).
"""

from __future__ import annotations

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

from tests.engine.fixtures_repo import Repo
from tests.engine.forged import plant, scaled
from tests.engine.in_process import must, reproduce, review, verb

Change = Callable[[pa.Table], pa.Table]
# Drawing an Evidently page is slow; one test draws it.
no_page = mock.patch("pipelines.review.evidently_page.write", return_value="not drawn here")


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


def remove_metric_gates(document: dict[str, Any]) -> None:
    """Remove the gates on whole metrics, so that only the gate of the test can fail."""
    document["gates"] |= {"floors": {}, "regression": {}}


def test_shuffled_labels_fail_the_regression_gate(repo: Repo) -> None:
    def shuffle(table: pa.Table) -> pa.Table:
        labels = np.array(table["is_fraud"].to_pylist(), dtype=object)
        early = np.flatnonzero(before_the_test_rows(repo, table).to_numpy())
        labels[early] = np.random.default_rng(1).permutation(labels[early])
        return set_column(table, "is_fraud", labels.tolist())

    change_rows(repo, shuffle)
    reproduce(repo)
    review_fails(repo, "regression average_precision", "floor average_precision")
    # The data changed, and the base's rows are in the cache.
    assert (repo.path / "reports/review/data.html").is_file()


def test_a_slice_with_wrong_labels_fails_its_gate(repo: Repo) -> None:
    def mislabel(table: pa.Table) -> pa.Table:
        online = pc.and_(pc.equal(table["channel"], "online"), before_the_test_rows(repo, table))
        labels = pc.if_else(online, pc.if_else(pc.is_null(table["is_fraud"]), None, 0), table["is_fraud"])
        return set_column(table, "is_fraud", labels.to_pylist())

    change_rows(repo, mislabel)
    repo.params(remove_metric_gates)
    reproduce(repo)
    with no_page:
        review_fails(repo, "slice channel=online")


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


def test_a_sensitive_group_made_worse_fails_the_fairness_gate(repo: Repo) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        # Fraud on the oldest customers gets the fields of ordinary payments.
        fraud = pc.fill_null(pc.equal(table["is_fraud"], 1), False).to_numpy()
        rows = np.arange(len(table))
        hit = fraud & pc.equal(table["age_group"], "60+").to_numpy()
        rows[hit] = np.random.default_rng(1).choice(np.flatnonzero(~fraud), hit.sum())
        for name in ("amount", "usual_amount", "merchant_category", "merchant_country", "card_country", "channel",
                     "new_device", "minutes_since_last", "payments_1h", "payments_24h"):  # fmt: skip
            table = set_column(table, name, table[name].take(pa.array(rows)).to_pylist())
        return table

    change_rows(repo, spoil)
    repo.params(remove_metric_gates)
    reproduce(repo)
    with no_page:
        review_fails(repo, "fairness age_group: recall")


def test_a_model_planted_in_cache_and_lock_passes_a_review_and_is_found_by_training_again(repo: Repo) -> None:
    lock = (repo.path / "dvc.lock").read_text()
    plant(repo, "models/model.onnx", scaled(0.999))
    must(review(repo, "main", "--locked"))
    assert {stage["state"] for stage in repo.report["stages"]} == {"cached"}
    assert "models/model.onnx: scores" in must(verb(repo, "verify"), 1).out
    # The innocent twin: the lock that the tree gives.
    (repo.path / "dvc.lock").write_text(lock)
    repo.commit("what the pipeline wrote")
    assert "Verified: " in must(verb(repo, "verify")).last


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
