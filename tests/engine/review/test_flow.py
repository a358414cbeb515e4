"""Notes of a review."""

import json
from dataclasses import replace

import pytest

from pipelines.cli.errors import InputError
from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.config.paths import REVIEW, SELECTION
from pipelines.config.read import PATH
from pipelines.repository import base_model, git
from pipelines.review import changes, flow, mlflow_run, model_findings, report, report_cache
from pipelines.review.findings import Findings, GateResult, Side
from tests.engine.fixtures_model import SMALL
from tests.engine.review import samples


def test_a_report_from_before_a_crash_is_not_the_report_of_the_next_review(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    REVIEW.mkdir(parents=True)
    for path in report_cache.REPORTS:
        path.write_text('{"verdict": "pass"}')
    with pytest.raises(InputError, match=r"params\.yaml"):
        flow.review("main")
    assert list(REVIEW.iterdir()) == []


@pytest.fixture
def compared(tmp_path, monkeypatch):
    """Compare the head of a work tree of nothing but params.yaml with a base that has no model."""
    monkeypatch.chdir(tmp_path)
    PATH.write_text(SMALL)
    SELECTION.parent.mkdir()
    SELECTION.write_text("{}")
    monkeypatch.setattr(base_model, "fetch", lambda *_: None)
    monkeypatch.setattr(model_findings, "model_findings", lambda findings, *_: findings)
    monkeypatch.setattr(flow, "worktree_release_id", lambda: "0" * 12)
    monkeypatch.setattr(flow, "file_md5", lambda _: "0" * 32)
    monkeypatch.setattr(changes, "changed_code", lambda _: ())
    for module, name, answer in ((flow, "registered_version", None), (git, "text_at", None), (git, "branch", "b")):
        monkeypatch.setattr(module, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(git, "commit_of", lambda _: "0" * 40)

    start = Findings("orders", "classification", "comparison", "roc_auc", *[Side("main", "0" * 40, None)] * 2)
    return lambda: flow._compared(start, load(), Progress())


def test_a_base_whose_model_predicts_something_else_than_its_parameters_say_is_not_compared(
    compared, logistic, tmp_path, monkeypatch
):
    signature = json.loads(logistic.signature.read_text())
    (tmp_path / "signature.json").write_text(json.dumps({**signature, "target": "another"}))
    monkeypatch.setattr(base_model, "fetch", lambda *_: base_model.Base("b" * 40, tmp_path, "cache", *["1" * 32] * 2))
    assert (compared().kind, compared().base.model) == ("new model", None)
    assert "'another' → 'returned'" in compared().explanation


def test_candidates_that_are_not_reproducible_are_named_on_the_console_and_in_the_report(compared, capsys):
    def notes(selection):
        SELECTION.write_text(json.dumps(selection))
        return " ".join(compared().notes)

    assert "Not reproducible: forest, mine." in notes({"not_reproducible": ["forest", "mine"]})
    assert "Not reproducible: forest, mine." in capsys.readouterr().err
    assert "reproducible" not in notes({"not_reproducible": []}) + notes({}) + capsys.readouterr().err


@pytest.mark.parametrize(
    ("group", "evaluated", "kept"), [("rows", False, False), ("rows", True, True), ("slices", False, True)]
)
def test_a_report_on_what_could_not_be_fetched_is_not_used_again(group, evaluated, kept, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "write", lambda *_: None)
    monkeypatch.setattr(mlflow_run, "skipped", lambda: "Not logged.")
    result = GateResult("a gate", evaluated, None, None, "", group=group, evaluated=evaluated)
    flow._write(replace(samples.passing(), gates=(result,)), "key", Progress())
    assert report_cache.KEY.is_file() == kept
