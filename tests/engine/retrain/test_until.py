"""Setting `ingest.until` in the text of params.yaml."""

from datetime import date

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.config.params import parse
from pipelines.retrain.flow import set_until
from tests.engine.fixtures_model import SMALL
from tests.engine.fixtures_repo import PARAMS

DAY = date(2026, 5, 3)


@pytest.mark.parametrize(
    "text", [PARAMS.read_text(), SMALL, SMALL.replace("[orders.csv]", '[orders.csv], until: "2026-01-01"')]
)
def test_only_the_day_changes(text: str) -> None:
    changed = set_until(text, DAY)
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    assert after["ingest"].pop("until") == "2026-05-03"
    before["ingest"].pop("until", None)
    assert after == before
    assert changed.count("#") == text.count("#") and abs(len(changed) - len(text)) < 30
    assert set_until(changed, DAY) == changed


@pytest.mark.parametrize("line", ["until: null  # everything", 'until: "2026-02-01"  # everything', "until:"])
def test_a_day_is_replaced_and_its_comment_stays(line: str) -> None:
    text = PARAMS.read_text().replace("  kind: simulator\n", f"  kind: simulator\n  {line}\n")
    changed = set_until(text, DAY)
    assert parse(changed).ingest.until == DAY
    assert ("# everything" in changed) == ("# everything" in line)


def test_an_invalid_file_is_refused() -> None:
    with pytest.raises(InputError):
        set_until("ingest: {}", DAY)


def test_a_day_needs_a_time_of_the_rows() -> None:
    document = yaml.safe_load(SMALL)
    document["schema"]["event_time"] = None
    document["split"] = {"by": "hash", "salt": "a", "test": 0.2, "validation": 0.2}
    text = yaml.safe_dump(document)
    parse(text)
    with pytest.raises(InputError, match=r"ingest\.until"):
        set_until(text, DAY)
