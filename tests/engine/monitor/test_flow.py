"""The verb: which passes it does, what it prints and writes, and how it ends."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from pipelines.cli.errors import Unreachable
from pipelines.cli.files import write_json
from pipelines.monitor import flow, passes
from pipelines.monitor.history import History
from pipelines.monitor.judge import judge_pass
from pipelines.predictions.log import parse_log
from pipelines.repository import base_model, tags
from pipelines.repository.base_model import Base
from pipelines.repository.tags import Annotation, Assignment, Version
from tests.engine.fixtures_model import SMALL
from tests.engine.fixtures_repo import CommandResult
from tests.engine.in_process import must, verb
from tests.engine.monitor.log_files import MONDAY, RELEASE, SIGNATURE, go_on, log_table, write_lines

pytestmark = pytest.mark.repository

OTHER = "b" * 12
ROWS = 120  # of a day
START = MONDAY.replace(tzinfo=UTC)
DAY = timedelta(days=1)
Monitor = Callable[..., CommandResult]


class World:
    """A repository whose tags, models and clock are set by the test."""

    def __init__(self, root: Path) -> None:
        self.root, self.log = root, root / "log"
        self.assignments = [self.assignment(RELEASE, START)]
        self.now = START
        self.models = {RELEASE, OTHER}

    def assignment(self, release: str, at: datetime) -> Assignment:
        annotation = Annotation(
            release=release,
            image=f"r@sha256:{'a' * 64}",
            model="m",
            signature="s",
            version=f"fraud@v{int(release == OTHER) + 1}.0.0",
            main_commit=release,
        )
        return Assignment("fraud#production#1", 1, release, at, annotation)

    def versions(self) -> list[Version]:
        return [Version(item.version, (1, 0, 0), item.commit, item.annotation) for item in self.assignments]

    def traffic(
        self,
        first: int,
        last: int,
        change: Callable[[pa.Table], pa.Table] | None = None,
        release: str = RELEASE,
    ) -> None:
        """Log the days from the first to before the last."""
        for day in range(first, last):
            table = log_table(ROWS, MONDAY + day * DAY, seed=day, release=release)
            write_lines(self.log, change(table) if change else table, MONDAY + day * DAY, name=release)
        go_on(self.log, MONDAY + last * DAY)

    def monitor(self, days: float, *arguments: str, code: int = 0, **environment: str) -> str:
        """The verb, so many days after the first Monday."""
        self.now = START + days * DAY
        return must(
            verb(self.root, "monitor", *arguments, **({"PREDICTION_LOG": str(self.log)} | environment)), code
        ).out

    def passes(self) -> list[tuple[str, float, float, int]]:
        records = History(parse_log(str(self.log))).passes()
        return [(item.version, (item.start - START) / DAY, (item.end - START) / DAY, item.rows) for item in records]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with signature.json and profile.json of the log's rows."""
    import ibis

    from pipelines.training.profile import profile

    folder = tmp_path_factory.mktemp("model")
    parts = [log_table(ROWS, MONDAY - (60 - day) * DAY, seed=1000 + day) for day in range(60)]
    write_json(folder / "profile.json", profile(ibis.memtable(pa.concat_tables(parts)), SIGNATURE.inputs, "time"))
    write_json(folder / "signature.json", SIGNATURE.to_json())
    return folder


@pytest.fixture
def world(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path)
    document = yaml.safe_load(SMALL)
    document["monitor"] = {"min_rows": 100}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    for name in ("ACKNOWLEDGE", "GITHUB_ACTOR"):
        monkeypatch.delenv(name, raising=False)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return made.now

    monkeypatch.setattr(flow, "datetime", Clock)
    monkeypatch.setattr(tags, "fetch_tags", lambda _: None)
    monkeypatch.setattr(
        tags, "list_assignments", lambda _, stage=tags.PRODUCTION: made.assignments if stage == tags.PRODUCTION else []
    )
    monkeypatch.setattr(tags, "list_versions", lambda _: made.versions())
    monkeypatch.setattr(
        base_model,
        "fetch_stored",
        lambda commit, _: Base(commit, model, "cache", "m", "m") if commit in made.models else None,
    )
    return made


def dearer(table: pa.Table) -> pa.Table:
    amounts = pa.array(np.minimum(table["amount"].to_numpy() * 3, 1000))
    return table.set_column(table.schema.get_field_index("amount"), "amount", amounts)


def test_nothing_in_production_is_no_error(world: World) -> None:
    for log in ("", "off"):
        assert "not in production yet" in world.monitor(10, PREDICTION_LOG=log)
    assert "not in production yet" in world.monitor(6)  # the log is empty, and no pass is due
    world.traffic(0, 1)
    world.assignments = []
    assert "not in production yet: no tag assigns" in world.monitor(10)
    assert world.passes() == [] and not (world.root / "reports").exists()


def test_before_the_first_pass_is_due_there_is_no_verdict(world: World) -> None:
    world.traffic(0, 7)
    assert "no pass yet" in world.monitor(7)
    assert world.passes() == []


def test_quiet_weeks_end_with_0_and_are_judged_once(world: World) -> None:
    world.traffic(0, 14)
    assert "No alarm." in world.monitor(7.1)
    assert world.passes() == [("fraud@v1.0.0", 0, 7, 7 * ROWS)]
    assert len(list(world.log.glob("date=*/merged-*.parquet"))) == len(list(world.log.glob("date=*/*.jsonl.gz"))) == 7
    assert "No alarm." in world.monitor(15)
    assert "No alarm." in world.monitor(15)
    assert world.passes() == [("fraud@v1.0.0", 0, 7, 7 * ROWS), ("fraud@v1.0.0", 7, 14, 7 * ROWS)]
    verdict = json.loads((world.root / "reports/monitor/verdict.json").read_text())
    assert [item["rows"] for item in verdict["passes"]] == [7 * ROWS] and verdict["alarms"] == []


def test_a_log_that_may_not_be_written_is_judged_as_it_is(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise Unreachable("the log may not be written", "Allow it.")

    monkeypatch.setattr(passes, "compact", refuse)
    world.traffic(0, 7)
    assert "No alarm." in world.monitor(7.1)
    assert world.passes() == [("fraud@v1.0.0", 0, 7, 7 * ROWS)]


def test_a_run_writes_page_and_metrics_and_shows_evidently_the_rows_of_its_newest_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, int]] = []

    def draw(_: Path, __: Any, commit: str, window: Any, *___: Any) -> list[str]:
        drawn.append((commit, int(window.count().execute())))
        return []

    monkeypatch.setattr(passes, "write_pages", draw)
    world.traffic(0, 14)
    world.monitor(15, PUSHGATEWAY_URL="http://127.0.0.1:9")  # nothing responds there
    assert drawn == [(RELEASE, 7 * ROWS)]
    for name in ("verdict.md", "index.html"):
        assert "fraud@v1.0.0" in (world.root / "reports/monitor" / name).read_text()
    page = (world.root / "reports/monitor/index.html").read_text()
    assert "Where the versions come from" in page and "a" * 64 in page
    assert "model_monitor_last_pass" in (world.log / "monitor/metrics.prom").read_text()


def test_missed_passes_give_the_same_history_as_punctual_ones(world: World) -> None:
    world.traffic(0, 14)
    world.monitor(15)
    at_once = History(parse_log(str(world.log))).passes()
    for path in (world.log / "monitor/passes").iterdir():
        path.unlink()
    for days in (7.5, 14.5):
        world.monitor(days)
    assert History(parse_log(str(world.log))).passes() == at_once and len(at_once) == 2


def test_two_monitors_at_once_write_one_history(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second begins while the first judges, and is done before it."""
    world.traffic(0, 7)
    world.traffic(7, 14, dearer)
    second = [""]

    def judge_beside_another(*arguments: Any) -> Any:
        monkeypatch.setattr(passes, "judge_pass", judge_pass)
        second.append(world.monitor(15, code=1))
        return judge_pass(*arguments)

    monkeypatch.setattr(passes, "judge_pass", judge_beside_another)
    out = world.monitor(15, code=1)
    assert out.count("ALARM drift: amount") == second[-1].count("ALARM drift: amount") == 1
    assert world.passes() == [("fraud@v1.0.0", 0, 7, 7 * ROWS), ("fraud@v1.0.0", 7, 14, 7 * ROWS)]


def test_a_clock_that_jumps_judges_nothing_twice_and_loses_no_row(world: World) -> None:
    world.traffic(0, 17)
    assert "No alarm." in world.monitor(17)
    before = [path.read_text() for path in sorted((world.log / "monitor/passes").iterdir())]
    assert "No alarm." in world.monitor(9)
    for days in (22.5, 40_000):  # the first window after the newest rows is half full
        out = world.monitor(days, code=1)
        assert "ALARM service: the prediction log ends on 2026-03-19" in out and "no pass for" not in out
    assert [path.read_text() for path in sorted((world.log / "monitor/passes").iterdir())] == before
    world.traffic(17, 21)
    assert "No alarm." in world.monitor(21.3)
    assert world.passes()[2:] == [("fraud@v1.0.0", 14, 21, 7 * ROWS)]


def test_a_monitor_that_did_not_run_says_so_and_makes_up_for_it(world: World) -> None:
    world.traffic(0, 7)
    assert "No alarm." in world.monitor(7.1)
    world.traffic(7, 22)
    assert "ALARM service: until this run there was no pass for 15 days" in world.monitor(22.5, code=1)
    assert len(world.passes()) == 3 and "No alarm." in world.monitor(22.6)


def test_a_service_that_stopped_is_an_alarm_after_a_day_and_its_rows_are_judged_when_it_runs_again(
    world: World,
) -> None:
    world.traffic(0, 11)
    assert "No alarm." in world.monitor(14.5)
    assert "the pass from 2026-03-09 to 2026-03-16 waits for a later prediction" in world.monitor(15.1, code=1)
    assert world.passes() == [("fraud@v1.0.0", 0, 7, 7 * ROWS)]
    world.traffic(20, 21)
    world.monitor(21.1)
    assert world.passes()[1:] == [("fraud@v1.0.0", 7, 14, 4 * ROWS), ("fraud@v1.0.0", 14, 21, ROWS)]


def test_a_shift_is_an_alarm_until_somebody_acknowledges_it(world: World) -> None:
    world.traffic(0, 7)
    world.traffic(7, 28, dearer)
    assert "No alarm." in world.monitor(8)
    for _ in range(2):
        out = world.monitor(15, code=1)
        assert "ALARM drift: amount" in out and "make monitor ACKNOWLEDGE=" in out.splitlines()[-1]
    world.monitor(15, "--acknowledge", " ", code=2)
    assert "Acknowledged:" in world.monitor(15, "--acknowledge", "prices rose", GITHUB_ACTOR="ann")
    (entry,) = History(parse_log(str(world.log))).acknowledgements()
    assert (entry.why, entry.by, entry.version) == ("prices rose", "ann", "fraud@v1.0.0") and "amount" in entry.inputs
    assert "No alarm." in world.monitor(15)
    assert "there is no alarm of drift or input" in world.monitor(15, "--acknowledge", "again", code=2)
    world.monitor(22)
    assert "No alarm." in world.monitor(29)
    assert len(world.passes()) == 4


def test_one_acknowledgement_accepts_both_halves_of_a_split_pass(world: World) -> None:
    world.assignments.append(world.assignment(OTHER, START + 10 * DAY))
    world.traffic(0, 7)
    world.traffic(7, 10, dearer)
    world.traffic(10, 14, dearer, release=OTHER)
    assert "ALARM drift: amount" in world.monitor(15, code=1)
    assert world.monitor(15, "--acknowledge", "prices rose").count("Acknowledged:") == 2
    assert "No alarm." in world.monitor(15)
    world.traffic(14, 21, dearer, release=OTHER)
    assert "No alarm." in world.monitor(22)


def test_an_exchange_of_the_version_splits_the_pass(world: World) -> None:
    world.assignments.append(world.assignment(OTHER, START + 3 * DAY))
    world.traffic(0, 4)
    world.traffic(3, 7, release=OTHER)
    out = world.monitor(8)
    assert world.passes() == [("fraud@v1.0.0", 0, 3, 3 * ROWS), ("fraud@v2.0.0", 3, 7, 4 * ROWS)]
    assert f"set aside: {ROWS} rows of another release" in out and "No alarm." in out
    assert len(json.loads((world.root / "reports/monitor/verdict.json").read_text())["passes"]) == 2


def test_ten_minutes_of_another_version_are_a_pass_that_is_not_judged(world: World) -> None:
    minutes = timedelta(minutes=10)
    world.assignments.append(world.assignment(OTHER, START + 3 * DAY))
    world.assignments.append(world.assignment(RELEASE, START + 3 * DAY + minutes))
    world.traffic(0, 8)
    out = world.monitor(8)
    assert "No alarm." in out and "fraud@v2.0.0, 2026-03-05 to 2026-03-05 00:10 (UTC): 0 predictions, too few" in out
    (before, short, after) = History(parse_log(str(world.log))).passes()
    assert (before.rows, short.rows, short.judged) == (3 * ROWS, 0, False)
    assert after.judged and after.rows == pytest.approx(4 * ROWS, abs=1)
    title = (world.root / "reports/monitor/verdict.md").read_text().splitlines()[0]
    assert "no alarm" in title


def test_an_old_version_without_files_is_passed_over_and_the_newest_is_not(world: World) -> None:
    world.assignments.append(world.assignment(OTHER, START + 7 * DAY))
    world.traffic(0, 7)
    world.traffic(7, 14, release=OTHER)
    world.models = {OTHER}
    assert "its passes are not judged" in world.monitor(15)
    assert world.passes() == [("fraud@v2.0.0", 7, 14, 7 * ROWS)]
    world.models = set()
    world.traffic(14, 21, release=OTHER)
    assert "is in no cache and no remote" in world.monitor(22, code=3)


def test_a_week_without_a_row_is_a_pass_that_is_not_judged(world: World) -> None:
    world.traffic(0, 7)
    world.traffic(14, 15)
    out = world.monitor(15, code=1)
    assert "0 predictions, too few to judge" in out and "ALARM service: the prediction log holds no usable" in out
    assert world.passes()[1] == ("fraud@v1.0.0", 7, 14, 0)


def test_a_log_that_stays_empty_is_an_alarm_until_the_first_row_and_its_weeks_are_no_passes(world: World) -> None:
    for _ in range(2):
        out = world.monitor(75, code=1)
        assert "ALARM service: the prediction log is empty" in out and "fraud@v1.0.0" in out
        assert "ACKNOWLEDGE" not in out  # it is no distribution that can be accepted
    world.traffic(75, 91)  # from a Saturday on
    assert "No alarm." in world.monitor(75.5) and world.passes() == []
    for _ in range(2):
        assert "No alarm." in world.monitor(92)
    weeks = ((70, 2), (77, 7), (84, 7))
    assert world.passes() == [("fraud@v1.0.0", week, week + 7, days * ROWS) for week, days in weeks]


def test_invalid_settings_end_with_2_and_an_unreachable_store_with_3(world: World) -> None:
    assert "PREDICTION_LOG" in world.monitor(8, PREDICTION_LOG="nonsense://x", code=2)
    path = world.root / "params.yaml"
    path.write_text(path.read_text().replace("min_rows: 100", "false_alarms: often", 1))
    assert "one in 52 passes" in world.monitor(8, code=2)
