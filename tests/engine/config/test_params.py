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


def changed(path, value, text=OWN):
    """The text with the value at a dotted path set, or removed."""
    document = yaml.safe_load(text)
    *parents, last = path.split(".")
    node = document
    for key in parents:
        node = node[int(key) if isinstance(node, list) else key]
    if value is MISSING:
        del node[last]
    else:
        node[last] = value
    return yaml.safe_dump(document, sort_keys=False)


def errors(text):
    """The lines of the error that name an invalid value."""
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


# Valid settings.


def test_inputs_are_in_the_order_of_the_schema():
    params = load(PARAMS)
    order = list(params.table.columns)
    assert params.task == "classification"
    assert list(params.inputs) == sorted(params.inputs, key=order.index)
    assert {"paid_at", "usual_amount"} < set(params.inputs)
    assert not {"payment_id", "is_fraud", "labelled_at"} & set(params.inputs)
    assert params.table.sensitive == {"customer_id", "age_group"}


def test_a_regression_needs_no_setting_of_a_classification():
    params = parse(regression())
    assert params.task == "regression" and params.inputs == ("channel", "payments_1h")
    assert params.fairness is None and params.selection.threshold is None and params.table.positive is None


def test_settings_are_frozen():
    params = parse(SMALL)
    for section, name in ((params, "release"), (params.table, "key"), (params.gates, "seed"), (params.features, "use")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(section, name, "other")


def test_yaml_anchors_and_merges_work():
    shared = "  logistic: &base\n"
    text = SMALL.replace("  logistic:\n", shared).replace(
        "selection:", "  again:\n    <<: *base\n    params: {C: 2.0, random_state: 1}\nselection:"
    )
    again = parse(text).candidates["again"]
    assert again.estimator.endswith("LogisticRegression") and again.params["C"] == 2.0 and again.before


# Invalid settings: each error has its path and one message.


@pytest.mark.parametrize(
    ("path", "value", "expected"),
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
        ("ingest.kind", MISSING, "ingest.kind: is missing"),
        ("ingest.kind", "spark", "ingest.kind: expected 'simulator' or 'files' or 'sql' (got 'spark')"),
        ("split.by", "random", "split.by: expected 'time' or 'hash' (got 'random')"),
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
def test_an_error_has_its_path_and_what_was_expected(path, value, expected):
    (error,) = errors(changed(path, value))
    assert error == expected or (expected is None and error.startswith(path.split(".")[0]))


def test_all_errors_are_reported_at_once():
    text = changed("gates.seed", "x", changed("relase", 1, changed("ingest.days", MISSING)))
    assert sorted(line.split(":")[0] for line in errors(text)) == ["gates.seed", "ingest.days", "relase"]


@pytest.mark.parametrize("name", ["files", "time", "hash", "simulator", "classification"])
def test_a_candidate_or_column_named_like_a_kind_keeps_its_path(name):
    assert errors(changed(f"candidates.{name}", {"estimator": 3}))[0].startswith(f"candidates.{name}.estimator:")
    assert errors(changed(f"schema.columns.{name}", {"type": 3}))[0].startswith(f"schema.columns.{name}.type:")
    assert errors(changed(f"slices.by.{name}", {}))[0] == f"slices.by.{name}.column: is missing"


@pytest.mark.parametrize("path", ["schema.positive", "selection.threshold", "fairness", "value"])
def test_a_regression_refuses_settings_of_a_classification(path):
    value = yaml.safe_load(OWN)
    for key in path.split("."):
        value = value[key]
    assert errors(changed(path, value, regression())) == [f"{path}: belongs to task classification"]


def test_a_regression_refuses_a_negative_class():
    assert errors(changed("schema.negative", "rest", regression())) == [
        "schema.negative: belongs to task classification"
    ]


def test_metrics_and_target_must_fit_the_task():
    assert errors(changed("gates.headline", "roc_auc", regression()))[0].startswith(
        "gates.headline: roc_auc is not a metric"
    )
    assert "needs a number" in errors(changed("schema.target", "card_country", regression()))[0]
    assert "must be of type boolean" in errors(changed("schema.target", "customer_id"))[0]


@pytest.mark.parametrize(
    ("section", "expected"),
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
        ({"use": [], "derive": {"r": {"op": "ratio", "of": "amount"}}}, "ratio needs `to`"),
        ({"use": [], "derive": {"h": {"op": "hour", "of": "paid_at", "to": "amount"}}}, "hour takes no `to`"),
        ({"use": [], "derive": {"c": {"op": "clip", "of": "amount", "min": 1}}}, "clip needs `max`"),
        ({"use": [], "derive": {"c": {"op": "clip", "of": "amount", "min": 1, "max": 1}}}, "min must be below max"),
        ({"use": [], "derive": {"b": {"op": "bucket", "of": "amount", "edges": [1, 1]}}}, "edges must ascend"),
        ({"use": [], "derive": {"b": {"op": "product", "of": "amount", "to": "channel"}}}, "b takes number or integer"),
        ({"use": [], "derive": {"a": {"op": "age_in_days", "of": "paid_at", "to": "amount"}}}, "a takes timestamp"),
        ({"use": [], "derive": {"m": {"op": "is_missing", "of": "paid_at"}}}, "m takes number or integer"),
        ({"use": [], "derive": {"h": {"op": "year", "of": "paid_at"}}}, "expected 'log1p'"),
    ],
)
def test_an_invalid_feature_is_refused(section, expected):
    (error,) = errors(changed("features", section))
    assert expected in error and "features" in error


@pytest.mark.parametrize("where", ["features.use", "features.derive.far"])
def test_a_column_that_is_known_only_after_the_prediction_is_no_feature(where):
    settled = changed("schema.columns.settled", {"type": "number", "nullable": True, "known": "after"})
    assert "settled" not in parse(settled).inputs
    used = ["channel", "settled"] if where == "features.use" else {"op": "log1p", "of": "settled"}
    (error,) = errors(changed(where, used, settled))
    assert "names settled, which is known only after the prediction" in error


def test_a_feature_of_a_nullable_time_is_refused():
    text = changed("schema.columns.paid_at.nullable", True)
    named = errors(text)
    assert named and all("needs a time in every row, and paid_at is nullable" in error for error in named)
    parse(changed("features", {"use": ["amount"]}, text))


@pytest.mark.parametrize("name", ["probability", "value", "decision", "reason", "features", "raw_0", "estimator_x"])
def test_an_input_with_a_reserved_name_is_refused(name):
    text = changed(f"schema.columns.{name}", {"type": "number"})
    parse(text)
    (error,) = errors(changed("features.use", [name], text))
    assert f"{name} is a name that" in error


def test_errors_between_sections_are_reported_at_once():
    text = changed("features.use", ["amount", "amuont", "payment_id"])
    text = changed("slices.by", {"odd": {"column": "chanel"}, "night": {"column": "paid_at"}}, text)
    text = changed("search", {"spaces": {"bosting": {"max_iter": {"values": [1, 2]}}}}, text)
    named = errors(text)
    for part in ("amuont", "use names payment_id", "chanel", "slices.by.night", "search.spaces.bosting"):
        assert sum(part in error for error in named) == 1, part
    assert len(named) == 5


def test_errors_between_roles_and_columns_are_reported_at_once():
    named = errors(changed("schema.label_time", "amount", changed("schema.key", "id")))
    assert len(named) == 2 and "key names id" in named[0] and "must be of type timestamp" in named[1]
    assert all("schema: " in error for error in named)


def test_a_slice_by_a_timestamp_is_refused():
    (error,) = errors(changed("slices.by", {"night": {"column": "paid_at"}}))
    assert "paid_at is a timestamp; slice by a number or a category" in error


@pytest.mark.parametrize("name", ["", 'a"b', "a\\b", "a\nb", "a\x00b"])
def test_a_column_name_that_needs_escaping_in_json_is_refused(name):
    text = changed("schema.columns", {name: {"type": "number"}, "paid_at": {"type": "timestamp"}})
    assert any("is not a column name" in error for error in errors(text))


# What YAML accepts silently.


def test_a_repeated_key_is_refused_with_its_line():
    text = "release: a\nrelease: b\n"
    with pytest.raises(InputError, match="line 2: the key release is given twice"):
        parse(text)
    twice = OWN.replace("    amount: {type", "    amount: {type: number}\n    amount: {type", 1)
    line = twice.splitlines().index("    amount: {type: number}") + 2
    with pytest.raises(InputError, match=f"line {line}: the key amount is given twice"):
        parse(twice)


def test_a_category_that_yaml_reads_as_false_must_be_quoted():
    (error,) = errors(OWN.replace("ES, FR, IT, NL]}", "ES, FR, IT, NL, NO]}", 1))
    assert error.startswith("schema.columns.card_country.allowed.8: ") and "quotes" in error and "False" in error
    params = parse(OWN.replace("ES, FR, IT, NL]}", 'ES, FR, IT, NL, "NO"]}', 1))
    assert "NO" in (params.table.columns["card_country"].allowed or ())


@pytest.mark.parametrize("key", ["NO", "on", "1", "2026-01-01", "null", "1.5", "[a]"])
def test_a_key_that_yaml_does_not_read_as_text_must_be_quoted(key):
    text = OWN.replace("    amount: {type", f"    {key}: {{type: number}}\n    amount: {{type", 1)
    with pytest.raises(InputError, match="is not text: put it in quotes"):
        parse(text)
    if key != "[a]":
        assert key in parse(text.replace(f"    {key}: ", f'    "{key}": ')).table.columns


def test_a_repeated_or_empty_allowed_value_is_refused():
    for values in (["a", "a"], ["a", ""]):
        (error,) = errors(changed("schema.columns.channel.allowed", values))
        assert error.startswith("schema.columns.channel: allowed values must be different")


@pytest.mark.parametrize(
    "text", ["", "just text", "- a\n- b", "a: [", "a: b: c", "\t- x", "a: !!python/object:os.x {}"]
)
def test_a_text_that_is_not_a_mapping_is_refused(text):
    with pytest.raises(InputError, match=r"params\.yaml") as caught:
        parse(text)
    assert caught.value.remedy == "Fix params.yaml."


def test_a_missing_or_binary_file_is_refused(tmp_path):
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.yaml", tmp_path / "bytes.yaml", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load(path)


# The JSON schema.


def test_the_committed_json_schema_is_current():
    assert (ROOT / schema.PATH).read_text(encoding="utf-8") == schema.text()


def test_the_settings_and_critical_cases_of_the_repository_are_valid(own_files):
    text = (own_files / "params.yaml").read_text(encoding="utf-8")
    parse(text)
    assert all((own_files / path).is_file() for path in re.findall(r"\$schema=(\S+)", text))
    critical_cases.load(own_files / "tests/critical")


@pytest.mark.parametrize("text", [OWN, SMALL, regression()])
def test_the_json_schema_accepts_valid_settings(text):
    document = json.loads(json.dumps(yaml.safe_load(text), default=str))
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.validate(document, json_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(("path", "value"), [("relase", 1), ("gates.seed", "7"), ("task", "x"), ("gates", MISSING)])
def test_the_json_schema_refuses_invalid_settings(path, value):
    document = json.loads(json.dumps(yaml.safe_load(changed(path, value)), default=str))
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(document)


def test_the_verb_checks_and_writes_the_schema(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["schema", "--check"]) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("Write it")
    assert main(["schema", "--write"]) == 0
    assert main(["schema", "--check"]) == 0
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == (tmp_path / schema.PATH).read_text() == schema.text()


def test_the_verb_checks_and_writes_the_tables_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "docs/params.md"
    page.parent.mkdir()
    page.write_text("<!-- keys of task -->\n<!-- end -->\n")
    (tmp_path / schema.PATH).write_text(schema.text())
    assert main(["schema", "--check"]) == 1
    assert main(["schema", "--write"]) == 0
    assert "`regression`" in page.read_text()
    assert main(["schema", "--check"]) == 0


def test_an_unquoted_date_is_refused() -> None:
    with pytest.raises(InputError, match="2026-99-99 is not text: put it in quotes"):
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
