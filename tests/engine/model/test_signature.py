"""signature.json and model.onnx as files: a damaged one, or two that do not belong together, are input errors."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from pipelines.cli.errors import InputError
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Input, Signature, load_signature


def test_a_signature_survives_a_round_trip_through_json(logistic, regression, tmp_path):
    for model in (logistic, regression):
        signature = load_signature(model.signature)
        assert Signature.from_json(json.loads(json.dumps(signature.to_json()))) == signature
    prepared = dataclasses.replace(signature, inputs=(Input("count_1h", "integer", prepared=True), *signature.inputs))
    assert Signature.from_json(prepared.to_json()) == prepared
    by_hash = dataclasses.replace(signature, trained_until=None, split={"by": "hash", "salt": "a"})
    assert Signature.from_json(by_hash.to_json()) == by_hash


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"inputs": 1}',
        '{"inputs": ["a"]}',
        '{"inputs": [{"name": "a"}]}',
        b"\xff",
    ],
)
def test_a_broken_signature_is_an_input_error(tmp_path, logistic, content):
    path = tmp_path / "signature.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match="not a signature"):
        Scorer(logistic.model, path)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "colour"},
        {"type": "identifier"},
        {"type": "timestamp", "nullable": True},
        {"colour": "red"},
        {"min": "low"},
        {"allowed": "S"},
    ],
)
def test_an_invalid_input_of_a_signature_is_an_input_error(tmp_path, logistic, change):
    document = json.loads(logistic.signature.read_text())
    document["inputs"][1] |= change
    path = tmp_path / "signature.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="not a signature"):
        Scorer(logistic.model, path)


def test_a_missing_file_is_an_input_error(tmp_path, logistic):
    for model, signature in (
        (tmp_path / "model.onnx", logistic.signature),
        (logistic.model, tmp_path / "signature.json"),
        (tmp_path, logistic.signature),
        (logistic.model, tmp_path),
    ):
        with pytest.raises(InputError) as caught:
            Scorer(model, signature)
        assert str(tmp_path) in str(caught.value) and caught.value.remedy


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b"junk" * 100])
def test_a_damaged_model_is_an_input_error(tmp_path, logistic, damage):
    path = tmp_path / "model.onnx"
    path.write_bytes(damage(logistic.model.read_bytes()))
    with pytest.raises(InputError, match="model"):
        Scorer(path, logistic.signature)


def test_a_model_with_the_signature_of_another_one_is_refused(tmp_path, logistic):
    signature = load_signature(logistic.signature)
    for other in (
        dataclasses.replace(signature, inputs=signature.inputs[1:]),
        dataclasses.replace(signature, output="value"),
        dataclasses.replace(
            signature,
            inputs=tuple(dataclasses.replace(i, type="number") if i.name == "shop" else i for i in signature.inputs),
        ),
    ):
        with pytest.raises(InputError, match="do not belong together"):
            Scorer(logistic.model, other)


def test_the_order_of_the_graphs_inputs_does_not_matter(tmp_path, logistic):
    graph = onnx.load(logistic.model)
    inputs = list(graph.graph.input)[::-1]
    del graph.graph.input[:]
    graph.graph.input.extend(inputs)
    onnx.save(graph, tmp_path / "model.onnx")
    reordered = Scorer(tmp_path / "model.onnx", logistic.signature)
    np.testing.assert_array_equal(reordered.score(logistic.encoded), logistic.scorer().score(logistic.encoded))


def test_the_expected_values_of_an_input_are_described_in_words():
    assert Input("a", "number", min=0, max=2).expects() == "a number from 0 to 2"
    assert Input("a", "integer", min=1).expects() == "a whole number from 1"
    assert Input("a", "integer", max=12_345_678).expects() == "a whole number up to 12345678"
    assert Input("a", "category", allowed=("x", "y"), nullable=True).expects() == "one of x, y or nothing"
    assert Input("a", "boolean").expects() == "true or false"
