"""Which earlier versions the head is compared with."""

from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.cli.errors import InputError
from pipelines.repository import tags
from pipelines.repository.tags import Annotation, Assignment, Version
from pipelines.review.gates import history
from tests.engine.review.made_up import params

HEAD = "f" * 32


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch):
    """A function from the headline metrics of versions, oldest first, to the tags compared, the notes and the fetches.

    None is a version that was never assigned.
    """

    def run(
        metrics: list[float | None], gone: tuple[str, ...] = (), models: dict[int, str] | None = None, **gates: Any
    ):
        versions, assignments, fetched = [], [], []
        for i, value in enumerate(metrics):
            tag = f"orders@v1.{i}.0"
            model = (models or {}).get(i, f"{i:032x}")
            annotation = Annotation(release=f"{i:012x}", image=f"a@sha256:{'0' * 64}", model=model, signature="0" * 32)
            versions.append(Version(tag, (1, i, 0), f"commit {tag}", annotation))
            if value is not None:
                promised = annotation.model_copy(update={"version": tag, "metrics": {chosen(gates): value}})
                moment = datetime(2026, 1, 1, tzinfo=UTC)
                assignments.append(Assignment(f"orders#production#{i + 1}", i + 1, "c", moment, promised))

        def comparable(table, params, commit):
            fetched.append(commit)
            if commit.removeprefix("commit ") in gone:
                raise InputError("its model is in no cache", "")
            return commit

        monkeypatch.setattr(tags, "list_lasting_versions", lambda name: versions[::-1])
        monkeypatch.setattr(tags, "list_assignments", lambda name: assignments)
        monkeypatch.setattr(history, "_comparable_model", comparable)
        monkeypatch.setattr(history, "file_md5", lambda path: HEAD)
        kept, notes = history._earlier_models(None, params(gates=gates), 2)
        return [tag.removeprefix("orders@v") for tag in kept], notes, len(fetched)

    return run


def chosen(gates: dict[str, Any]) -> str:
    return str(gates.get("headline", "roc_auc"))


def test_a_slow_decline_is_compared_with_the_best_version_beside_the_last(compared):
    assert compared([0.90, 0.93, 0.92, 0.91, 0.90]) == (["1.4.0", "1.3.0", "1.1.0"], [], 3)


def test_where_the_best_is_among_the_last_nothing_more_is_fetched(compared):
    assert compared([0.90, 0.91, 0.93, 0.92]) == (["1.3.0", "1.2.0"], [], 2)


def test_of_a_loss_the_lowest_is_the_best(compared):
    names, _, _ = compared([0.3, 0.1, 0.2, 0.2], headline="log_loss")
    assert names == ["1.3.0", "1.2.0", "1.1.0"]


def test_a_best_version_that_cannot_be_compared_is_named_and_the_next_best_taken(compared):
    names, notes, _ = compared([0.94, 0.93, 0.92, 0.91, 0.90], gone=("orders@v1.0.0",))
    assert names == ["1.4.0", "1.3.0", "1.1.0"]
    assert len(notes) == 1 and "orders@v1.0.0" in notes[0]


def test_as_many_of_the_best_are_tried_as_versions_are_set(compared):
    gone = tuple(f"orders@v1.{i}.0" for i in range(3))
    names, notes, fetched = compared([0.96, 0.95, 0.94, 0.93, 0.92, 0.91], gone=gone)
    assert (names, len(notes), fetched) == (["1.5.0", "1.4.0"], 2, 4)


def test_a_version_without_a_promise_and_one_with_the_model_of_the_head_are_not_the_best(compared):
    assert compared([None, 0.99, 0.90, 0.90], models={1: HEAD})[0] == ["1.3.0", "1.2.0"]
    assert compared([None, None, None])[0] == ["1.2.0", "1.1.0"]
