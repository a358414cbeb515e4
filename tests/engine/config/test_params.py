import json
import math
import re

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from pydantic import ValidationError

from pipelines.__main__ import main
from pipelines.cli.errors import InputError
from pipelines.commands import schema
from pipelines.config.params import json_schema, load, parse
from pipelines.model import critical_cases
from tests.engine.fixtures_model import SMALL
from tests.engine.fixtures_repo import PARAMS, ROOT

OWN = PARAMS.read_text(encoding="utf-8")
MISSING = object()


def changed(where, value, text=OWN):
    """The text with the value at a dotted path set, or removed."""
    document = yaml.safe_load(text)
    *parents, last = where.split(".")
    place = document
    for key in parents:
        place = place[int(key) if isinstance(place, list) else key]
    if value is MISSING:
        del place[last]
    else:
        place[last] = value
    return yaml.safe_dump(document, sort_keys=False)


def faults(text):
    """The lines that name a fault, without the ones around them."""
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.remedy.startswith("Fix params.yaml")
    first, *lines = str(caught.value).splitlines()
    assert first == f"params.yaml has {len(lines)} error{'s' if len(lines) > 1 else ''}:"
    return [line.strip() for line in lines]


def regression(text=OWN):
    """The params.yaml of the tests, rewritten as a regression of the amount."""
    document = yaml.safe_load(text)
    document |= {"task": "regression", "value": None}
    document["schema"]["target"] = "amount"
    del document["schema"]["positive"], document["fairness"], document["selection"]["threshold"]
    document["features"] = {"use": ["channel", "payments_1h"]}
    document["selection"]["metric"] = document["slices"]["metric"] = document["gates"]["headline"] = "mae"
    document["gates"]["floors"], document["gates"]["regression"] = {}, {"mae": 1.0}
    return yaml.safe_dump(document, sort_keys=False)


# What is right.


def test_params_that_are_right_name_the_inputs_in_the_order_of_the_schema():
    params = load(PARAMS)
    order = list(params.table.columns)
    assert params.task == "classification"
    assert list(params.inputs) == sorted(params.inputs, key=order.index)
    assert {"paid_at", "usual_amount"} < set(params.inputs)
    assert not {"payment_id", "is_fraud", "labelled_at"} & set(params.inputs)
    assert params.table.sensitive == {"customer_id", "age_group"}


def test_a_regression_is_right_without_what_has_no_meaning_for_it():
    params = parse(regression())
    assert params.task == "regression" and params.inputs == ("channel", "payments_1h")
    assert params.fairness is None and params.selection.threshold is None and params.table.positive is None


def test_no_setting_can_be_changed_after_it_was_read():
    params = parse(SMALL)
    for thing, name in ((params, "release"), (params.table, "key"), (params.gates, "seed"), (params.features, "use")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, name, "other")


def test_an_anchor_and_a_merge_of_yaml_work():
    shared = "  logistic: &base\n"
    text = SMALL.replace("  logistic:\n", shared).replace(
        "selection:", "  again:\n    <<: *base\n    params: {C: 2.0, random_state: 1}\nselection:"
    )
    again = parse(text).candidates["again"]
    assert again.estimator.endswith("LogisticRegression") and again.params["C"] == 2.0 and again.before


# What is wrong: each fault with its path and one message.


@pytest.mark.parametrize(
    ("where", "value", "fault"),
    [
        ("relase", "fraud", "relase: unknown key"),
        ("schema.colums", {}, "schema.colums: unknown key"),
        ("schema.columns.amount.minimum", 0, "schema.columns.amount.minimum: unknown key"),
        ("ingest.sed", 1, "ingest.sed: unknown key"),
        ("split.salt", "a", "split.salt: unknown key"),
        ("features.derive.hour.by", "x", "features.derive.hour.by: unknown key"),
        ("candidates.forest.before.0.parms", {}, "candidates.forest.before.0.parms: unknown key"),
        ("schema", MISSING, "schema: is missing"),
        ("gates", MISSING, "gates: is missing"),
        ("gates.seed", MISSING, "gates.seed: is missing"),
        ("ingest.days", MISSING, "ingest.days: is missing"),
        ("schema.positive", MISSING, "schema.positive: is missing; it names the class whose probability is predicted"),
        ("task", MISSING, "task: is missing"),
        ("task", "clasification", "task: expected 'classification' or 'regression' (got 'clasification')"),
        ("task", None, "task: expected 'classification' or 'regression'"),
        ("task", 1, "task: expected 'classification' or 'regression' (got 1)"),
        ("ingest.kind", MISSING, "ingest.kind: is missing; expected simulator or files"),
        ("ingest.kind", "sql", "ingest.kind: expected simulator or files (got 'sql')"),
        ("split.by", "random", "split.by: expected time or hash (got 'random')"),
        ("gates", None, "gates: Input should be an object"),
        ("gates.seed", "7", "gates.seed: Input should be a valid integer (got '7')"),
        ("gates.seed", 7.5, None),
        ("gates.seed", True, None),
        ("gates.seed", -1, "gates.seed: Input should be greater than or equal to 0 (got -1)"),
        ("gates.max_model_mb", 0, "gates.max_model_mb: Input should be greater than 0 (got 0)"),
        ("gates.max_model_mb", math.inf, None),
        ("gates.max_model_mb", math.nan, None),
        ("gates.floors.accuracy", 0.9, None),
        ("schema.columns.amount.type", "float", None),
        ("schema.columns.amount.nullable", "yes", None),
        ("schema.positive", 1, "schema.positive: Input should be a valid string, so put it in quotes (got 1)"),
        ("schema.columns.amount.allowed", ["a"], "schema.columns.amount: allowed belongs to type category"),
        ("schema.columns.channel.max", 3, "schema.columns.channel: min and max belong to type number or integer"),
        ("schema.columns.amount.min", 60_000, "schema.columns.amount: min is above max"),
        ("schema.columns.channel.allowed", [], None),
        ("schema.key", "id", "schema: key names id, which is not among columns"),
        ("schema.event_time", "amount", "schema: event_time names amount, which must be of type timestamp"),
        ("candidates", {}, None),
        ("candidates.Bad", {"estimator": "a.B"}, None),
        ("candidates.forest.estimator", "RandomForest", None),
        ("selection.threshold", {"maximise": "recall"}, None),
        ("selection.threshold", {"maximise": "f1", "minimise": "cost"}, None),
        ("value", MISSING, "value: is missing"),
        ("value.false_negative", "amont", "value.false_negative: amont is not in schema.columns"),
        ("value.false_negative", "usual_amount", None),
        ("value.false_negative", "channel", None),
        ("gates.regression.log_loss", "5 %", None),
        ("gates.regression.log_loss", -1, None),
        ("gates.when_unclear", MISSING, "gates.when_unclear: is missing"),
        ("fairness.min_recall_ratio", 1.0, None),
        ("ingest.start", "tomorrow", None),
        ("slices.by.channel.from", 3, None),
        ("slices.by.gone", {"column": "gone"}, None),
        ("serving.base_image", "python:3.11", None),
        ("validation.max_missing", 1.1, None),
    ],
)
def test_a_fault_is_named_with_its_path_and_what_was_expected(where, value, fault):
    found = faults(changed(where, value))
    assert len(found) == 1
    if fault is None:
        assert found[0].startswith(where.split(".")[0])
    else:
        assert found[0] == fault


def test_all_faults_are_named_at_once():
    text = changed("gates.seed", "x", changed("relase", 1, changed("ingest.days", MISSING)))
    assert sorted(line.split(":")[0] for line in faults(text)) == ["gates.seed", "ingest.days", "relase"]


@pytest.mark.parametrize("name", ["files", "time", "hash", "simulator", "classification"])
def test_a_candidate_or_column_with_the_name_of_a_form_keeps_its_path(name):
    assert faults(changed(f"candidates.{name}", {"estimator": 3}))[0].startswith(f"candidates.{name}.estimator:")
    assert faults(changed(f"schema.columns.{name}", {"type": 3}))[0].startswith(f"schema.columns.{name}.type:")
    assert faults(changed(f"slices.by.{name}", {}))[0] == f"slices.by.{name}.column: is missing"


@pytest.mark.parametrize("where", ["schema.positive", "selection.threshold", "fairness", "value"])
def test_a_regression_refuses_what_belongs_to_a_classification(where):
    found = yaml.safe_load(OWN)
    for key in where.split("."):
        found = found[key]
    assert faults(changed(where, found, regression())) == [f"{where}: belongs to task classification"]


def test_a_regression_refuses_the_metrics_and_the_target_of_a_classification():
    assert faults(changed("gates.headline", "roc_auc", regression()))[0].startswith(
        "gates.headline: roc_auc is not a metric"
    )
    assert "needs a number" in faults(changed("schema.target", "card_country", regression()))[0]
    assert "must be of type boolean" in faults(changed("schema.target", "customer_id"))[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"use": ["amuont"]}, "use names amuont, which is not in schema.columns"),
        ({"use": ["is_fraud"]}, "use names is_fraud, which the model must not see"),
        ({"use": ["labelled_at"]}, "use names labelled_at, which the model must not see"),
        ({"use": ["payment_id"]}, "use names payment_id, which the model must not see"),
        ({"use": ["paid_at"]}, "paid_at is of type timestamp"),
        ({"use": ["customer_id"]}, "customer_id is of type identifier"),
        ({"use": []}, "the model has no input"),
        ({"use": ["amount", "amount"]}, "amount is named twice"),
        ({"use": ["amount"], "derive": {"amount": {"op": "log1p", "of": "amount"}}}, "amount is named twice"),
        ({"use": [], "derive": {"hour": {"op": "hour", "of": "amount"}}}, "hour takes timestamp"),
        ({"use": [], "derive": {"log": {"op": "log1p", "of": "channel"}}}, "log takes number or integer"),
        ({"use": [], "derive": {"odd": {"op": "differs", "of": "channel", "to": "amount"}}}, "odd takes category"),
        ({"use": [], "derive": {"r": {"op": "ratio", "of": "amount"}}}, "`to` belongs to ratio and differs"),
        ({"use": [], "derive": {"h": {"op": "hour", "of": "paid_at", "to": "amount"}}}, "`to` belongs to"),
        ({"use": [], "derive": {"h": {"op": "year", "of": "paid_at"}}}, "expected 'log1p'"),
    ],
)
def test_a_feature_that_cannot_be_made_is_refused(change, said):
    (fault,) = faults(changed("features", change))
    assert said in fault and "features" in fault


@pytest.mark.parametrize("where", ["features.use", "features.derive.far"])
def test_a_column_that_is_known_only_after_the_prediction_is_no_feature(where):
    settled = changed("schema.columns.settled", {"type": "number", "nullable": True, "known": "after"})
    assert "settled" not in parse(settled).inputs
    used = ["channel", "settled"] if where == "features.use" else {"op": "log1p", "of": "settled"}
    (fault,) = faults(changed(where, used, settled))
    assert "names settled, which is known only after the prediction" in fault


def test_a_time_that_may_be_missing_is_no_feature():
    text = changed("schema.columns.paid_at.nullable", True)
    (fault,) = faults(text)
    assert "needs a time in every row, and paid_at is nullable" in fault
    parse(changed("features", {"use": ["amount"]}, text))


@pytest.mark.parametrize("name", ["probability", "value", "decision", "reason", "features", "raw_0", "estimator_x"])
def test_a_column_named_as_something_in_the_graph_or_the_answer_is_no_input(name):
    text = changed(f"schema.columns.{name}", {"type": "number"})
    parse(text)
    (fault,) = faults(changed("features.use", [name], text))
    assert f"{name} is a name that" in fault


def test_a_slice_by_a_timestamp_is_refused():
    (fault,) = faults(changed("slices.by", {"night": {"column": "paid_at"}}))
    assert "paid_at is a timestamp; slice by a number or a category" in fault


@pytest.mark.parametrize("name", ["", 'a"b', "a\\b", "a\nb", "a\x00b"])
def test_a_column_whose_name_no_request_could_spell_safely_is_refused(name):
    text = changed("schema.columns", {name: {"type": "number"}, "paid_at": {"type": "timestamp"}})
    assert any("is not a column name" in fault for fault in faults(text))


# What YAML does without a word.


def test_a_key_given_twice_is_refused_with_its_line():
    text = "release: a\nrelease: b\n"
    with pytest.raises(InputError, match="line 2: the key release is given twice"):
        parse(text)
    twice = OWN.replace("    amount: {type", "    amount: {type: number}\n    amount: {type", 1)
    line = twice.splitlines().index("    amount: {type: number}") + 2
    with pytest.raises(InputError, match=f"line {line}: the key amount is given twice"):
        parse(twice)


def test_a_category_that_yaml_takes_for_false_must_be_quoted():
    (fault,) = faults(OWN.replace("ES, FR, IT, NL]}", "ES, FR, IT, NL, NO]}", 1))
    assert fault.startswith("schema.columns.card_country.allowed.8: ") and "quotes" in fault and "False" in fault
    params = parse(OWN.replace("ES, FR, IT, NL]}", 'ES, FR, IT, NL, "NO"]}', 1))
    assert "NO" in (params.table.columns["card_country"].allowed or ())


@pytest.mark.parametrize("key", ["NO", "on", "1", "2026-01-01", "null", "1.5", "[a]"])
def test_a_key_that_yaml_takes_for_no_text_must_be_quoted(key):
    text = OWN.replace("    amount: {type", f"    {key}: {{type: number}}\n    amount: {{type", 1)
    with pytest.raises(InputError, match="is not text: put it in quotes"):
        parse(text)
    if key != "[a]":
        assert key in parse(text.replace(f"    {key}: ", f'    "{key}": ')).table.columns


def test_an_allowed_value_given_twice_or_empty_is_refused():
    for values in (["a", "a"], ["a", ""]):
        (fault,) = faults(changed("schema.columns.channel.allowed", values))
        assert fault.startswith("schema.columns.channel: allowed values must be different")


@pytest.mark.parametrize(
    "text", ["", "just text", "- a\n- b", "a: [", "a: b: c", "\t- x", "a: !!python/object:os.x {}"]
)
def test_what_is_no_mapping_is_one_clear_error(text):
    with pytest.raises(InputError, match=r"params\.yaml") as caught:
        parse(text)
    assert caught.value.remedy == "Fix params.yaml."


def test_a_file_that_is_not_there_or_not_text_is_an_input_error(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path / "bytes.yaml", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load(path)


# The JSON schema.


def test_the_committed_json_schema_is_current():
    assert (ROOT / schema.PATH).read_text(encoding="utf-8") == schema.text()


def test_the_repositorys_own_settings_and_critical_cases_are_right(own_files):
    text = (own_files / "params.yaml").read_text(encoding="utf-8")
    parse(text)
    assert all((own_files / path).is_file() for path in re.findall(r"\$schema=(\S+)", text))
    critical_cases.load(own_files / "tests/critical")


@pytest.mark.parametrize("text", [OWN, SMALL, regression()])
def test_the_json_schema_accepts_what_is_right(text):
    document = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(document, json_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(("where", "value"), [("relase", 1), ("gates.seed", "7"), ("task", "x"), ("gates", MISSING)])
def test_the_json_schema_refuses_what_is_wrong(where, value):
    document = json.loads(json.dumps(yaml.safe_load(changed(where, value)), default=str))
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def test_the_verb_checks_and_writes_the_schema(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["schema", "--check"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Write it")
    assert main(["schema", "--write"]) == 0
    assert main(["schema", "--check"]) == 0
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == (tmp_path / schema.PATH).read_text() == schema.text()


def test_a_date_that_no_calendar_has_is_named() -> None:
    with pytest.raises(InputError, match="not YAML"):
        parse("ingest: {start: 2026-99-99}")


@pytest.mark.parametrize(
    "changes",
    [
        {"selection": {"metric": "cost"}},
        {"selection": {"metric": "average_precision", "threshold": {"minimise": "cost"}}},
    ],
)
def test_cost_needs_the_section_value(changes):
    document = yaml.safe_load(PARAMS.read_text()) | changes
    parse(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(InputError, match="cost needs the section value"):
        parse(yaml.safe_dump(document | {"value": None}, sort_keys=False))
