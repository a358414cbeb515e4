"""The file that the README's figures come from: its format, and when a target holds. Nothing is timed here."""

import json

import pytest

from bench import results
from bench.__main__ import SUBJECTS, names
from bench.results import KEYS, Result, save

NAMES = [name for subject in SUBJECTS for name in names(subject)]


@pytest.mark.parametrize(
    ("target", "value", "peer", "ratio", "holds"),
    [
        ("ratio <= 3", 6.0, 2.0, 3.0, True),
        ("ratio <= 3", 6.1, 2.0, 3.05, False),
        ("ratio < 1", 2.0, 2.0, 1.0, False),
        ("ratio < 1", 1.0, 2.0, 0.5, True),
        ("ratio >= 50", 2.0, 100.0, 50.0, True),
        ("ratio >= 50", 2.0, 98.0, 49.0, False),
    ],
)
def test_a_ratio_is_of_the_value_where_less_is_better_and_of_the_peer_where_times_faster_is(
    target, value, peer, ratio, holds
):
    result = Result("a", value, "s", target, peers={"b": peer})
    assert result.ratio == pytest.approx(ratio)
    assert result.holds is holds


def test_a_value_without_a_peer_has_a_limit_of_its_own_and_no_ratio():
    assert Result("a", 3.9, "GB", "value <= 4").holds
    assert not Result("a", 4.1, "GB", "value <= 4").holds
    assert Result("a", 3.9, "GB", "value <= 4").to_json()["ratio"] is None


def test_a_subject_that_did_not_do_what_it_should_holds_no_target():
    assert not Result("a", 1.0, "s", "ratio < 1", peers={"b": 2.0}, sound=False).holds


@pytest.mark.parametrize("target", ["about 3", "ratio > 3", "ratio <= three", ""])
def test_a_target_that_cannot_be_read_is_refused(target):
    with pytest.raises(ValueError, match="no target"):
        _ = Result("a", 1.0, "s", target).holds


def test_a_target_of_the_ratio_without_a_peer_is_refused():
    with pytest.raises(ValueError, match="no peer"):
        _ = Result("a", 1.0, "s", "ratio < 1").holds


def test_an_entry_has_the_documented_keys_and_four_digits():
    entry = Result("a", 1.23456, "s", "ratio < 1", peers={"b": 2.34567}, note="for the table only").to_json()
    assert tuple(entry) == KEYS
    assert (entry["value"], entry["peers"], entry["ratio"]) == (1.235, {"b": 2.346}, 0.5263)


def test_what_was_not_measured_stays_in_the_file_and_what_is_no_subject_leaves_it(tmp_path):
    path = tmp_path / "results.json"
    save(
        [Result(name, 1.0, "GB", "value <= 4") for name in ("first", "second", "old")], ["first", "second", "old"], path
    )
    save([Result("first", 5.0, "GB", "value <= 4")], ["second", "first"], path)
    assert [(entry["name"], entry["holds"]) for entry in json.loads(path.read_text())] == [
        ("second", True),
        ("first", False),
    ]


def test_the_committed_results_are_of_the_subjects_there_are_and_agree_with_themselves():
    entries = json.loads(results.PATH.read_text())
    assert [entry["name"] for entry in entries] == NAMES
    for entry in entries:
        assert set(entry) == set(KEYS)
        measured = Result(*(entry[key] for key in ("name", "value", "unit", "target", "peers")))
        assert entry["holds"] is measured.holds
