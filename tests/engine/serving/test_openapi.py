"""The OpenAPI document."""

import json

import jsonschema  # type: ignore[import-untyped]
import openapi_spec_validator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving import app, openapi, responses, signature
from serving.fields import MAX_NUMBER, is_valid
from serving.times import PATTERN
from tests.engine.serving import samples
from tests.engine.serving.samples import FIELDS, GOOD


def document_of(path, **limits):
    return openapi.document(signature.load(path), samples.settings_of(path.parent, **limits))


def validator(document, schema):
    """Checks values against a schema of the document, whose references are to its components."""
    return jsonschema.Draft202012Validator({"components": document["components"], **schema})


@pytest.fixture(scope="module")
def read(logistic):
    return signature.load(logistic.signature)


@pytest.fixture(scope="module")
def document(logistic):
    return document_of(logistic.signature)


def test_it_is_valid_openapi_3_1(logistic, regression, tmp_path):
    samples.of(samples.document(logistic.signature, example=GOOD), tmp_path)
    for path in (logistic.signature, regression.signature, tmp_path / "signature.json"):
        document = document_of(path)
        assert document["openapi"] == "3.1.0"
        openapi_spec_validator.validate(document, cls=openapi_spec_validator.OpenAPIV31SpecValidator)
        assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_its_row_describes_the_signature(document):
    description = "a date, or a date and a time as in RFC 3339; without a zone it is UTC"
    time = {"type": "string", "pattern": f"^{PATTERN}$", "description": description}
    epoch = {"type": "number", "minimum": 1 - 2**40, "exclusiveMaximum": 2**40}
    missing = {"enum": [None, ""], "description": "missing"}
    sizes = {"type": "string", "enum": ["S", "M", "L"]}
    row = document["components"]["schemas"]["Row"]
    assert row == {
        "type": "object",
        "properties": {
            "ordered_at": {"anyOf": [time, {**epoch, "description": "seconds since 1970"}]},
            "price": {"type": "number", "minimum": 0, "maximum": 1000},
            "usual_price": {"anyOf": [{"type": "number", "minimum": 0, "maximum": MAX_NUMBER}, missing]},
            "items": {"type": "integer", "minimum": 1, "maximum": 50},
            "size": sizes,
            "usual_size": {"anyOf": [sizes, missing]},
            "shop": {"anyOf": [{"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}, missing]},
            "region": {"type": "string", "enum": ["north", "south"]},
            "gift": {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, missing]},
        },
        "required": row["required"],
        "additionalProperties": False,
    }
    assert sorted(row["required"]) == ["items", "ordered_at", "price", "region", "size"]


def test_whole_limits_have_no_fraction_and_others_are_exact(document):
    price = document["components"]["schemas"]["Row"]["properties"]["price"]
    assert (repr(price["minimum"]), repr(price["maximum"])) == ("0", "1000")
    field = signature.Field("a", "number", min=-0.25, max=2.5)
    assert openapi.field_schema(field) == {"type": "number", "minimum": -0.25, "maximum": 2.5}


def test_the_row_has_the_example_of_the_signature(logistic, tmp_path, document):
    assert "examples" not in document["components"]["schemas"]["Row"]
    samples.of(samples.document(logistic.signature, example=GOOD), tmp_path)
    with_example = document_of(tmp_path / "signature.json")
    row = with_example["components"]["schemas"]["Row"]
    assert row["examples"] == [GOOD]
    assert validator(with_example, row).is_valid(GOOD)


def in_python(schema):
    """Return a schema with patterns for Python, where a dollar also matches before a final newline."""
    if isinstance(schema, dict):
        return {
            key: value.removesuffix("$") + r"\Z" if key == "pattern" else in_python(value)
            for key, value in schema.items()
        }
    return list(map(in_python, schema)) if isinstance(schema, list) else schema


# Times, and texts that differ from one by a character.
_PARTS = [
    st.sampled_from(["2026-01-01", "2024-02-29", "2026-02-29", "2026-W01-1", "20260101", "0000-01-01", "2026-1-1"]),
    st.sampled_from(["", "T", "t", " ", "x", "  "]),
    st.sampled_from(
        ["", "00:00", "23:59:59", "23:59:60", "24:00", "0000", "00", "12:30:00.5", "12:30:00.", "12:30:00,5"]
    ),
    st.sampled_from(["", "Z", "z", "+01:00", "-23:59", "+24:00", "+0100", "+01", "+01:00:01", " Z", "\n"]),
]
NEARLY = st.tuples(*_PARTS).map("".join) | st.from_regex(PATTERN) | st.from_regex(PATTERN, fullmatch=True)


@settings(max_examples=400)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_a_value_fits_the_schema_if_and_only_if_it_is_valid(read, document, name, data):
    field = next(field for field in read.inputs if field.name == name)
    drawn = FIELDS[name] | samples.ANYTHING
    value = data.draw(NEARLY | drawn if field.type == "timestamp" else drawn)
    schema = validator(document, in_python(document["components"]["schemas"]["Row"]["properties"][name]))
    assert schema.is_valid(value) == is_valid(field, value)


def prediction_validator(document):
    return validator(document, {"$ref": "#/components/schemas/Prediction"})


def test_its_predictions_are_those_of_the_service(document, regression):
    decision = responses.Decision(0.75, True, 0.5, "0123456789ab", "a-1")
    value = responses.Value(-12.5, "0123456789ab", "a-1")
    for described, prediction, other in (
        (document, decision, value),
        (document_of(regression.signature), value, decision),
    ):
        assert prediction_validator(described).is_valid(json.loads(app._encode(prediction)))
        assert not prediction_validator(described).is_valid(json.loads(app._encode(other)))


def test_it_has_the_limits_of_the_settings(logistic):
    document = document_of(logistic.signature, release="abcdefabcdef", max_batch_rows=7, max_body_mb=0.5)
    batch = document["paths"]["/predict_batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert batch["maxItems"] == 7 and batch["items"] == {"$ref": "#/components/schemas/Row"}
    assert document["info"]["version"] == "abcdefabcdef"
    assert document["info"]["title"] == "orders: predictions of returned"
    assert all(limit in document["info"]["description"] for limit in ("64 KB", "0.5 MB", "5 s"))


def test_its_paths_are_those_of_the_service(document):
    assert document["paths"].keys() <= app.PATHS


def test_each_component_is_used(document):
    text = json.dumps(document)
    for kind, named in document["components"].items():
        for name in named:
            assert f'"#/components/{kind}/{name}"' in text


def test_a_sensitive_field_is_described(read):
    (region,) = (field for field in read.inputs if field.sensitive)
    assert openapi.field_schema(region) == {"type": "string", "enum": ["north", "south"]}


def test_a_prepared_field_is_marked(regression, tmp_path):
    content, made = samples.document(regression.signature), ("items", "ordered_at")
    inputs = [item | {"prepared": item["name"] in made} for item in content["inputs"]]
    samples.of(content | {"inputs": inputs}, tmp_path)
    document = document_of(tmp_path / "signature.json")
    properties = document["components"]["schemas"]["Row"]["properties"]
    assert [name for name, schema in properties.items() if schema.get("x-prepared")] == ["ordered_at", "items"]
    assert "features/prepare.py" in properties["items"]["description"]
    openapi_spec_validator.validate(document, cls=openapi_spec_validator.OpenAPIV31SpecValidator)
    before = document_of(regression.signature)["components"]["schemas"]["Row"]["properties"]
    assert all(properties[name] == before[name] for name in before if name not in made)
