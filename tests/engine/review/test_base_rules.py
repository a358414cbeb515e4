"""Which rules of a base are weaker in the head, and the head's parameters with the base's rules."""

import re
from subprocess import CompletedProcess

import pytest
import yaml

from pipelines.cli.files import write_text
from pipelines.config.params import parse
from pipelines.config.paths import VALIDATION
from pipelines.config.read import read_sections
from pipelines.config.table_schema import TableParams
from pipelines.repository.leaves import leaves
from pipelines.review import base_rules as module
from pipelines.review.base_rules import SECTIONS, _is_stricter, base_rules
from pipelines.review.findings import ParamChange
from tests.engine.fixtures_model import SMALL


def rules(changes_of_head, changes_of_base=None):
    """The rules of a base for a head; both are the small params.yaml with changes."""
    base, head = yaml.safe_load(SMALL), yaml.safe_load(SMALL)
    fairness = {"min_recall_ratio": 0.6, "min_false_positive_ratio": 0.3, "min_support": 100, "min_positives": 30}
    for document, changes in ((base, changes_of_base or {}), (head, changes_of_head)):
        document["fairness"] = dict(fairness)
        for path, value in changes.items():
            *parents, last = path.split(".")
            section = document
            for key in parents:
                section = section[key]
            if value is None:
                del section[last]
            else:
                section[last] = value
    return base_rules(yaml.safe_dump(base), parse(yaml.safe_dump(head)))


def weakened(*changes):
    return [change.path for change in rules(*changes).weaker]


STRICTER = {
    "gates.floors.roc_auc": 0.7, "gates.regression.roc_auc": 0.04, "gates.resamples": 300, "gates.max_model_mb": 4,
    "gates.scoring_time_ratio": 2.0, "slices.tolerance": 0.05, "slices.min_support": 19, "slices.floor": 0.6,
    "fairness.min_recall_ratio": 0.7, "fairness.min_positives": 29, "validation.max_missing": 0.4,
    "validation.min_rows": 11, "gates.history": {"versions": 3, "regression": {"roc_auc": 0.1}},
    "gates.regression.log_loss": 0.1, "slices.by.shop": {"column": "shop"},
}  # fmt: skip


@pytest.mark.parametrize(("path", "value"), STRICTER.items())
def test_a_stricter_rule_is_not_listed_and_the_same_change_backwards_is(path, value):
    assert weakened({path: value}) == []
    (first, *_) = weakened({}, {path: value})
    assert first.startswith(path)


def test_of_every_number_among_the_rules_one_direction_is_stricter():
    # With the settings that have a default: a new one that base_rules.py does not know would always count as weaker.
    document = rules({"gates.history": {"versions": 3, "regression": {"roc_auc": 0.1}}}).params.model_dump(
        mode="json", by_alias=True
    )
    numbers = [
        (path, value)
        for section in SECTIONS
        for path, value in leaves(yaml.safe_dump({section: document[section]}))
        if re.fullmatch(r"[\d.]+", value) and not path.startswith(("gates.seed", "slices.by."))
    ]
    assert len(numbers) > 15
    for path, value in numbers:
        directions = [ParamChange(path, value, f"{float(value) + step}") for step in (-0.01, 0.01)]
        stricter = [_is_stricter(change, "roc_auc") for change in directions]
        assert sorted(stricter) == [False, True], path


@pytest.mark.parametrize(
    "changes", [{"slices.metric": "log_loss"}, {"slices.by.size": {"column": "shop"}}, {"fairness": None}]
)
def test_what_is_not_known_to_be_stricter_is_listed(changes):
    assert weakened(changes)


def test_a_column_that_is_no_longer_sensitive_is_listed_and_judged_as_before():
    result = rules({"schema.columns.region.sensitive": False})
    assert [change.path for change in result.weaker] == ["schema.columns.region.sensitive"]
    assert result.params.table.columns["region"].sensitive


def test_a_sensitive_column_of_another_type_is_listed_and_judged_as_before():
    unused = {"features.use": ["price", "usual_price", "items", "size", "shop"]}
    to_identifier = {"schema.columns.region.type": "identifier", "schema.columns.region.allowed": None}
    result = rules({**unused, **to_identifier}, unused)
    assert [change.path for change in result.weaker] == [
        f"schema.columns.region.{key}" for key in ("allowed", "sensitive")
    ]
    assert result.params.table.columns["region"].type == "category"


LOOSER = {
    "price.min": -1, "price.max": 2000, "items.max": None, "size.allowed": ["S", "M", "L", "XL"],
    "usual_size.allowed": None, "price.nullable": True,
}  # fmt: skip


@pytest.mark.parametrize(("path", "value"), LOOSER.items())
def test_a_looser_limit_of_a_column_is_listed_and_judged_as_before_and_a_tighter_one_is_not(path, value):
    path = f"schema.columns.{path}"
    result = rules({path: value})
    assert [change.path for change in result.weaker] == [path]
    assert result.params.table == rules({}).params.table
    assert rules({}, {path: value}).weaker == ()


def test_a_column_that_is_no_longer_required_is_listed_and_a_new_one_is_not():
    extra = {"schema.columns.colour": {"type": "category", "allowed": ["red"]}}
    result = rules({}, extra)
    assert {change.path.rpartition(".")[0] for change in result.weaker} == {"schema.columns.colour"}
    assert "colour" in result.params.table.columns
    assert rules(extra).weaker == ()


def test_the_split_of_the_base_is_judged_by_and_is_no_listed_rule():
    result = rules({"split.test_days": 3})
    assert (result.params.split.test_days, result.weaker) == (10, ())
    result = rules({"split": {"by": "hash", "salt": "a", "test": 0.1, "validation": 0.1}})
    assert result.params.split.by == "time"


def test_a_column_that_is_no_longer_known_after_is_listed_and_refused_as_a_feature():
    assert weakened({}, {"schema.columns.returned.known": "after"}) == ["schema.columns.returned.known"]
    result = rules({}, {"schema.columns.price.known": "after"})
    assert [change.path for change in result.unreadable] == ["schema.columns.price.known"]
    assert weakened({"schema.columns.returned.known": "after"}) == []


def test_what_is_no_rule_is_not_listed():
    assert weakened({"gates.seed": 8, "gates.headline": "log_loss", "features.use": ["price"]}) == []


def test_reasons_are_those_of_the_head_and_no_rules():
    result = rules({"gates.allow_weaker": "the head's"}, {"gates.allow_weaker": "the base's"})
    assert (result.params.gates.allow_weaker, result.weaker) == ("the head's", ())


def test_the_values_that_can_be_read_are_the_base_s_and_the_others_are_listed():
    result = rules({"gates.floors.log_loss": 3}, {"gates.old": 3, "gates.floors.gone": 1, "gates.floors.roc_auc": 0.8})
    assert [change.path for change in result.unreadable] == ["gates.floors.gone", "gates.old"]
    assert dict(result.params.gates.floors) == {"roc_auc": 0.8, "log_loss": 3}


@pytest.mark.parametrize("text", ["[", "- 1\n", "gates: {a: 1, a: 2}\n"])
def test_a_base_that_cannot_be_read_counts_as_a_weaker_rule(text):
    (change,) = base_rules(text, parse(SMALL)).unreadable
    assert change.path == "params.yaml"


@pytest.mark.parametrize("path", ["model_name", "task", "schema"])
def test_a_base_for_another_model_has_no_rules_for_this_one(path):
    document = yaml.safe_load(SMALL)
    document[path] = {"target": "another"} if path == "schema" else "another"
    assert base_rules(yaml.safe_dump(document), parse(SMALL)) is None
    assert base_rules(None, parse(SMALL)) is None


def test_small_limits_of_the_base_reach_the_validation(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    limits = []

    def validate(_, folder):
        limits.append(read_sections(TableParams, folder / "params.yaml").table.columns["price"].min)
        write_text(folder / VALIDATION, '{"errors": []}')
        return CompletedProcess([], 0, "", "")

    monkeypatch.setattr(module, "run_stage", validate)
    weaker = rules({"schema.columns.price.min": 0.0}, {"schema.columns.price.min": 0.0000001})
    assert module.data_errors_by_base(weaker) == () and limits == [0.0000001]
