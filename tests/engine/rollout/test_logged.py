"""What the prediction log tells of a canary: rows, latencies, scores, labels."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.monitor import Labels
from pipelines.config.rollout import Limits, Rollout
from pipelines.model.profile import Profile
from pipelines.model.signature import Signature
from pipelines.predictions.log_schema import REPLAY
from pipelines.release.compatibility import format_contract
from pipelines.repository import base_model
from pipelines.rollout.counters import SCORE_BINS
from pipelines.rollout.logged import EDGES, LoggedRollout, Step
from pipelines.rollout.records import Record
from serving import metrics
from tests.engine.monitor.log_files import SIGNATURE
from tests.engine.rollout.logged_rollout import BEGAN, CANARY, NOW, PRODUCTION, label, version, write_arm

ROLLOUT = Rollout(steps=(25,), limits=Limits(errors=0.02, p99_ms=20, scores=0.1))
STEP = Step(25, BEGAN, NOW)
REGRESSION = replace(SIGNATURE, task="regression", output="value", classes=(), threshold=None)


def rollout_of(log: Path, signature: Signature = SIGNATURE) -> LoggedRollout:
    """The rollout whose rows are in a folder."""
    contract = format_contract(signature)
    return LoggedRollout(str(log), version(PRODUCTION, contract), version(CANARY, contract))


def report(log: Path, rows: int = 4000, step: Step = STEP, **canary: Any) -> Record:
    """What the log tells of a canary with so many rows, beside 12,000 of production."""
    write_arm(log, PRODUCTION, 12_000, seed=1)
    write_arm(log, CANARY, rows, seed=2, **canary)
    return rollout_of(log).report(step, ROLLOUT)


def test_edges_are_those_that_the_service_counts_by() -> None:
    assert tuple(EDGES["classification"]) == metrics.SCORE_EDGES
    assert tuple(EDGES["regression"]) == metrics.VALUE_EDGES
    assert {task: len(edges) + 1 for task, edges in EDGES.items()} == SCORE_BINS


def test_equal_canary_is_within_all_limits(tmp_path: Path) -> None:
    record = report(tmp_path)
    assert (record.state, record.reasons, record.requests) == ("within", (), (12_000, 4000))
    assert record.seconds == (NOW - BEGAN).total_seconds()


@pytest.mark.parametrize(
    ("canary", "reason"),
    [
        ({"rows": 500}, "fewer than half"),
        ({"rows": 1, "latency_ms": [900.0]}, "fewer than half"),
        ({"latency_ms": np.full(4000, 21.0)}, "longer"),
        ({"probability": np.full(4000, 0.4)}, "scores"),
    ],
)
def test_canary_that_is_worse_is_found(tmp_path: Path, canary: dict[str, Any], reason: str) -> None:
    record = report(tmp_path, **canary)
    assert record.state == "worse" and reason in record.reasons[0]


def test_few_rows_wait(tmp_path: Path) -> None:
    write_arm(tmp_path, PRODUCTION, 30)
    write_arm(tmp_path, CANARY, 10)
    assert rollout_of(tmp_path).report(STEP, ROLLOUT).state == "waiting"
    assert rollout_of(tmp_path / "empty").report(STEP, ROLLOUT).state == "waiting"


def test_command_that_takes_a_while_does_not_end_the_canary(tmp_path: Path) -> None:
    """It began after the tag: the first minutes have rows of production only."""
    young = Step(25, NOW - timedelta(minutes=9), NOW)
    write_arm(tmp_path, PRODUCTION, 12_000)
    assert rollout_of(tmp_path).report(young, ROLLOUT).state == "waiting"
    assert rollout_of(tmp_path).report(replace(young, start=NOW - timedelta(minutes=11)), ROLLOUT).state == "worse"


def test_batches_of_one_client_are_one_request_each(tmp_path: Path) -> None:
    """A batch of many rows that went to production takes no requests from the canary."""
    write_arm(tmp_path, PRODUCTION, 3000)
    write_arm(tmp_path, PRODUCTION, 30_000, ids=[f"batch/{i}" for i in range(30_000)], seed=1)
    write_arm(tmp_path, CANARY, 1000, seed=2)
    record = rollout_of(tmp_path).report(STEP, ROLLOUT)
    assert (record.state, record.requests) == ("within", (3001, 1000))


def test_replayed_rows_and_those_of_another_time_do_not_count(tmp_path: Path) -> None:
    write_arm(tmp_path, PRODUCTION, 100)
    write_arm(tmp_path, CANARY, 40, seed=1)
    write_arm(tmp_path, CANARY, 30, ids=[f"{REPLAY}{i}" for i in range(30)], seed=2)
    assert rollout_of(tmp_path).report(STEP, ROLLOUT).requests == (100, 40)
    half = replace(STEP, start=BEGAN + (NOW - BEGAN) / 2)
    assert rollout_of(tmp_path).report(half, ROLLOUT).requests == (50, 20)


def test_rows_of_a_batch_are_scored_and_not_timed(tmp_path: Path) -> None:
    write_arm(tmp_path, PRODUCTION, 100)
    write_arm(tmp_path, CANARY, 40, ids=[f"batch/{i}" for i in range(40)], latency_ms=np.full(40, 900.0))
    counts = rollout_of(tmp_path).report(STEP, ROLLOUT).evidence.counts
    np.testing.assert_array_equal(counts.timed, [100, 0])
    np.testing.assert_array_equal(counts.slow, [0, 0])
    np.testing.assert_array_equal(counts.scores.sum(axis=1), [100, 40])


@pytest.mark.parametrize(("shift", "state"), [(0.0, "within"), (400.0, "worse")])
def test_values_of_a_regression_are_compared(tmp_path: Path, shift: float, state: str) -> None:
    generator = np.random.default_rng(3)
    for release, rows, moved in ((PRODUCTION, 12_000, 0.0), (CANARY, 4000, shift)):
        values = pa.array(generator.normal(-300, 100, rows) + moved)
        write_arm(tmp_path, release, rows, value=values)
    assert rollout_of(tmp_path, REGRESSION).report(STEP, ROLLOUT).state == state


@pytest.mark.parametrize("loss", ["log_loss", "brier"])
def test_losses_are_those_of_rows_with_a_label(tmp_path: Path, loss: str) -> None:
    label(tmp_path / "labels", write_arm(tmp_path, PRODUCTION, 6000), skill=0)
    label(tmp_path / "labels", write_arm(tmp_path, CANARY, 6000, seed=1).slice(0, 5000))
    settings, half = Labels(path=str(tmp_path / "labels")), replace(STEP, percent=50)
    compared = rollout_of(tmp_path).compare(half, settings, loss, NOW, 0.02)
    assert compared is not None and compared.rows == (6000, 5000)
    assert compared.high < 0
    early = rollout_of(tmp_path).compare(half, settings, loss, BEGAN, 0.02)
    assert early is not None and (early.rows, early.low, early.high) == ((0, 0), -1, 1)


def test_labels_that_are_not_final_show_nothing(tmp_path: Path) -> None:
    """Fraud is reported within days; that a payment was none is known after weeks."""
    for release, seed in ((PRODUCTION, 1), (CANARY, 2)):
        label(tmp_path / "labels", write_arm(tmp_path, release, 600, seed=seed))
    settings = Labels(path=str(tmp_path / "labels"))
    for now, rows in ((NOW, 0), (NOW + timedelta(days=1, minutes=-90), 300), (NOW + timedelta(days=2), 600)):
        compared = rollout_of(tmp_path).compare(STEP, settings, "log_loss", now, 0.02, final_after=timedelta(days=1))
        assert compared is not None and compared.rows == (rows, rows)


def test_labels_that_are_not_there_show_nothing(tmp_path: Path) -> None:
    write_arm(tmp_path, CANARY, 100)
    compared = rollout_of(tmp_path).compare(STEP, Labels(path=str(tmp_path / "none.csv")), "log_loss", NOW, 0.02)
    assert compared is not None and compared.rows == (0, 0)


def test_errors_of_a_regression_count_in_the_size_that_production_promised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promise = {"rows": 1, "losses": {"absolute_error": {"mean": 0.1, "standard_error": 0.1, "largest": 200.0}}}
    path = tmp_path / "profile.json"
    path.write_text(Profile.model_validate({"rows": 1, "inputs": {}, "promise": promise}).model_dump_json())
    base = type("Base", (), {"profile": path})
    monkeypatch.setattr(base_model, "fetch_stored", lambda *_: base)
    for release, value in ((PRODUCTION, 50.0), (CANARY, 150.0)):
        table = write_arm(tmp_path / "log", release, 2000, value=pa.array(np.full(2000, value)))
        label(tmp_path / "labels", table.drop_columns("probability").append_column("probability", [np.zeros(2000)]))
    step, settings = replace(STEP, percent=50), Labels(path=str(tmp_path / "labels"))
    compared = rollout_of(tmp_path / "log", REGRESSION).compare(step, settings, "absolute_error", NOW, 0.02)
    assert compared is not None and compared.means == (0.25, 0.75)
    assert 0.4 < compared.low < 0.5 < compared.high
    monkeypatch.setattr(base_model, "fetch_stored", lambda *_: None)
    assert rollout_of(tmp_path / "log", REGRESSION).compare(step, settings, "absolute_error", NOW, 0.02) is None


def test_version_without_a_signature_is_named(tmp_path: Path) -> None:
    unsigned = LoggedRollout(str(tmp_path), version(PRODUCTION, None), version(CANARY, None))
    with pytest.raises(InputError, match="fraud@v1.0.0"):
        unsigned.report(STEP, ROLLOUT)
