"""When what the head passes by its own rules alone blocks; and the files that count as the review's own code."""

from dataclasses import replace

import grimp
import pytest

from pipelines.repository import git
from pipelines.review import weaker_rules
from pipelines.review.base_rules import BaseRules
from pipelines.review.changes import changed_code
from pipelines.review.findings import GateResult
from pipelines.review.weaker_rules import _as_weaker, _by_base
from testing.repository import ROOT
from tests.engine.review.made_up import evidence, params

FAILED = GateResult("floor roc_auc", False, 0.8, 0.9, "failed by the base's rules: roc_auc is 0.8", group="floors")


def weaker(reason=None, allowed=False, kind="comparison"):
    judged = evidence(sections={"gates": {"allow_weaker": reason}}, kind=kind)
    return _as_weaker(FAILED, judged, allowed)


def test_a_gate_passed_by_weaker_rules_blocks_under_a_name_of_its_own():
    result = weaker()
    assert (result.name, result.group, result.blocks) == ("weaker rules: floor roc_auc", "weaker rules", True)
    assert "gates.allow_weaker" in result.why


def test_a_new_reason_is_shown_and_a_used_one_blocks():
    result = weaker("by law", allowed=True)
    assert not result.blocks and not result.passed and "by law" in result.why
    used = weaker("by law")
    assert used.blocks and "by law" not in used.why


@pytest.mark.parametrize(("by_base", "failed"), [(100, []), (101, ["split"])])
def test_a_split_fails_that_gives_fewer_test_rows_than_the_base_s(monkeypatch, by_base, failed):
    monkeypatch.setattr(weaker_rules, "GATES", ())
    own, other = evidence(test_rows=100), params(split={"test_days": 9})
    results = _by_base(BaseRules(other), own, (), lambda _: replace(own, params=other, test_rows=by_base))
    assert [result.name for result in results] == failed


def test_a_restore_shows_the_rules_of_the_base_and_does_not_block():
    assert not weaker(kind="restore").blocks


def test_every_module_that_the_review_and_the_stages_it_relies_on_import_counts_as_its_code(monkeypatch):
    monkeypatch.chdir(ROOT)
    graph = grimp.build_graph("pipelines", cache_dir=None)
    stages = [f"pipelines.training.{name}" for name in ("prepare", "validate", "split", "evaluate")]
    begin = [name for name in graph.modules if name.startswith(("pipelines.review", "pipelines.reproduce"))]
    used = {name for module in begin + stages for name in (module, *graph.find_upstream_modules(module))}
    paths = [name.replace(".", "/") + ".py" for name in sorted(used) if not graph.find_children(name)]
    monkeypatch.setattr(git, "try_git", lambda *_: None)
    monkeypatch.setattr(git, "dirty", lambda: paths)
    assert "pipelines/training/validate.py" in paths and list(changed_code("base")) == paths


@pytest.mark.parametrize(
    "path",
    [
        "dvc.yaml",
        "Makefile",
        "pipelines/__main__.py",
        "pipelines/training/split.py",
        "pipelines/pages/templates/style.css",
    ],
)
def test_a_change_of_what_runs_the_review_is_named(monkeypatch, path):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(git, "try_git", lambda *_: None)
    monkeypatch.setattr(
        git, "dirty", lambda: [path, "README.md", "pipelines/review/README.md", "pipelines/publish/__init__.py"]
    )
    assert changed_code("base") == (path,)
