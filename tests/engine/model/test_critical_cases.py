import json

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.model import critical_cases
from pipelines.model.critical_cases import Case
from pipelines.review.gates.checks import critical_gate
from tests.engine.fixtures_repo import PROBLEM
from tests.engine.review.made_up import evidence


@pytest.fixture
def row(logistic):
    """A row that the small model takes."""
    return logistic.rows()[0] | {"ordered_at": "2026-01-05T10:00:00Z", "shop": "web", "gift": True, "usual_size": "M"}


def case(row, **asks):
    return Case.model_validate_json(
        json.dumps({"name": "a case", "why": "It matters.", "row": row, **asks}, default=str)
    )


def load(folder, text, name="cases.yaml"):
    (folder / name).write_text(text, encoding="utf-8")
    return critical_cases.load(folder)


GOOD = "- {name: a, why: b, row: {price: 1}, expect: positive}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a: [", "cases.yaml is invalid"),
        ("just words", "should be a valid array"),
        ("- just words", "0: "),
        ("- {name: a, why: b, row: {}}", "exactly one of expect, invariance and direction"),
        ("- {name: a, row: {}, expect: positive}", "0.why: Field required"),
        ("- {name: a, why: b, row: {}, expect: maybe}", "0.expect"),
        ("- {name: a, why: b, row: {}, expect: {at_leat: 1}}", "at_leat"),
        ("- {name: a, why: b, row: {}, expect: {at_least: .nan}}", "finite"),
        ("- {name: a, why: b, level: could, row: {}, expect: positive}", "0.level"),
        ("- {name: a, why: b, row: {}, invariance: {field: x, values: [1], tolerance: 0}}", "at least 2"),
        ("- {name: a, why: b, row: {}, direction: {field: x, values: [1, 2], must_not: move}}", "must_not"),
        ("- {name: a, why: b, row: {2026-01-01: 1}, expect: positive}", "cases.yaml is invalid"),
        ("- {name: a, why: b, row: {day: 2026-99-99}, expect: positive}", "cases.yaml is invalid"),
        ("- &a [*a]", "cases.yaml is invalid"),
        (GOOD + GOOD, "critical cases of the same name: a"),
        ("- {name: a, why: b, row: {}, expect: positive, expect: negative}", "is given twice"),
    ],
)
def test_an_invalid_file_is_refused_with_its_name_and_the_error(tmp_path, text, expected):
    with pytest.raises(InputError) as error:
        load(tmp_path, text)
    assert expected in str(error.value)
    assert error.value.remedy


def test_no_file_or_an_empty_one_has_no_case(tmp_path):
    assert critical_cases.load(tmp_path / "none") == ()
    assert load(tmp_path, "") == ()


def test_a_time_without_quotes_is_read_as_that_time(tmp_path):
    (loaded,) = load(tmp_path, "- {name: a, why: b, row: {at: 2026-04-14T17:20:00}, expect: positive}\n")
    assert loaded.row["at"] == "2026-04-14T17:20:00"


def test_cases_can_be_read_and_share_rows_by_yaml_anchors():
    assert len(critical_cases.load(PROBLEM / "critical")) >= 5


def test_an_expected_class_is_judged_at_the_threshold(logistic, row):
    scorer = logistic.scorer()
    answer = scorer.score_row(row)
    for threshold, positive in ((answer, True), (min(answer + 1e-6, 1), False)):
        object.__setattr__(scorer.signature, "threshold", threshold)
        assert critical_cases.judge(scorer, case(row, expect="positive")).passed is positive
        assert critical_cases.judge(scorer, case(row, expect="negative")).passed is not positive
    object.__setattr__(scorer.signature, "threshold", 0.5)


def test_a_range_includes_its_ends(logistic, row):
    scorer = logistic.scorer()
    answer = scorer.score_row(row)
    assert critical_cases.judge(scorer, case(row, expect={"at_least": answer, "at_most": answer})).passed
    assert not critical_cases.judge(scorer, case(row, expect={"at_least": answer + 1e-9})).passed
    assert not critical_cases.judge(scorer, case(row, expect={"at_most": answer - 1e-9})).passed


def test_an_invariance_fails_when_the_field_matters(logistic, row):
    scorer = logistic.scorer()
    minutes = {"field": "ordered_at", "values": ["2026-01-05T10:00:00Z", "2026-01-05T10:59:00Z"], "tolerance": 1e-6}
    prices = {"field": "price", "values": [1, 900], "tolerance": 1e-6}
    there_and_back = {"field": "price", "values": [1, 900, 1], "tolerance": 1e-6}
    assert critical_cases.judge(scorer, case(row, invariance=minutes)).passed
    failed = critical_cases.judge(scorer, case(row, invariance=prices))
    assert not failed.passed and "by price" in failed.expected
    assert not critical_cases.judge(scorer, case(row, invariance=there_and_back)).passed


def test_a_direction_is_judged_over_every_pair_and_within_its_tolerance(logistic, row):
    scorer = logistic.scorer()
    answers = [scorer.score_row({**row, "price": price}) for price in (1, 400, 900)]
    assert answers == sorted(answers)

    def passes(must_not, tolerance=0.0):
        direction = {"field": "price", "values": [1, 400, 900], "must_not": must_not, "tolerance": tolerance}
        return critical_cases.judge(scorer, case(row, direction=direction)).passed

    assert passes("fall") and not passes("rise")
    whole, steps = answers[2] - answers[0], max(answers[1] - answers[0], answers[2] - answers[1])
    assert steps < whole
    assert passes("rise", whole + 1e-9) and not passes("rise", (whole + steps) / 2)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"colour": "red"}, "does not read colour"),
        ({"price": -5}, "price expected"),
        ({"size": None}, "size is missing"),
    ],
)
def test_a_row_that_does_not_fit_the_signature_fails_the_case_with_the_reason(logistic, row, change, expected):
    result = critical_cases.judge(logistic.scorer(), case({**row, **change}, expect="positive"))
    assert not result.passed and result.probability is None
    assert expected in result.why
    assert "could not be scored" in critical_gate(evidence(critical=(result,)))[0].why


def test_each_value_of_a_varied_field_must_fit_the_signature(logistic, row):
    asked = {"field": "price", "values": [1, -5], "tolerance": 1}
    result = critical_cases.judge(logistic.scorer(), case(row, invariance=asked))
    assert not result.passed and "price expected" in result.why


def test_a_field_that_the_model_does_not_read_cannot_be_varied(logistic, row):
    asked = {"field": "colour", "values": ["red", "blue"], "tolerance": 0}
    assert not critical_cases.judge(logistic.scorer(), case(row, invariance=asked)).passed


def test_a_failed_case_of_level_should_does_not_block(logistic, row):
    never = {"expect": {"at_least": 2}}
    results = tuple(
        critical_cases.judge(logistic.scorer(), case(row, level=level, **never)) for level in ("must", "should")
    )
    gates = critical_gate(evidence(critical=results))
    assert [(gate.passed, gate.blocks) for gate in gates] == [(False, True), (False, False)]
    assert gates[0].name == "critical: a case" and gates[0].why.endswith("It matters.")


def test_a_regression_can_be_expected_in_a_range_but_not_in_a_class(regression, row):
    scorer = regression.scorer()
    answer = scorer.score_row(row)
    within = critical_cases.judge(scorer, case(row, expect={"at_least": answer - 1, "at_most": answer + 1}))
    assert within.passed
    refused = critical_cases.judge(scorer, case(row, expect="positive"))
    assert not refused.passed and "regression does not predict" in refused.expected


def test_yaml_of_a_case_survives_a_round_trip(tmp_path, row):
    (loaded,) = load(tmp_path, yaml.safe_dump([{"name": "a", "why": "b", "row": row, "expect": "negative"}]))
    assert loaded.row["price"] == row["price"]


EARLIER = {"expect": {"at_least": 0.2, "at_most": 0.6}}
INVARIANT = {"field": "price", "values": [1, 2], "tolerance": 0.1}
RISING = {"field": "price", "values": [1, 2], "must_not": "fall", "tolerance": 0.1}


@pytest.mark.parametrize(
    ("asks", "earlier", "no_less"),
    [
        ({"expect": {"at_least": 0.3, "at_most": 0.6}}, EARLIER, True),
        ({"expect": {"at_most": 0.6}}, EARLIER, False),
        ({"expect": "positive"}, EARLIER, False),
        ({"expect": "positive"}, {"expect": "positive"}, True),
        ({"expect": "positive"}, {"expect": "negative"}, False),
        ({"expect": "positive", "level": "should"}, {"expect": "positive"}, False),
        ({"expect": "positive"}, {"expect": "positive", "level": "should"}, True),
        ({"invariance": INVARIANT | {"values": [1, 2, 3], "tolerance": 0.05}}, {"invariance": INVARIANT}, True),
        ({"invariance": INVARIANT | {"values": [1, 3]}}, {"invariance": INVARIANT}, False),
        ({"invariance": INVARIANT | {"tolerance": 0.2}}, {"invariance": INVARIANT}, False),
        ({"direction": RISING | {"tolerance": 0.0}}, {"direction": RISING}, True),
        ({"direction": RISING | {"must_not": "rise"}}, {"direction": RISING}, False),
        ({"direction": RISING}, {"invariance": INVARIANT}, False),
    ],
)
def test_a_case_that_expects_less_than_an_earlier_one_is_known(asks, earlier, no_less):
    row = {"price": 1, "items": 2}
    assert critical_cases.asks_no_less(case(row, **asks), case(row, **earlier), ["price", "items"]) is no_less


@pytest.mark.parametrize(
    ("row", "no_less"),
    [({"price": 1, "items": 2, "gift": True}, True), ({"price": 2, "items": 2}, False), ({"price": 1}, False)],
)
def test_a_case_of_other_values_does_not_stand_for_an_earlier_one(row, no_less):
    earlier = case({"price": 1, "items": 2, "gone": 3}, expect="positive")
    assert critical_cases.asks_no_less(case(row, expect="positive"), earlier, ["price", "items", "gift"]) is no_less


@pytest.mark.parametrize(
    ("text", "names", "unreadable"),
    [
        (GOOD, ["a"], ()),
        (GOOD + "- {name: b, why: c, row: {}, must_be: 3}\n- 7\n", ["a"], ("b", "old.yaml")),
        ("- [", [], ("old.yaml",)),
        ("", [], ()),
    ],
)
def test_cases_of_an_earlier_commit_that_cannot_be_read_are_named(text, names, unreadable):
    cases, cannot = critical_cases.parse_base_cases(text, "old.yaml")
    assert ([each.name for each in cases], cannot) == (names, unreadable)


ELSEWHERE = "- {name: a, why: b, row: {price: 1, wheels: 4, brand: x}, expect: positive}\n"


def test_a_file_of_another_schema_is_one_result_that_names_the_file(logistic, row, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    critical_cases.FOLDER.mkdir(parents=True)
    (critical_cases.FOLDER / "bikes.yaml").write_text(ELSEWHERE + ELSEWHERE.replace("name: a", "name: c"))
    own = yaml.safe_dump([{"name": "mine", "why": "It matters.", "row": {"shop": "web"}, "expect": "positive"}])
    (critical_cases.FOLDER / "own.yaml").write_text(own)
    foreign, mine = critical_cases.judge_files(logistic.scorer())
    assert (foreign.name, foreign.passed, foreign.level) == ("tests/critical/bikes.yaml", False, "must")
    assert "2 cases" in foreign.why and "delete tests/critical/bikes.yaml" in foreign.why
    assert mine.name == "mine"


def test_a_file_with_one_case_of_this_schema_is_judged_case_by_case(logistic, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    critical_cases.FOLDER.mkdir(parents=True)
    text = ELSEWHERE + "- {name: mine, why: b, row: {price: 1, shop: web, wheels: 4}, expect: positive}\n"
    (critical_cases.FOLDER / "mixed.yaml").write_text(text)
    results = list(critical_cases.judge_files(logistic.scorer()))
    assert [result.name for result in results] == ["a", "mine"]
    assert all("does not read" in result.why for result in results)
