"""When what the head passes by its own rules alone blocks; and the files that count as the review's own code."""

from __future__ import annotations

import pytest

from pipelines.repository import git
from pipelines.review.base_rules import BaseRules
from pipelines.review.findings import GateResult
from pipelines.review.own_code import changed_code, files_used
from pipelines.review.weaker_rules import _as_weaker
from testing.repository import ROOT
from tests.engine.review.made_up import evidence

FAILED = GateResult("floor roc_auc", False, 0.8, 0.9, "failed by the base's rules: roc_auc is 0.8", group="floors")


def weaker(reason=None, base_reason=None, kind="comparison"):
    judged = evidence(sections={"gates": {"allow_weaker": reason}}, kind=kind)
    return _as_weaker(FAILED, BaseRules(judged.params, base_reason), judged)


def test_a_gate_passed_by_weaker_rules_blocks_under_a_name_of_its_own():
    result = weaker()
    assert (result.name, result.group, result.blocks) == ("weaker rules: floor roc_auc", "weaker rules", True)
    assert "gates.allow_weaker" in result.why


@pytest.mark.parametrize(
    ("reason", "base_reason", "blocks"),
    [
        ("by law", None, False),
        ("by law", "another", False),
        ("by law", "by law", True),
        (None, "by law", True),
        ("by law", " By  law.", True),
    ],
)
def test_a_reason_counts_if_the_base_does_not_give_it(reason, base_reason, blocks):
    result = weaker(reason, base_reason)
    assert result.blocks is blocks and not result.passed
    assert ("by law" in result.why) is (not blocks)


def test_a_restore_shows_the_rules_of_the_base_and_does_not_block():
    assert not weaker(kind="restore").blocks


def test_the_code_of_the_review_is_what_it_and_the_validation_import(monkeypatch):
    monkeypatch.chdir(ROOT)
    files = {path.as_posix() for path in files_used()}
    assert {
        "pipelines/review/compare.py",
        "pipelines/metrics/bootstrap.py",
        "pipelines/config/gates.py",
        "pipelines/model/critical_cases.py",
        "pipelines/repository/base_model.py",
        "pipelines/training/data_checks.py",
        "pipelines/training/split.py",
        "pipelines/__main__.py",
        "pipelines/reproduce/__init__.py",
    } <= files
    assert not any(
        path.startswith(("pipelines/release/", "pipelines/publish/", "pipelines/predict/")) for path in files
    )


@pytest.mark.parametrize("path", ["dvc.yaml", "Makefile", "pipelines/__main__.py", "pipelines/training/split.py"])
def test_a_change_of_what_runs_the_review_is_named(monkeypatch, path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(git, "try_git", lambda *_: None)
    monkeypatch.setattr(git, "dirty", lambda: [path, "README.md", "pipelines/publish/__init__.py"])
    assert changed_code("base") == (path,)
