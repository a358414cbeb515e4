"""Months of production, from real tags, a real model and the service's files of the log, to the verdict."""

import calendar
import json
import shutil
from collections.abc import Callable
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipelines.config.params import load
from pipelines.monitor import flow
from pipelines.monitor.history import History
from pipelines.monitor.pass_record import PassRecord
from pipelines.predictions.log import parse_log
from pipelines.repository import push_tags
from pipelines.repository.git import git
from pipelines.repository.release_id import release_id
from pipelines.repository.tags import Annotation
from testing.repository import SMALL, Repo, copy_sources, merge, point_at_cache
from tests.engine.in_process import must, reproduce, verb
from tests.engine.monitor.log_files import go_on
from tests.engine.monitor.production import Production, produce

pytestmark = [pytest.mark.watch, pytest.mark.xdist_group("months")]
# Eight weeks of training rows, so that the profile knows how much weeks differ; production begins on the Monday after.
DAYS = 95
START = datetime(2026, 4, 6, tzinfo=UTC)
DAY = timedelta(days=1)
SHIFTED = {"amount", "channel", "merchant_country", "usual_amount", "probability"}  # by `drift_from`


@dataclass(frozen=True)
class Months:
    """A repository with a version in production since the evening before `START`."""

    repo: Repo
    release_id: str
    folder: Path
    set_clock: Callable[[datetime], None]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def production(self, weeks: int, **changes: int) -> Production:
        """So many weeks of traffic; `drift_from` and `fraud_change_from` are days since its start."""
        return _production(self.repo.path, self.release_id, weeks, tuple(changes.items()))

    def write(self, traffic: Production, down_until: datetime | None = None) -> None:
        """Write the log and the labels of traffic, where `configure` expects them."""
        traffic.write_log(self.log)
        newest = max(path.name for path in self.log.glob("date=*"))
        go_on(self.log, datetime.strptime(newest, "date=%Y-%m-%d") + DAY)
        traffic.write_labels(self.folder / "labels.parquet", down_until)

    def monitor(self, weeks: float, *arguments: str, code: int = 0, log: str | None = None) -> str:
        """The verb, two hours after so many weeks."""
        self.set_clock(START + weeks * 7 * DAY + timedelta(hours=2))
        done = verb(self.repo, "monitor", *arguments, PREDICTION_LOG=log or str(self.log))
        return must(done, code).out

    def configure(self, labels: str | None = None, **settings: Any) -> None:
        """Set section `monitor` of params.yaml; the labels lie beside the log by default."""
        source = {"path": labels or str(self.folder / "labels.parquet")}
        self.repo.params(lambda document: document.update(monitor={"labels": source, "evidently": [], **settings}))

    def passes(self, log: str | None = None) -> list[PassRecord]:
        return History(parse_log(log or str(self.log))).passes()

    def alarms(self) -> list[tuple[str, set[str]]]:
        """The problem and the names of each alarm of the newest verdict."""
        verdict = json.loads((self.repo.path / "reports/monitor/verdict.json").read_text())
        problems = sorted({alarm["problem"] for alarm in verdict["alarms"]})
        return [(name, {a["name"] for a in verdict["alarms"] if a["problem"] == name}) for name in problems]


@cache
def _production(repo: Path, release: str, weeks: int, changes: tuple[tuple[str, int], ...]) -> Production:
    return produce(load(repo / "params.yaml").ingest, repo / "models", release, DAYS, weeks * 7, **dict(changes))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[Repo, str]:
    """A repository with a trained model and the tags of its release, and the release id."""
    folder = tmp_path_factory.mktemp("months")
    work = folder / "repo"
    work.mkdir()
    copy_sources(work)
    repo = Repo(work, folder / "cache")
    repo.git("init", "--quiet", "--initial-branch=main")
    repo.params(lambda document: merge(document, SMALL))
    repo.params(lambda document: merge(document, {"ingest": {"days": DAYS, "payments": 38_000, "fraud_rate": 0.03}}))
    point_at_cache(repo)
    must(verb(repo, "data"))
    reproduce(repo)
    repo.commit("a model")
    seconds = calendar.timegm((START - timedelta(hours=3)).timetuple())
    with chdir(work), pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.time", lambda: seconds)
        commit, release = git("rev-parse", "HEAD"), release_id("HEAD")
        fields = {"release": release, "image": f"r@sha256:{'a' * 64}", "model": "m", "signature": "s"}
        version = push_tags.register_version("fraud", (1, 0, 0), commit, Annotation(**fields))
        assigned = Annotation(**fields, version=version.tag, main_commit=commit)
        push_tags.assign_version("fraud", 1, version, assigned)
    return repo, release


@pytest.fixture
def months(released: tuple[Repo, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Months:
    now = START

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return now

    def set_clock(time: datetime) -> None:
        nonlocal now
        now = time

    monkeypatch.setattr(flow, "datetime", Clock)
    for name in ("ACKNOWLEDGE", "SERVICE_URL", "PUSHGATEWAY_URL"):
        monkeypatch.delenv(name, raising=False)
    made = Months(*released, tmp_path, set_clock)
    made.configure()
    return made


def test_two_quiet_months_raise_no_alarm(months: Months) -> None:
    months.write(months.production(8))
    for week in (4, 5, 6, 7):
        assert "No alarm." in months.monitor(week)
    months.configure(evidently=["DataDriftPreset"])
    assert "No alarm." in months.monitor(8)
    passes = months.passes()
    assert len(passes) == 8 and all(record.judged and not record.set_aside for record in passes)
    qualities = [record.quality for record in passes if record.quality]
    assert [quality.labelled == quality.predictions > 0 for quality in qualities] == [False] * 2 + [True] * 6
    assert not [record.start for record in passes if record.alarms]
    assert {item.name for item in passes[-1].drift} >= SHIFTED
    for name in ("index.html", "verdict.md", "evidently.html"):
        assert (months.repo.path / "reports/monitor" / name).stat().st_size > 1000


def test_drift_is_named_within_two_passes_and_ends_where_it_is_accepted_and_stays(months: Months) -> None:
    months.write(months.production(6, drift_from=17))
    assert "No alarm." in months.monitor(2)
    months.monitor(3, code=1)
    months.monitor(4, code=1)
    ((problem, names),) = months.alarms()
    assert problem == "drift" and {"amount", "channel"} <= names <= SHIFTED
    lead = (months.repo.path / "reports/monitor/verdict.md").read_text().splitlines()[2]
    assert any(f"{name} has changed most" in lead for name in names)
    assert "Acknowledged:" in months.monitor(4, "--acknowledge", "a new shop")
    # The mean of a customer's last payments follows the amounts for weeks: it alone still moves.
    months.monitor(5, code=1)
    assert months.alarms() == [("drift", {"usual_amount"})]


def test_inputs_that_are_missing_in_a_tenth_of_the_requests_are_named_in_one_pass(months: Months) -> None:
    names = {"new_device", "usual_amount", "minutes_since_last"}
    traffic = months.production(1)
    for name in names:
        traffic = traffic.lose(name, 10)
    months.write(traffic)
    months.monitor(1, code=1)
    assert months.alarms() == [("input", names)]


def test_fraud_that_changes_is_an_alarm_when_its_labels_have_matured(months: Months) -> None:
    months.write(months.production(6, fraud_change_from=14))
    assert "No alarm." in months.monitor(4)
    months.monitor(5, code=1)
    months.monitor(6, code=1)
    assert months.alarms() == [("quality", {"loss"})]
    first = next(record for record in months.passes() if record.alarms)
    assert first.end <= START + 42 * DAY and first.quality
    assert first.quality.matured_to > START + 14 * DAY


def test_labels_that_come_weeks_late_are_counted_once_and_are_no_alarm(months: Months) -> None:
    months.write(months.production(6), down_until=START + 30 * DAY)
    assert "No alarm." in months.monitor(6)
    qualities = [record.quality for record in months.passes() if record.quality]
    assert [bool(quality.labelled) for quality in qualities] == [False] * 4 + [True] * 2
    spans = [(quality.matured_from, quality.matured_to) for quality in qualities[4:]]
    assert spans == [(START, START + 21 * DAY), (START + 21 * DAY, START + 28 * DAY)]
    assert all(quality.labelled == quality.predictions for quality in qualities[4:])


def test_a_day_without_a_file_and_a_half_written_file_do_not_stop_the_monitor(months: Months) -> None:
    months.configure(labels=None)
    months.write(months.production(6))
    shutil.rmtree(months.log / f"date={START + 30 * DAY:%Y-%m-%d}")
    assert "No alarm." in months.monitor(5)
    rows = [record.rows for record in months.passes()]
    assert rows[4] < 0.95 * min(rows[:4])
    file = months.log / f"date={START + 37 * DAY:%Y-%m-%d}" / "part.jsonl.gz"
    file.write_bytes(file.read_bytes()[:2000])
    assert "1 file that cannot be read" in months.monitor(6, code=1)
    assert months.alarms() == [("input", {"prediction log"})]  # a day of seven is lost


def test_log_and_labels_in_a_bucket_give_the_same_passes(
    months: Months, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    client = boto3.client("s3")
    client.create_bucket(Bucket="production")
    months.write(months.production(4))
    for path in (months.folder / "labels.parquet", *months.log.rglob("*.jsonl.gz")):
        client.upload_file(str(path), "production", str(path.relative_to(months.folder)))
    client.put_object(Bucket="production", Key=f"log/date={START + 28 * DAY:%Y-%m-%d}/begun")
    assert "No alarm." in months.monitor(4)
    months.configure("s3://production/*.parquet")
    assert "No alarm." in months.monitor(4, log="s3://production/log")
    assert months.passes("s3://production/log") == months.passes() and len(months.passes()) == 4
    keys = [item["Key"] for item in client.list_objects_v2(Bucket="production", Prefix="log/monitor")["Contents"]]
    assert "log/monitor/metrics.prom" in keys
