"""A change that weakens its own judge fails the review, and its innocent twin passes.

Needs the small problem (git, DVC, the whole pipeline).
"""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import must, reproduce, review

CASES = "tests/critical/payments.yaml"


def first_line(repo: Repo) -> str:
    """The report's first line, which must be the same on the page and in the comment."""
    comment = (repo.path / "reports/review/review.md").read_text().splitlines()
    return next(line for line in comment if line.startswith("## "))


def weakest_model(repo: Repo) -> None:
    """Leave only the weakest candidate, which fails floors, regression gates and slices."""
    repo.params(lambda document: document.update(candidates={"logistic": document["candidates"]["logistic"]}))
    reproduce(repo)


def test_a_worse_model_with_weaker_gates_fails_by_the_gates_of_the_base(repo: Repo) -> None:
    def weaken(document: dict[str, Any]) -> None:
        document["gates"] |= {"floors": {}, "regression": {"average_precision": 0.9}}
        document["slices"] |= {"tolerance": 0.9, "floor": None}
        del document["fairness"]

    weakest_model(repo)
    must(review(repo), 1)
    named = set(repo.failed)
    assert named
    repo.params(weaken)
    done = must(review(repo), 1)
    assert {f"weaker rules: {name}" for name in named} == set(repo.failed)
    assert first_line(repo).startswith("## ❌ FAIL: ") and "would pass only by weaker rules" in first_line(repo)
    assert "weaker rules" in done.last
    changes = {change["path"]: (change["base"], change["head"]) for change in repo.report["weaker_rules"]}
    assert changes["gates.regression.average_precision"] == ("0.08", "0.9")
    assert changes["gates.floors.roc_auc"] == ("0.8", None)

    # A reason that the base does not give lets it pass, and is shown.
    repo.params(lambda document: document["gates"].update(allow_weaker="The old model is withdrawn by law."))
    must(review(repo))
    assert "⚠️ PASS" in first_line(repo) and "passes by weaker rules" in first_line(repo)
    assert "withdrawn by law" in (repo.path / "reports/review/review.md").read_text()
    repo.commit("the weaker rules, confirmed")
    repo.git("branch", "--force", "main")
    repo.params(lambda document: document["gates"].update(floors={}, regression={}))
    must(review(repo))  # weaker than the base again, and the model passes by the base's rules as well
    assert repo.report["remarks"] == ["weakens rules: gates.regression.average_precision"]
    assert "weakens rules" in first_line(repo)


def change_cases(repo: Repo, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    path = repo.path / CASES
    path.write_text(yaml.safe_dump(change(yaml.safe_load(path.read_text())), sort_keys=False))


def test_a_deleted_critical_case_and_one_that_expects_less_are_listed_and_fail(repo: Repo) -> None:
    def weaken(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        cases[3]["expect"]["at_most"] = 0.9
        return cases[1:]

    change_cases(repo, weaken)
    must(review(repo), 1)
    deleted, lowered = "critical: groceries at home are let through", "critical: a payment without history is answered"
    assert set(repo.failed) == {f"weaker rules: {name}" for name in (deleted, lowered)}
    assert deleted in first_line(repo) and lowered in first_line(repo)


def test_stricter_rules_say_nothing(repo: Repo) -> None:
    def tighten(document: dict[str, Any]) -> None:
        document["gates"]["regression"]["average_precision"] = 0.07
        document["gates"]["floors"]["roc_auc"] = 0.81
        document["gates"]["resamples"] = 320
        document["slices"]["min_support"] = 140
        document["slices"]["by"]["weekend"] = {"column": "channel", "values": ["online"]}

    def more(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
        cases[3]["expect"]["at_most"] = 0.45
        return [*cases, cases[0] | {"name": "groceries once more"}]

    repo.params(tighten)
    change_cases(repo, more)
    must(review(repo))
    assert first_line(repo).endswith("gates passed")
    assert repo.report["remarks"] == repo.report["weaker_rules"] == []


@pytest.mark.parametrize(
    ("path", "text"), [("pipelines/config/metrics.py", "# edited\n"), ("pipelines/review/new.py", '"""New."""\n')]
)
def test_a_changed_file_of_the_review_stands_on_the_first_line_and_does_not_block(
    repo: Repo, path: str, text: str
) -> None:
    with (repo.path / path).open("a") as file:
        file.write(text)
    with (repo.path / "pipelines/rollback/flow.py").open("a") as file:
        file.write("# edited\n")
    repo.git("add", "--all")
    from pipelines.review import flow

    with pytest.MonkeyPatch.context() as patch:
        # The stages that depend on the file would run again.
        patch.setattr(flow, "_reproduce", lambda: (0, {}))
        done = must(review(repo))
    assert first_line(repo).endswith(f"changes the review's own code: {path}")
    assert done.last.startswith(f"Changes the review's own code: {path}. ")


def test_weaker_limits_of_the_rows_and_a_shorter_test_period_fail_by_those_of_the_base(repo: Repo) -> None:
    def strict(document: dict[str, Any]) -> None:
        document["validation"]["min_rows"] = 20_000
        document["schema"]["columns"]["amount"]["max"] = 100
        document["schema"]["columns"]["payments_1h"]["max"] = 999  # no row reaches it
        document["split"]["test_days"] += 5

    before = (repo.path / "params.yaml").read_text()
    repo.params(strict)
    repo.commit("a base with more rows, smaller amounts and a longer test period")
    base = repo.git("rev-parse", "HEAD")
    (repo.path / "params.yaml").write_text(before)
    must(review(repo, base), 1)
    names = ("validation (table): rows", "validation amount: range", "split")
    assert set(repo.failed) == {f"weaker rules: {name}" for name in names}
    weaker = {change["path"] for change in repo.report["weaker_rules"]}
    limits = {f"schema.columns.{name}.max" for name in ("amount", "payments_1h")}
    assert weaker == {"validation.min_rows", *limits}


def test_rules_that_this_code_cannot_read_count_as_weaker(repo: Repo) -> None:
    repo.params(lambda document: document["gates"].update(from_another_engine=3))
    repo.params(lambda document: document["slices"]["by"].update(gone={"column": "gone"}))
    repo.commit("a base of another engine")
    base = repo.git("rev-parse", "HEAD")
    repo.params(lambda document: document["gates"].pop("from_another_engine"))
    repo.params(lambda document: document["slices"]["by"].pop("gone"))
    must(review(repo, base), 1)
    assert set(repo.failed) == {"weaker rules: gates.from_another_engine", "weaker rules: slices.by.gone.column"}
    repo.params(lambda document: document["gates"].update(allow_weaker="The setting is gone in this engine."))
    must(review(repo, base))
    assert repo.report["remarks"] == ["passes by weaker rules: gates.from_another_engine, slices.by.gone.column"]
