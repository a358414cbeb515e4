"""The format of results.json, and when a target is met. Nothing is timed here."""

import json

import pytest

from bench import results
from bench.__main__ import SUBJECTS, names
from bench.results import KEYS, Result, save

NAMES = [name for subject in SUBJECTS for name in names(subject)]


@pytest.mark.parametrize(
    ("target", "value", "peer", "ratio", "met"),
    [
        ("ratio <= 3", 6.0, 2.0, 3.0, True),
        ("ratio <= 3", 6.1, 2.0, 3.05, False),
        ("ratio < 1", 2.0, 2.0, 1.0, False),
        ("ratio < 1", 1.0, 2.0, 0.5, True),
        ("ratio >= 50", 2.0, 100.0, 50.0, True),
        ("ratio >= 50", 2.0, 98.0, 49.0, False),
    ],
)
def test_the_ratio_depends_on_the_direction_of_the_target(target, value, peer, ratio, met):
    result = Result("a", value, "s", target, peers={"b": peer})
    assert result.ratio == pytest.approx(ratio)
    assert result.is_met is met


def test_a_result_without_a_target_is_only_reported():
    result = Result("a", 3.0, "s", "", {"b": 2.0})
    assert result.is_met and result.ratio == 1.5
    assert not Result("a", 3.0, "s", "", {"b": 2.0}, sound=False).is_met


def test_a_result_without_a_peer_has_no_ratio():
    assert Result("a", 3.9, "GB", "value <= 4").is_met
    assert not Result("a", 4.1, "GB", "value <= 4").is_met
    assert Result("a", 3.9, "GB", "value <= 4").to_json()["ratio"] is None


def test_a_subject_that_did_not_do_what_it_should_holds_no_target():
    assert not Result("a", 1.0, "s", "ratio < 1", peers={"b": 2.0}, sound=False).is_met


@pytest.mark.parametrize("target", ["about 3", "ratio > 3", "ratio <= three"])
def test_an_invalid_target_is_refused(target):
    with pytest.raises(ValueError, match="is not a target"):
        _ = Result("a", 1.0, "s", target).is_met


def test_a_target_of_the_ratio_without_a_peer_is_refused():
    with pytest.raises(ValueError, match="but no peer"):
        _ = Result("a", 1.0, "s", "ratio < 1").is_met


def test_an_entry_has_the_documented_keys_and_four_digits():
    entry = Result("a", 1.23456, "s", "ratio < 1", peers={"b": 2.34567}, note="for the table only").to_json()
    assert tuple(entry) == KEYS
    assert (entry["value"], entry["peers"], entry["ratio"]) == (1.235, {"b": 2.346}, 0.5263)


def test_saving_keeps_other_results_and_removes_unknown_names(tmp_path):
    path = tmp_path / "results.json"
    save(
        [Result(name, 1.0, "GB", "value <= 4") for name in ("first", "second", "old")], ["first", "second", "old"], path
    )
    save([Result("first", 5.0, "GB", "value <= 4")], ["second", "first"], path)
    assert [(entry["name"], entry["met"]) for entry in json.loads(path.read_text())] == [
        ("second", True),
        ("first", False),
    ]


def test_the_committed_results_are_of_the_subjects_there_are_and_agree_with_themselves():
    entries = json.loads(results.PATH.read_text())
    assert [entry["name"] for entry in entries] == NAMES
    for entry in entries:
        assert set(entry) == set(KEYS)
        measured = Result(*(entry[key] for key in ("name", "value", "unit", "target", "peers")))
        assert entry["met"] is measured.is_met
