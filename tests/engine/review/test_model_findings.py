"""The kind of a review, and the gates of a base that cannot be compared."""

import json
import re
import shutil

import pyarrow.parquet as pq
import pytest

from pipelines.cli.files import write_json
from pipelines.repository.base_model import Base
from pipelines.review.base_rows import BaseRows
from pipelines.review.findings import Findings, Side
from pipelines.review.model_findings import _chooses_like_base, model_findings, new_model, review_kind
from tests.engine.fixtures_model import SMALL
from tests.engine.review.made_up import params, table


@pytest.fixture
def base(logistic, tmp_path, monkeypatch):
    """A base with the model of the work tree, which is the current folder and has rows of January to March."""
    monkeypatch.chdir(tmp_path)
    for folder in ("models", "base", "reports", "prepared"):
        (tmp_path / folder).mkdir()
    for folder in ("models", "base"):
        shutil.copy(logistic.model, tmp_path / folder)
        signature = json.loads(logistic.signature.read_text())
        signature["example"] = logistic.rows()[0] | {"ordered_at": "2026-01-05T10:00:00Z"}
        write_json(tmp_path / folder / "signature.json", signature)
    split = {"by": "time", "column": "ordered_at", "matured": "2026-04-01T00:00:00+00:00",
             "test_from": "2026-02-01T00:00:00+00:00", "validation_from": "2026-01-20T00:00:00+00:00"}  # fmt: skip
    write_json(tmp_path / "models/split.json", split)
    selection = {"candidates": {}, "criterion": "roc_auc", "winner": "logistic"}
    write_json(tmp_path / "reports/candidates.json", selection)
    (tmp_path / "params.yaml").write_text(SMALL)
    write_json(tmp_path / "reports/importance.json", {})
    pq.write_table(table(logistic), tmp_path / "prepared/orders.parquet")
    return Base("b" * 40, tmp_path / "base", "cache", "1" * 32, "1" * 32)


def set_trained_until(base, moment):
    path = base.folder / "signature.json"
    write_json(path, {**json.loads(path.read_text()), "trained_until": moment})


@pytest.mark.parametrize("key", ["model_name: ", "task: ", "  target: "])
def test_another_model_name_task_or_target_has_nothing_to_compare_with(key):
    assert new_model(params(), SMALL) == new_model(params(), None) == new_model(params(), "a: [") == ""
    note = new_model(params(), re.sub(f"^{key}.*", f"{key}another", SMALL, count=1, flags=re.MULTILINE))
    assert f"{key.strip(': ')} 'another' →" in note
    assert review_kind(note, None, "2" * 32, None) == ("new model", note)


def test_a_registered_release_is_a_restore_unless_the_base_has_the_same_model(base):
    assert review_kind("", base, "2" * 32, "orders@v1.0.0")[0] == "restore"
    assert review_kind("", base, base.md5, "orders@v1.0.0")[0] == "comparison"
    assert review_kind("", None, "2" * 32, "orders@v1.0.0")[0] == "new model"


def test_a_base_that_was_trained_on_every_test_row_fails_a_gate_of_its_own(base):
    lax = params(gates={"floors": {}, "regression": {}, "scoring_time_ratio": 50.0})
    rows = BaseRows(unchanged=True)
    start = Findings("orders", "classification", "comparison", "roc_auc", *[Side("main", base.commit, None)] * 2)
    findings = model_findings(start, lax, base, rows)
    assert (findings.rows > 0, [gate for gate in findings.gates if not gate.passed]) == (True, [])
    set_trained_until(base, "2026-04-01T00:00:00+00:00")
    findings = model_findings(start, lax, base, rows)
    assert findings.rows == 0
    assert [(gate.name, gate.blocks) for gate in findings.gates if not gate.passed] == [("comparable", True)]


def test_a_base_with_another_rule_or_split_keeps_its_threshold():
    text, split = "selection: {threshold: {maximise: f1}}", {"by": "hash", "salt": "a", "counts": {"test": 1}}
    same = params(selection={"threshold": {"maximise": "f1"}})
    assert _chooses_like_base(same, split, {**split, "counts": {}}, text)
    assert not _chooses_like_base(same, split, {**split, "salt": "b"}, text)
    assert not _chooses_like_base(same, split, split, text.replace("maximise: f1", "minimise: cost"))
    assert not _chooses_like_base(same, split, split, None)
    assert not _chooses_like_base(params("regression"), split, split, None)
