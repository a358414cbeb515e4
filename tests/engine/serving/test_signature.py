"""models/signature.json as the service reads it."""

import json

import pytest

from pipelines.model.signature import Input, load_signature
from serving import signature
from serving.errors import CannotStartError
from serving.signature import Field
from tests.engine.serving import samples


def test_it_equals_the_signature_that_the_pipelines_read(logistic, regression):
    for model in (logistic, regression):
        read, written = signature.load(model.signature), load_signature(model.signature)
        for field, item in zip(read.inputs, written.inputs, strict=True):
            assert all(getattr(field, name) == value for name, value in vars(item).items())
        assert (read.model_name, read.target, read.output) == (written.model_name, written.target, written.output)
        assert (read.classes, read.threshold) == (written.classes, written.threshold)
        assert read.document == json.loads(model.signature.read_text())


def test_expected_values_are_described_as_by_the_scorer_except_times(logistic):
    for field, item in zip(
        signature.load(logistic.signature).inputs, load_signature(logistic.signature).inputs, strict=True
    ):
        if field.type != "timestamp":
            assert field.expects() == item.expects()
    assert Field("a", "timestamp").expects() == "a time (as 2026-03-31T12:00:00Z, or seconds since 1970)"
    for limits in ({"min": 1}, {"max": 12_345_678}, {"min": 0.1, "max": 2, "nullable": True}):
        assert Field("a", "integer", **limits).expects() == Input("a", "integer", **limits).expects()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"text"', b"{}", b"\xff", b'{"task": []}', b'{"task": "ranking"}']
)
def test_a_broken_file_is_reported_in_one_line(tmp_path, content):
    path = tmp_path / "signature.json"
    path.write_bytes(content)
    with pytest.raises(CannotStartError, match=r"signature\.json is not a signature") as caught:
        signature.load(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "part", ["model_name", "target", "inputs", "output", "task", "classes", "threshold", "example"]
)
def test_a_missing_key_is_named(tmp_path, logistic, part):
    content = samples.document(logistic.signature)
    del content[part]
    with pytest.raises(CannotStartError, match=f"not a signature: .*{part}"):
        samples.of(content, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": 1},
        {"inputs": ["a"]},
        {"inputs": [[1]]},
        {"inputs": [{"name": "a"}]},
        {"inputs": [{"name": 1, "type": "number"}]},
        {"inputs": [{"name": "a", "type": "number"}] * 2},
        {"example": [1]},
        {"classes": None},
        {"threshold": None},
        {"threshold": "high"},
    ],
)
def test_an_invalid_value_is_reported_in_one_line(tmp_path, logistic, changes):
    with pytest.raises(CannotStartError, match="not a signature") as caught:
        samples.of(samples.document(logistic.signature, **changes), tmp_path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"type": "colour"},
        {"type": "identifier"},
        {"type": []},
        {"type": "timestamp", "nullable": True},
        {"colour": "red"},
        {"min": "low"},
        {"max": True},
        {"type": "category", "allowed": "SM"},
        {"type": "category", "allowed": [1]},
        {"type": "category", "allowed": []},
        {"type": "category", "allowed": ["S", ""]},
        {"allowed": ["S"]},
        {"nullable": "no"},
        {"name": 'quo"te'},  # msgspec cannot decode this name
        {"name": "back\\slash"},
        {"name": "line\nend"},
    ],
)
def test_an_invalid_input_is_reported_in_one_line(tmp_path, logistic, change):
    inputs = [{"name": "a", "type": "number", **change}]
    with pytest.raises(CannotStartError, match="not a signature") as caught:
        samples.of(samples.document(logistic.signature, inputs=inputs), tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_file_and_a_folder_are_reported(tmp_path):
    with pytest.raises(CannotStartError, match="signature.json is missing"):
        signature.load(tmp_path / "signature.json")
    with pytest.raises(CannotStartError, match="not a signature"):
        signature.load(tmp_path)
