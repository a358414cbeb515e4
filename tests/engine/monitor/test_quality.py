"""The quality on matured labels: which rows and labels count, the limit, and the evidence against the promise."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pipelines.cli.errors import InputError
from pipelines.config.params import Params
from pipelines.model.profile import Profile
from pipelines.monitor import quality
from pipelines.monitor.detectors import add_evidence, betting_evidence, mean_lower_bound
from pipelines.monitor.pass_record import Quality
from pipelines.monitor.quality import find_limit
from pipelines.repository import lineage
from pipelines.repository.base_model import Base
from tests.engine.monitor.log_files import MONDAY, SIGNATURE, log_table, write_log
from tests.engine.monitor.quality_cases import (
    START,
    WEEK,
    judge,
    judge_weeks,
    params,
    profile,
    record,
    write_labels,
    write_month,
)

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of a version's commit, without a repository."""
    monkeypatch.setattr(lineage, "text_at", lambda *_: '{"test": {"roc_auc": 0.9, "unknown": 1, "f1": NaN}, "rows": 9}')


@pytest.fixture
def month(tmp_path: Path) -> Path:
    """Four weeks of log and labels, in folders `log` and `labels`."""
    write_month(tmp_path / "log", tmp_path / "labels", 4)
    return tmp_path


def test_a_pass_judges_the_rows_whose_labels_have_matured(month: Path) -> None:
    judged = judge(month / "log", params(month / "labels"), 2)
    assert (judged.matured_from, judged.matured_to) == (START, START + WEEK)
    assert (judged.predictions, judged.labelled, judged.corrected) == (700, 700, 0)
    overall = {item.name: item for item in judged.metrics if item.slice is None}
    assert overall["roc_auc"].promised == 0.9 and overall["average_precision"].promised is None
    assert overall["roc_auc"].low < overall["roc_auc"].value < overall["roc_auc"].high
    slices = {item.slice: item for item in judged.metrics if item.slice}
    assert set(slices) == {"channel=chip", "channel=online", "channel=stripe"}
    assert {item.name for item in slices.values()} == {"roc_auc"}
    assert judged.loss == pytest.approx(0.3, abs=0.05) and judged.limit == pytest.approx(0.355, abs=0.002)


def test_before_labels_have_matured_they_are_not_read(month: Path) -> None:
    judged = judge(month / "log", params(month / "missing"), 0)
    assert (judged.predictions, judged.metrics, judged.loss, judged.evidence) == (0, (), None, None)


def test_late_labels_do_not_count_and_the_newest_of_several_does(month: Path) -> None:
    log, labels = month / "log", month / "labels"
    ids = [f"{MONDAY:%m%d}-0-{i}" for i in range(6)]
    shutil.rmtree(labels)
    labels.mkdir()
    known = MONDAY + 3 * DAY
    # Out of order: the file of the older labels comes last.
    write_labels(labels / "a.parquet", ids[:4], [1, 1, 1, 1], known + DAY)
    write_labels(labels / "b.parquet", ids[:4] * 2, [0] * 8, known)
    write_labels(labels / "c.parquet", ids[4:], [1, 1], MONDAY + 21 * DAY)
    judged = judge(log, params(labels), 2)
    assert (judged.predictions, judged.labelled) == (700, 4)
    assert judged.loss is not None and judged.loss > 1  # all four are fraud
    # Labels that arrive later are in no later pass.
    write_labels(labels / "d.parquet", ids[4:], [1, 1], MONDAY + 22 * DAY)
    after = judge(log, params(labels), 3, [record(2, judged)])
    assert (after.matured_from, after.predictions, after.labelled) == (START + WEEK, 700, 0)


def test_labels_that_a_pass_had_counted_are_reported_when_they_are_corrected(month: Path) -> None:
    log, labels = month / "log", month / "labels"
    first = judge(log, params(labels), 2)
    table = pq.read_table(labels / f"{MONDAY:%m%d}.parquet").slice(0, 5)
    write_labels(labels / "z.parquet", table["request_id"], 1 - table["label"].to_numpy(), MONDAY + 22 * DAY)
    second = judge(log, params(labels), 3, [record(2, first)])
    assert (second.labelled, second.corrected) == (700, 5)
    assert judge(log, params(labels), 3, [record(2, first)]).model_dump() == second.model_dump()


def test_rows_without_any_label_count_in_the_next_pass(month: Path) -> None:
    log, labels = month / "log", month / "labels"
    away = month / "away"
    labels.rename(away)
    labels.mkdir()
    write_labels(labels / "other.parquet", ["x"], [1], MONDAY)
    first = judge(log, params(labels), 2)
    assert (first.predictions, first.labelled, first.matured_to) == (700, 0, first.matured_from)
    assert first.no_labels and "none of the predictions from 2026-03-02 to 2026-03-09" in first.no_labels
    second = judge(log, params(away), 3, [record(2, first)])
    assert (second.matured_from, second.labelled) == (START, 1400)


def test_predictions_that_the_log_lost_before_their_labels_matured_are_named(month: Path) -> None:
    shutil.rmtree(month / "log")
    settings = params(month / "labels")
    assert judge(month / "log", settings, 2).no_labels is None  # there were none
    judged = judge(month / "log", settings, 2, [record(0, None)])
    assert judged.no_labels == "the log no longer holds the 700 predictions from 2026-03-02 to 2026-03-09"
    assert (judged.predictions, judged.matured_to) == (0, START + WEEK)


@pytest.mark.parametrize("path", ["missing", "missing/*.parquet", "empty"])
def test_labels_that_are_not_there_are_named_and_are_no_error(month: Path, path: str) -> None:
    (month / "empty").mkdir()
    judged = judge(month / "log", params(month / path), 2)
    assert (judged.predictions, judged.labelled, judged.matured_to) == (700, 0, judged.matured_from)
    assert judged.no_labels == f"no labels found at {month / path}"
    judged = judge(month / "log", params(month / "labels"), 3, [record(2, judged)])
    assert (judged.labelled, judged.no_labels) == (1400, None)


def test_a_row_counts_once_if_the_delay_becomes_longer(month: Path) -> None:
    settings = params(month / "labels")
    first = judge(month / "log", settings, 2)
    longer = settings.model_copy(update={"table": settings.table.model_copy(update={"label_delay_days": 21})})
    second = judge(month / "log", longer, 3, [record(2, first)])
    assert (second.predictions, second.matured_from, second.matured_to) == (0, START + WEEK, START + WEEK)


def test_labels_are_joined_by_other_columns_of_the_log(month: Path) -> None:
    log, labels = month / "log", month / "labels"
    shutil.rmtree(labels)
    labels.mkdir()
    day = log_table(100, MONDAY)
    rows = pa.table(
        {
            "amount": day["amount"],
            "at": [f"{value.isoformat()}+00:00" for value in day["at"].to_pylist()],
            "fraud": (day["probability"].to_numpy() > 0.2).astype(float),
        }
    )
    pyarrow.csv.write_csv(rows, labels / "labels.csv")
    judged = judge(log, params(labels, by=["amount", "at"], label="fraud", known_at=None), 2)
    assert judged.labelled == 100


def test_flags_and_numbers_are_classes(month: Path) -> None:
    log, labels = month / "log", month / "labels"
    before = judge(log, params(labels), 2)
    for path in labels.iterdir():
        table = pq.read_table(path)
        flags = pa.array(table["label"].to_numpy() == 1)
        pq.write_table(table.set_column(1, "label", flags), path)
    assert judge(log, params(labels), 2).loss == pytest.approx(before.loss)


def test_nan_is_no_label_also_if_the_negative_class_is_all_others(month: Path) -> None:
    path = month / "labels" / f"{MONDAY:%m%d}.parquet"
    table = pq.read_table(path)
    values = np.where(np.arange(len(table)) < 60, np.nan, table["label"].to_numpy())
    pq.write_table(table.set_column(1, "label", pa.array(values)), path)
    rest = replace(SIGNATURE, classes=("other", "1"))
    for signature in (SIGNATURE, rest):
        assert judge(month / "log", params(month / "labels"), 2, signature=signature).labelled == 640


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"by": ["age"]}, "age is sensitive"),
        ({"by": ["amounts"]}, "no column amounts"),
        ({"label": "fraud"}, "no column fraud"),
        ({"label": "request_id"}, "holds no label of the model"),
        ({"by": ["amount"], "label": "label"}, "no column amount"),
    ],
)
def test_labels_that_do_not_fit_are_an_error(month: Path, labels: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        judge(month / "log", params(month / "labels", **labels), 2)


def test_a_damaged_file_of_labels_is_an_error(month: Path) -> None:
    (month / "labels/half.parquet").write_bytes(b"PAR1half")
    with pytest.raises(InputError, match="half.parquet"):
        judge(month / "log", params(month / "labels"), 2)


def test_without_labels_in_the_settings_there_is_no_quality(month: Path) -> None:
    settings = params(month / "labels")
    none = settings.model_copy(update={"monitor": settings.monitor.model_copy(update={"labels": None})})
    with pytest.raises(AssertionError):
        judge(month / "log", none, 2)


def test_without_a_promise_the_metrics_are_shown_and_nothing_is_judged(month: Path) -> None:
    judged = judge(month / "log", params(month / "labels"), 2, promised=profile().model_copy(update={"promise": None}))
    assert judged.metrics and (judged.loss, judged.limit, judged.evidence) == (None, None, None)


def test_the_limit_is_the_promise_with_its_error_and_the_tolerance() -> None:
    limit = find_limit(profile(0.05, 0.001), "classification", "10%")
    assert limit and limit.mean == pytest.approx(0.05 + 1.96 * 0.001 + 0.005)
    absolute = find_limit(profile(0.05, 0.001), "classification", 0.0690776)
    assert absolute and absolute.mean == pytest.approx(0.05 + 1.96 * 0.001 + 0.01)
    assert find_limit(profile(), "regression", "10%") is None


@pytest.mark.watch
def test_a_month_in_which_fraud_changes_raises_the_alarm_in_the_first_pass_that_sees_it(tmp_path: Path) -> None:
    write_month(tmp_path / "log", tmp_path / "labels", 5, changed_from=2)
    judged = judge_weeks(tmp_path / "log", params(tmp_path / "labels"), 6)
    alarms = [item.evidence is not None and item.evidence >= item.evidence_limit for item in judged]
    assert alarms == [False, False, False, False, True, True]


@pytest.mark.watch
def test_a_quality_that_has_recovered_is_no_alarm_for_long(tmp_path: Path) -> None:
    write_month(tmp_path / "log", tmp_path / "labels", 4)
    settings = params(tmp_path / "labels")
    past = judge(tmp_path / "log", settings, 2).model_copy(update={"evidence": 1e12})
    recovered = judge(tmp_path / "log", settings, 3, [record(2, past)], profile(mean=0.06))
    assert recovered.evidence is not None and 0 < recovered.evidence < recovered.evidence_limit


def test_a_quiet_month_raises_none(tmp_path: Path) -> None:
    write_month(tmp_path / "log", tmp_path / "labels", 6)
    judged = judge_weeks(tmp_path / "log", params(tmp_path / "labels"), 7)
    assert max(item.evidence or 0.0 for item in judged) < 20


Scores = Callable[[dict[str, Any]], Any]


@pytest.fixture
def previous(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scores, Any], tuple[str, Base]]:
    """Make a previous version from a function from the inputs to the scores, and its profile."""

    def make(scores: Scores, promised: Profile, signature: Any = SIGNATURE) -> tuple[str, Base]:
        class Fake:
            def __init__(self, *_: Any) -> None: ...

            score = staticmethod(scores)

        monkeypatch.setattr(quality, "Scorer", Fake)
        document = signature.to_json()
        amount = [item for item in document["inputs"] if item["name"] == "amount"]
        (tmp_path / "signature.json").write_text(json.dumps(document | {"inputs": amount}))
        (tmp_path / "profile.json").write_text(promised.model_dump_json())
        return "fraud@v0.9.0", Base("c", tmp_path, "cache", "m", "m")

    return make


def test_the_previous_version_is_scored_on_the_same_rows(tmp_path: Path, previous: Any) -> None:
    write_month(tmp_path / "log", tmp_path / "labels", 1, changed_from=0)
    before = previous(lambda columns: np.full(len(columns["amount"]), 0.25), profile(0.08))
    judged = judge(tmp_path / "log", params(tmp_path / "labels"), 2, previous=before)
    assert judged.previous_version == "fraud@v0.9.0"
    assert judged.previous_limit == pytest.approx((0.08 * 1.1 + 1.96 * 0.001) * 6.907755)
    assert judged.previous_loss is not None and judged.previous_loss < judged.loss
    (tmp_path / "signature.json").write_text(json.dumps(SIGNATURE.to_json()))  # which reads an input that is hashed
    judged = judge(tmp_path / "log", params(tmp_path / "labels"), 2, previous=before)
    assert (judged.previous_version, judged.previous_loss, judged.previous_gain) == ("fraud@v0.9.0", None, None)


@pytest.mark.parametrize("is_better", [False, True])
def test_a_smaller_loss_by_chance_is_no_better_model_and_a_steady_gain_is(
    tmp_path: Path, previous: Any, is_better: bool
) -> None:
    """Planted: both previous models have a smaller mean loss; one of them only by the luck of two rows."""
    write_month(tmp_path / "log", tmp_path / "labels", 1, changed_from=0)
    log = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "log").rglob("*.parquet")))
    labels = pa.concat_tables(pq.read_table(path) for path in sorted((tmp_path / "labels").rglob("*.parquet")))
    rows = log.join(labels, "request_id").sort_by([("time", "ascending"), ("request_id", "ascending")])
    scores, truth = rows["probability"].to_numpy(), rows["label"].to_numpy()
    if is_better:
        scores = scores + 0.2 * (truth - scores)
    else:
        worst = np.argsort(-np.abs(truth - scores))[:2]
        scores = scores + np.random.default_rng(3).normal(0, 0.02, len(scores))
        scores[worst] = truth[worst]
    before = previous(lambda _: np.clip(scores, 0.001, 0.999), profile(0.2))
    judged = judge(tmp_path / "log", params(tmp_path / "labels"), 2, previous=before)
    assert judged.loss and judged.previous_loss and judged.previous_limit and judged.previous_gain is not None
    assert judged.previous_loss < judged.loss and judged.previous_loss < judged.previous_limit
    assert (judged.previous_gain > 0) == is_better
    assert judged.previous_gain < judged.loss - judged.previous_loss


def test_a_few_rows_of_a_class_do_not_show_that_the_previous_version_is_better(tmp_path: Path, previous: Any) -> None:
    """Planted: it is steadily better on the other class, and what it is worse on hardly occurs in the window."""
    write_month(tmp_path / "log", tmp_path / "labels", 1, changed_from=0)
    for path in (tmp_path / "labels").iterdir():
        table = pq.read_table(path)
        few = np.arange(len(table)) < 2  # 14 frauds in the week
        pq.write_table(table.set_column(1, "label", pa.array(few.astype(int))), path)
    before = previous(lambda columns: np.full(len(columns["amount"]), 0.001), profile(0.2))
    judged = judge(tmp_path / "log", params(tmp_path / "labels"), 2, [], profile(0.01), before)
    assert judged.evidence is not None and judged.evidence >= judged.evidence_limit and judged.labelled == 700
    assert (judged.previous_version, judged.previous_gain) == ("fraud@v0.9.0", None)


def test_the_difference_clips_both_losses_alike(tmp_path: Path, previous: Any) -> None:
    """Planted: the previous version's errors are larger, and seem smaller because its own largest loss is small."""
    signature, settings, promised = write_regression(tmp_path)
    losses = {"absolute_error": {"mean": 0.98, "standard_error": 0.001, "largest": 2.0}}
    own = Profile.model_validate({"rows": 1, "inputs": {}, "promise": {"rows": 9, "losses": losses}})
    before = previous(lambda columns: np.full(len(columns["amount"]), -9.0), own, signature)
    judged = judge_regression(tmp_path, settings, signature, promised, before)
    assert judged.loss and judged.previous_loss and judged.previous_limit and judged.previous_gain
    assert judged.previous_loss < judged.loss and judged.previous_loss < judged.previous_limit
    assert judged.previous_gain < -5


def test_equal_models_seem_different_once_in_200_passes_at_most() -> None:
    """With eight rows of each fraud, whose losses come together."""
    generator = np.random.default_rng(11)
    differences = np.zeros((2_000, 2_000))
    for row in differences:
        for first in generator.integers(0, 1_992, generator.poisson(4)):
            row[first : first + 8] = generator.normal(0, 0.2)
    bounds = [mean_lower_bound(row, 168, 200) for row in differences]
    assert sum(bound > 0 for bound in bounds) <= 10
    assert mean_lower_bound(differences[0] + 0.05, 168, 200) > 0


@pytest.mark.parametrize("mean", [0.002, 0.05, 0.4])
def test_the_evidence_is_an_e_value_and_grows_only_above_the_limit(mean: float) -> None:
    generator = np.random.default_rng(1)
    draws = (generator.random((2000, 500)) < mean).astype(float)
    at_limit = np.array([betting_evidence(row, mean, 168) for row in draws])
    assert at_limit.mean() < 1.25  # its mean is 1 at most, but for the chance of 2,000 draws
    assert (at_limit >= 20).mean() <= 0.05
    above = (generator.random(20_000) < 1.5 * mean).astype(float)
    assert betting_evidence(above, mean, 168) > 200 or mean == 0.002
    assert betting_evidence(np.zeros(500), mean, 168) < 1
    assert betting_evidence(np.ones(50), 0.0, 9) == betting_evidence(np.ones(50), 1.0, 9) == 1.0


def test_ten_rows_of_one_cause_are_not_ten_proofs() -> None:
    generator = np.random.default_rng(5)
    promise, limit = 0.0072, 0.0072 * 1.1 + 0.0007

    def alarms(blocks: int) -> int:
        evidence, count = 0.0, 0
        for _ in range(150):
            loss = np.repeat((generator.random(1_500) < promise).astype(float), 10)
            evidence = add_evidence(evidence, betting_evidence(loss, limit, blocks))
            if evidence >= 200:
                count, evidence = count + 1, 0.0
        return count

    assert alarms(168) == 0 and alarms(15_000) > 1


@pytest.mark.watch
def test_false_alarms_are_at_most_as_many_as_allowed() -> None:
    """500 histories of 104 passes at the limit itself: at most half an alarm is expected in each by the setting."""
    generator = np.random.default_rng(3)
    alarms = 0
    for _ in range(500):
        evidence = 0.0
        for row in (generator.random((104, 200)) < 0.05).astype(float):
            evidence = add_evidence(evidence, betting_evidence(row, 0.05, 168))
            if evidence >= 200:
                alarms, evidence = alarms + 1, 0.0
    assert alarms <= 500 * 104 / 200


def write_regression(folder: Path) -> tuple[Any, Params, Profile]:
    """Write a week of log and labels of a regression; its errors have a mean of 4."""
    signature = replace(SIGNATURE, task="regression", output="value", classes=(), threshold=None)
    losses = {"absolute_error": {"mean": 0.2, "standard_error": 0.001, "largest": 10.0}}
    promised = Profile.model_validate({"rows": 1, "inputs": {}, "promise": {"rows": 9, "losses": losses}})
    (folder / "labels").mkdir()
    for day in range(7):
        date = MONDAY + day * DAY
        table = log_table(100, date, seed=day)
        names = ["value" if name == "probability" else name for name in table.column_names]
        write_log(folder / "log", table.rename_columns(names), date)
        errors = np.random.default_rng(day).exponential(4.0, 100)
        path = folder / f"labels/{day}.parquet"
        write_labels(path, table["request_id"], errors * 0, date + DAY)
        truth = pa.array(table["probability"].to_numpy() + errors)
        pq.write_table(pq.read_table(path).set_column(1, "label", truth), path)
    return signature, params(folder / "labels"), promised


def judge_regression(folder: Path, settings: Params, signature: Any, promised: Profile, before: Any = None) -> Quality:
    return judge(folder / "log", settings, 2, [], promised, before, signature)


def test_a_regression_is_judged_by_its_clipped_error(tmp_path: Path) -> None:
    signature, settings, promised = write_regression(tmp_path)
    judged = judge_regression(tmp_path, settings, signature, promised)
    assert judged.labelled == 700
    assert judged.limit == pytest.approx(2.2196) and judged.loss == pytest.approx(3.7, abs=0.3)
    assert judged.evidence is not None and judged.evidence > judged.evidence_limit
    assert {"mae", "rmse"} <= {item.name for item in judged.metrics}
