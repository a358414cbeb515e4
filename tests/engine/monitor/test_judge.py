"""Judging a pass: what is named, what is not, and what an acknowledgement changes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from pipelines.config.monitor import Monitor
from pipelines.model.profile import Profile
from pipelines.model.signature import Input
from pipelines.monitor.alarms import alarms_of_log
from pipelines.monitor.history import Acknowledgement
from pipelines.monitor.judge import Before, judge_pass
from pipelines.monitor.pass_record import Alarm, PassRecord, Quality
from pipelines.predictions.log import parse_log
from pipelines.predictions.window import Window, open_connection, open_window
from pipelines.training.profile import profile
from tests.engine.monitor.log_files import MONDAY, RELEASE, SIGNATURE, log_table, write_log

VERSION = "fraud@v1.0.0"
WEEK = timedelta(days=7)
ROWS = 500  # of a day
SETTINGS = Monitor(min_rows=100)
Judge = Callable[..., PassRecord]


@pytest.fixture(scope="module")
def reference() -> Profile:
    """The profile of two months, whose score stands for that of the validation rows."""
    parts = [log_table(ROWS, MONDAY - timedelta(days=60 - day), seed=1000 + day) for day in range(60)]
    table = ibis.memtable(pa.concat_tables(parts))
    made = profile(table, (*SIGNATURE.inputs, Input("probability", "number")), "time")
    inputs = {name: entry for name, entry in made["inputs"].items() if name != "probability"}
    return Profile.model_validate(made | {"inputs": inputs, "score": made["inputs"]["probability"]})


@pytest.fixture
def judge(tmp_path: Path, reference: Profile) -> Judge:
    """Write the log of a week and judge it; `change` gets each day's rows and returns others."""

    def judged(
        change: Callable[[pa.Table], pa.Table] | None = None,
        passes: tuple[PassRecord, ...] = (),
        acknowledged: tuple[Acknowledgement, ...] = (),
        settings: Monitor = SETTINGS,
        week: int = 0,
        hours: float = 0,
        **options: Any,
    ) -> PassRecord:
        log = tmp_path / f"log-{week}"
        first = MONDAY + week * WEEK
        for day in range(7):
            table = log_table(ROWS, first + timedelta(days=day), seed=week * 7 + day)
            write_log(log, change(table) if change else table, first + timedelta(days=day))
        start = first.replace(tzinfo=UTC) + timedelta(hours=hours)
        end = first.replace(tzinfo=UTC) + WEEK
        before = Before(passes, acknowledged)
        with open_window(open_connection(), parse_log(str(log)), SIGNATURE, RELEASE, start, end) as window:
            known = options.get("reference", reference)
            return judge_pass(window, VERSION, SIGNATURE, known, settings, before, options.get("quality"))

    return judged


def replace(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.schema.get_field_index(name), name, pa.array(values, table[name].type))


def named(record: PassRecord) -> set[tuple[str, str]]:
    return {(alarm.problem, alarm.name) for alarm in record.alarms}


def missing_in_a_tenth(table: pa.Table) -> pa.Table:
    values = table["items"].to_pylist()
    return replace(table, "items", [None if i % 10 == 3 else value for i, value in enumerate(values)])


def test_a_quiet_week_has_no_alarm_and_tells_what_it_saw(judge: Judge) -> None:
    record = judge()
    assert record.judged and record.alarms == () and record.rows == 7 * ROWS
    assert {item.name for item in record.drift} == {"amount", "items", "channel", "new", "at", "probability"}
    assert all(sum(item.counts.values()) == record.rows for item in record.drift)
    assert record.not_watched == ("age",)
    assert record.budget and record.budget.passes == 52 and record.budget.slow_limit == 104
    assert 0 < record.latency_ms["0.5"] < record.latency_ms["0.99"]
    assert PassRecord.model_validate_json(record.model_dump_json()) == record


def test_a_value_that_goes_missing_in_a_tenth_of_the_rows_is_named_at_once(judge: Judge) -> None:
    record = judge(missing_in_a_tenth)
    assert named(record) == {("input", "items")}
    (check,) = [check for check in record.checks if check.failed]
    assert check.kind == "missing" and check.value == pytest.approx(0.19, abs=0.02)


def test_a_shift_of_an_input_is_drift_and_its_size_is_shown(judge: Judge) -> None:
    record = judge(lambda table: replace(table, "amount", np.minimum(table["amount"].to_numpy() * 1.5, 1000)))
    assert named(record) == {("drift", "amount")}
    (item,) = [item for item in record.drift if item.name == "amount"]
    assert item.listed and item.psi > 0.1 > item.tolerance


def test_a_shift_of_the_score_is_drift(judge: Judge) -> None:
    record = judge(lambda table: replace(table, "probability", table["probability"].to_numpy() ** 0.8))
    assert named(record) == {("drift", "probability")}


def test_new_values_values_out_of_range_and_constants_are_named(judge: Judge) -> None:
    def broken(table: pa.Table) -> pa.Table:
        channels = ["fax" if i % 50 == 0 else value for i, value in enumerate(table["channel"].to_pylist())]
        amounts = [-5.0 if i % 50 == 1 else value for i, value in enumerate(table["amount"].to_pylist())]
        table = replace(replace(table, "channel", channels), "amount", amounts)
        return replace(table, "new", [True] * len(table))

    record = judge(broken)
    failed = {(check.name, check.kind) for check in record.checks if check.failed}
    assert failed == {("channel", "new values"), ("amount", "out of range"), ("new", "constant")}
    assert named(record) == {("input", name) for name in ("channel", "amount", "new")}


def test_too_few_rows_are_said_and_not_judged(judge: Judge) -> None:
    record = judge(missing_in_a_tenth, settings=Monitor(min_rows=100_000))
    assert not record.judged and not record.drift and not record.checks and not record.alarms and record.budget is None


def test_a_drop_of_the_volume_is_named_even_if_too_few_rows_are_left(judge: Judge) -> None:
    first = judge()
    weeks = [{"start": first.start + week * WEEK, "end": first.end + week * WEEK} for week in range(4)]
    passes = [first.model_copy(update=week) for week in weeks]
    record = judge(lambda table: table.slice(0, 2), tuple(passes), week=4)
    assert not record.judged and named(record) == {("input", "volume")}
    assert judge(week=5, passes=tuple(passes)).alarms == ()


def test_many_unusable_rows_are_an_alarm_and_few_are_not(judge: Judge) -> None:
    def poison(every: int) -> Callable[[pa.Table], pa.Table]:
        return lambda table: replace(
            table, "amount", [np.inf if i % every == 0 else v for i, v in enumerate(table["amount"].to_pylist())]
        )

    assert named(judge(poison(20))) == {("input", "prediction log")}
    record = judge(poison(400), week=1)
    assert record.alarms == () and record.set_aside == {"rows with an infinite or too large number": 14}


def test_many_requests_with_one_id_are_an_alarm_because_they_are_in_no_test(judge: Judge) -> None:
    def repeat(every: int) -> Callable[[pa.Table], pa.Table]:
        return lambda table: replace(
            table, "request_id", ["x" if i % every == 0 else v for i, v in enumerate(table["request_id"].to_pylist())]
        )

    assert named(judge(repeat(4))) == {("input", "prediction log")}
    assert judge(repeat(50), week=1).alarms == ()


def test_the_requests_of_a_canary_count_as_volume(judge: Judge) -> None:
    def share(table: pa.Table) -> pa.Table:
        return replace(table, "release", ["f" * 12 if i % 2 else RELEASE for i in range(len(table))])

    first = judge()
    weeks = [{"start": first.start + week * WEEK, "end": first.end + week * WEEK} for week in range(9)]
    passes = [first.model_copy(update=week) for week in weeks]
    record = judge(share, tuple(passes), week=9)
    assert record.alarms == () and record.rows == 3.5 * ROWS
    volume = judge(passes=(*passes[1:], record), week=10).checks[-1]
    assert volume.kind == "volume" and volume.p_value == 1


def test_a_latency_that_is_no_number_is_left_out(judge: Judge) -> None:
    latency = [*[float("inf")] * 50, *[float("-inf")] * 50, float("nan"), None, *[2.0] * (ROWS - 102)]
    record = judge(lambda table: replace(table, "latency_ms", pa.array(latency, pa.float64())))
    assert record.latency_ms == {"0.5": 2.0, "0.95": 2.0, "0.99": 2.0} and record.alarms == ()


def test_a_file_that_cannot_be_read_is_an_alarm_unless_it_is_one_of_hundreds() -> None:
    def alarms(files: int) -> list[Alarm]:
        start = datetime(2026, 3, 2, tzinfo=UTC)
        set_aside = {"files that cannot be read": 1}
        return alarms_of_log(Window(start, start + WEEK, RELEASE, ibis.memtable({"x": [1]}), 700, set_aside, files))

    assert [alarm.message for alarm in alarms(7)] == ["the prediction log holds 1 file that cannot be read"]
    assert alarms(500) == []


def test_a_window_that_begins_within_a_day_counts_whole_days_only(judge: Judge) -> None:
    record = judge(hours=10)
    assert record.rows == pytest.approx(ROWS * (6 + 14 / 24), abs=2)
    assert sum(record.drift[0].counts.values()) == 6 * ROWS
    assert record.judged and record.alarms == ()


def test_a_window_shorter_than_a_day_is_not_judged(judge: Judge) -> None:
    assert not judge(hours=6 * 24 + 1).judged


def small_shift(table: pa.Table) -> pa.Table:
    return replace(table, "amount", np.minimum(table["amount"].to_numpy() * 1.5, 1000))


def test_evidence_adds_up_over_passes_of_a_version_and_begins_anew_with_another(judge: Judge) -> None:
    first = judge()
    second = judge(week=1, passes=(first,))
    other = judge(week=1, passes=(first.model_copy(update={"version": "fraud@v0.9.0"}),))

    def evidence(record: PassRecord) -> dict[str, float]:
        return {item.name: item.evidence for item in record.drift}

    grown, anew = evidence(second), evidence(other)
    assert all(grown[name] == pytest.approx((evidence(first)[name] + 1) * anew[name]) for name in anew)


def test_a_shift_that_has_ended_is_no_alarm_for_long(judge: Judge) -> None:
    passes = [judge(lambda table: replace(table, "amount", table["amount"].to_numpy() / 5))]
    assert passes[0].budget and passes[0].budget.slow > 100 * passes[0].budget.slow_limit
    for week in (1, 2, 3):
        passes.append(judge(passes=tuple(passes), week=week))
    assert ("drift", "amount") in named(passes[0]) and passes[3].alarms == ()


def test_an_acknowledged_shift_is_the_new_reference_of_its_input_alone(judge: Judge) -> None:
    first = judge(small_shift)
    acknowledged = Acknowledgement(
        version=VERSION, end=first.end, inputs=("amount",), why="sale", by="ann", at=datetime(2026, 3, 9, tzinfo=UTC)
    )
    again = judge(small_shift, (first,), week=1)
    assert named(again) == {("drift", "amount")}
    accepted = judge(small_shift, (first,), (acknowledged,), week=2)
    assert accepted.alarms == () and max(item.evidence for item in accepted.drift) < 20
    assert named(judge(None, (first,), (acknowledged,), week=3)) == {("drift", "amount")}


def test_an_acknowledged_share_of_missing_values_is_usual_from_then_on(judge: Judge) -> None:
    first = judge(missing_in_a_tenth)
    acknowledged = Acknowledgement(
        version=VERSION, end=first.end, inputs=("items",), why="app", by="ann", at=datetime(2026, 3, 9, tzinfo=UTC)
    )
    assert judge(missing_in_a_tenth, (first,), (acknowledged,), week=1).alarms == ()


def test_a_profile_of_before_has_no_score_and_takes_the_tolerance_of_the_settings(
    judge: Judge, reference: Profile
) -> None:
    plain = {name: entry.model_copy(update={"variation": None}) for name, entry in reference.inputs.items()}
    before = reference.model_copy(update={"inputs": plain, "score": None, "promise": None})
    record = judge(settings=Monitor(min_rows=100, tolerance=0.25), reference=before)
    assert "probability" not in {item.name for item in record.drift}
    assert all(0.25 < item.tolerance < 0.26 for item in record.drift)


def test_quality_above_its_evidence_limit_is_an_alarm_of_its_own(judge: Judge) -> None:
    quality = Quality(
        matured_from=MONDAY.replace(tzinfo=UTC),
        matured_to=MONDAY.replace(tzinfo=UTC) + WEEK,
        predictions=10,
        labelled=9,
        corrected=0,
        metrics=(),
        loss=0.2,
        limit=0.1,
        evidence=250.0,
        evidence_limit=200.0,
        previous_version=None,
        previous_loss=None,
    )
    assert named(judge(quality=quality)) == {("quality", "loss")}
    assert judge(quality=quality.model_copy(update={"evidence": 199.0}), week=1).alarms == ()


def test_labels_that_stay_away_are_an_alarm_of_the_monitor_once_there_were_any(judge: Judge) -> None:
    start = MONDAY.replace(tzinfo=UTC)
    none = Quality(matured_from=start, matured_to=start, evidence_limit=200.0, no_labels="no labels found at x")
    first = judge(quality=none)
    assert first.alarms == ()
    second = judge(quality=none.model_copy(update={"labelled": 9, "no_labels": None}), week=1)
    assert named(judge(None, (second,), quality=none, week=2)) == {("service", "labels")}
