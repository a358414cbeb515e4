"""Logged requests asked of a service again: the real service, twice, over its own log."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.rollout import replay
from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

pytestmark = [pytest.mark.server, pytest.mark.xdist_group("rollout-replay")]
PRICES = [5.0 * number for number in range(1, 31)]


@pytest.fixture(scope="module")
def log(logistic: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction log of 30 predictions."""
    folder = tmp_path_factory.mktemp("champion")
    with live.serve(folder, logistic.model.parent) as service:
        for price in PRICES:
            assert service.ask("POST", "/predict", {**GOOD, "price": price}).status == 200
        service.stop()
    return folder / "predictions"


def read_rows(log: Path, count: int) -> list[dict[str, Any]]:
    """The newest rows, with the value of the input that the log holds as a hash."""
    return [{**row, "region": GOOD["region"]} for row in replay.newest_rows(str(log), count)]


def test_same_model_answers_logged_requests_alike(log: Path, logistic: Any, tmp_path: Path) -> None:
    rows = read_rows(log, 20)
    assert [row["price"] for row in rows] == PRICES[:-21:-1]
    with live.serve(tmp_path, logistic.model.parent) as service:
        signature = service.ask("GET", "/info").body["signature"]
        result = replay.ask(service.url, signature, rows)
        service.stop()
    assert list(tmp_path.rglob("*.jsonl.gz"))
    assert replay.newest_rows(str(tmp_path / "predictions"), 20) == []  # no user asked for these
    assert [field["name"] for field in signature["inputs"] if field.get("sensitive")] == ["region"]
    assert (result.rows, result.errors, result.flipped) == (20, 0, 0)
    assert max(abs(before - after) for _, before, after in result.differences) < 1e-9
    assert 0 < result.slowest < 5


def test_changed_decisions_and_the_rows_that_differ_most_are_shown(log: Path, logistic: Any, tmp_path: Path) -> None:
    rows = read_rows(log, 30)
    rows[3] = {**rows[3], "probability": rows[3]["probability"] + 0.4, "decision": not rows[3]["decision"]}
    with live.serve(tmp_path, logistic.model.parent) as service:
        signature = service.ask("GET", "/info").body["signature"]
        result = replay.ask(service.url, signature, rows)
    assert (result.flipped, len(result.differences)) == (1, replay.SHOWN)
    assert result.differences[0][0]["price"] == rows[3]["price"]
    assert f"{rows[3]['price']}" in result.to_markdown("fraud@v1.1.0").splitlines()[8]


def test_service_that_refuses_or_is_gone_gives_errors(log: Path, logistic: Any, tmp_path: Path) -> None:
    rows = read_rows(log, 3)
    with live.serve(tmp_path, logistic.model.parent) as service:
        signature = service.ask("GET", "/info").body["signature"]
        assert replay.ask(service.url, signature, [{**row, "size": "no such size"} for row in rows]).errors == 3
        service.stop()
        assert replay.ask(service.url, signature, rows).errors == 3


def test_damaged_files_and_other_lines_are_left_out(log: Path, tmp_path: Path) -> None:
    folder = tmp_path / "date=2999-01-01"
    folder.mkdir()
    (folder / "1.jsonl.gz").write_bytes(b"no gzip")
    for path in log.rglob("*.jsonl.gz"):
        (folder / "0.jsonl.gz").write_bytes(path.read_bytes())
    assert len(replay.newest_rows(str(tmp_path), 1000)) == 30
    assert replay.newest_rows(str(tmp_path / "nothing"), 10) == []
