"""A review of another features/prepare.py: what runs again, what the report says, and what cannot be compared.

Needs git, DVC and all stages.
"""

from unittest import mock

import pytest
import yaml

from tests.engine.fixtures_repo import Repo
from tests.engine.in_process import must, review
from tests.engine.review.test_history import register

no_page = mock.patch("pipelines.review.evidently_page.draw_page", return_value="not drawn here")


def edit(repo: Repo, old: str, new: str) -> None:
    path = repo.path / "features/prepare.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_function_with_equal_values_reruns_its_stage_only_and_other_values_are_counted_in_the_report(
    quick: Repo,
) -> None:
    edit(quick, '"""Add how many', '"""Count how many')
    must(review(quick))
    assert {stage["name"] for stage in quick.report["stages"] if stage["state"] == "ran"} == {"prepare"}
    assert quick.report["features"] == {"new": [], "gone": [], "changed": []}
    edit(quick, '("payments_24h", 86_400)', '("payments_24h", 43_200)')
    with no_page:
        assert review(quick).code in (0, 1)
    ran = {stage["name"] for stage in quick.report["stages"] if stage["state"] == "ran"}
    assert {"prepare", "validate", "split", "train@boosting", "export", "evaluate"} <= ran
    ((name, how),) = quick.report["features"]["changed"]
    assert name == "payments_24h" and how.startswith("other values in ") and how.endswith(" of 12,000 rows of both")
    assert not [gate for gate in quick.failed if gate.startswith(("changed labels", "lost rows", "repeated rows"))]


def test_base_and_versions_are_scored_on_their_own_values_where_the_head_makes_others(quick: Repo) -> None:
    quick.params(lambda document: document["gates"].update(history={"versions": 2, "regression": {"log_loss": 0.03}}))
    quick.commit()
    quick.git("branch", "--force", "main")
    register(quick, "1.0.0")
    must(review(quick))
    expected = {row["name"]: row["head"] for row in quick.report["metrics"]}
    slices = {row["name"]: row["value"] for row in quick.report["slices"]}

    edit(quick, "np.searchsorted(axis, axis - window)", "np.searchsorted(axis, axis - window)\n        earlier *= 1000")

    def widen(document: dict) -> None:
        for name in ("payments_1h", "payments_24h"):
            document["schema"]["columns"][name]["max"] = 10_000_000

    quick.params(widen)
    with no_page:
        review(quick)
    assert {row["name"]: row["base"] for row in quick.report["metrics"]} == pytest.approx(expected)
    assert {row["name"]: row["base"] for row in quick.report["slices"]} == pytest.approx(slices)
    assert {row["version"]: row["value"] for row in quick.report["history"]} == {
        "fraud@v1.0.0": pytest.approx(expected["log_loss"])
    }
    assert {name for name, _ in quick.report["features"]["changed"]} == {"payments_1h", "payments_24h"}


def test_a_prepared_column_that_the_head_no_longer_makes_is_made_for_the_base(quick: Repo) -> None:
    def remove(document: dict) -> None:
        del document["schema"]["columns"]["payments_1h"]
        document["features"]["use"].remove("payments_1h")

    quick.params(remove)
    edit(quick, '(("payments_1h", 3_600), ("payments_24h", 86_400))', '[("payments_24h", 86_400)]')
    path = quick.path / "tests/critical/payments.yaml"
    cases = yaml.safe_load(path.read_text())
    assert cases.pop()["direction"]["field"] == "payments_1h"
    for case in cases:
        case["row"].pop("payments_1h", None)
    path.write_text(yaml.safe_dump(cases))
    with no_page:
        review(quick)
    assert "comparable" not in quick.failed
    assert all(row["base"] is not None for row in quick.report["metrics"])
    assert quick.report["features"]["gone"] == ["payments_1h"]


def test_a_function_that_may_not_be_used_ends_the_review_with_the_column_named(quick: Repo) -> None:
    edit(quick, "return frame.assign(**columns)", "return frame.assign(**columns).iloc[::2]")
    done = must(review(quick), 2)
    assert "features/prepare.py returns 6,000 of 12,000 rows by their payment_id" in done.out
    assert not (quick.path / "reports/review/review.json").exists()
