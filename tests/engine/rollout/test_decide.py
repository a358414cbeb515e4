"""What follows from the hosts' records of a canary."""

from datetime import UTC, datetime, timedelta

import pytest

from pipelines.config.rollout import Rollout
from pipelines.rollout.decide import Decision, decide
from pipelines.rollout.records import Record

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROLLOUT = Rollout(steps=(5, 25), min_requests=1000, min_minutes=10, max_hours=24)


def record(**changed: object) -> Record:
    """A record of a host that has seen enough, and found all within the limits."""
    arms = [20_000.0, 1_500.0]
    fields: dict[str, object] = {
        "version": "fraud@v1.1.0",
        "percent": 5,
        "host": "one",
        "seconds": 900.0,
        "updated": NOW,
        "state": "within",
        "reasons": (),
        "counts": {"requests": arms, "errors": [3.0, 1.0], "timed": arms, "slow": [0.0, 0.0], "scores": [[1.0], [1.0]]},
        "bets": [0.0],
        "read": {},
    }
    return Record.model_validate(fields | changed)


def decision(*records: Record, percent: int = 5, age: timedelta = timedelta(hours=1)) -> Decision:
    """What is decided about a canary that got its first share so long ago."""
    return decide(ROLLOUT, percent, NOW - age, records, [], NOW)


def test_canary_within_all_limits_takes_the_next_step() -> None:
    made = decision(record())
    assert (made.action, made.percent) == ("step", 25)


def test_last_step_promotes() -> None:
    assert decision(record(percent=25), percent=25).action == "promote"


def test_share_that_the_settings_no_longer_name_goes_to_the_next_larger_one() -> None:
    assert decision(record(percent=10), percent=10).percent == 25


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "waiting", "reasons": ("latency",)},
        {"seconds": 599.0},
        {"updated": NOW - timedelta(minutes=6)},
        {"counts": record().counts | {"requests": [20_000.0, 999.0]}},
    ],
)
def test_missing_evidence_waits_and_ends_as_inconclusive(changed: dict[str, object]) -> None:
    assert decision(record(**changed)).action == "wait"
    late = decision(record(**changed), age=timedelta(hours=25))
    assert late.action == "abort"
    assert "inconclusive" in late.why


def test_no_record_waits_and_ends_as_inconclusive() -> None:
    assert decision().action == "wait"
    assert decision(age=timedelta(hours=25)).action == "abort"


def test_every_host_must_be_within_the_limits() -> None:
    assert decision(record(), record(host="two", state="waiting", reasons=("scores",))).action == "wait"


def test_one_host_that_finds_the_canary_worse_ends_it() -> None:
    made = decision(record(), record(host="two", state="worse", reasons=("its requests fail",)))
    assert made.action == "abort"
    assert "its requests fail" in made.why
