"""Loading and scoring models/model.onnx."""

import hashlib
import json
import shutil

import onnx
import pytest

from serving.errors import CannotStartError
from serving.model import Model
from serving.rows import RowReader
from tests.engine.serving import samples
from tests.engine.serving.asgi import tiny


@pytest.fixture
def folder(logistic, tmp_path):
    """A copy of a model and its signature."""
    for path in (logistic.model, logistic.signature):
        shutil.copy(path, tmp_path)
    return tmp_path


def load_error(folder):
    with pytest.raises(CannotStartError) as caught:
        Model(folder)
    (line,) = str(caught.value).splitlines()
    assert len(line) < 600
    return line


def test_md5_is_that_of_the_file(folder):
    content = (folder / "model.onnx").read_bytes()
    assert Model(folder).md5 == hashlib.md5(content).hexdigest()


def test_a_batch_scores_as_the_pipelines_scorer_does(logistic, regression, boosting):
    for built in (logistic, regression, boosting):
        model = Model(built.model.parent)
        columns = [built.encoded[field.name].tolist() for field in model.signature.inputs]
        assert model.score(columns).tolist() == built.scorer().score(built.encoded).tolist()


def test_the_score_of_a_row_does_not_depend_on_the_row_before(logistic):
    model = Model(logistic.model.parent)
    read = RowReader(model.signature, 10).read_row
    empty = {**samples.GOOD, "usual_price": None, "usual_size": None, "shop": None, "gift": None}
    full = {**samples.GOOD, "usual_price": 3.5}
    first, second = (read(json.dumps(row).encode()) for row in (full, empty))
    scores = [model.score_row(row) for row in (first, second, first, second)]
    assert scores[:2] == scores[2:] and scores[0] != scores[1]


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b"junk" * 100]
)
def test_a_damaged_model_is_reported_in_one_line(folder, damage):
    path = folder / "model.onnx"
    path.write_bytes(damage(path.read_bytes()))
    assert f"{path} is not a readable model: " in load_error(folder)


def test_a_missing_file_is_reported_in_one_line(folder):
    (folder / "model.onnx").unlink()
    assert load_error(folder) == f"{folder / 'model.onnx'} cannot be read: No such file or directory"
    (folder / "model.onnx").mkdir()
    assert "model.onnx cannot be read: Is a directory" in load_error(folder)
    (folder / "signature.json").unlink()
    assert load_error(folder) == f"{folder / 'signature.json'} is missing"


def test_a_signature_of_another_model_is_refused(folder):
    path = folder / "signature.json"
    content = json.loads(path.read_text())
    lacks, other = content["inputs"][1:], json.loads(json.dumps(content["inputs"]))
    other[1]["type"] = "timestamp"
    for changes, words in (
        ({"inputs": lacks}, content["inputs"][0]["name"]),
        ({"inputs": [*content["inputs"], {"name": "colour", "type": "category"}]}, "colour"),
        ({"inputs": other}, "tensor(int64)"),
        ({"output": "value"}, "nvalid output name:value"),
    ):
        path.write_text(json.dumps({**content, **changes}))
        line = load_error(folder)
        assert "model.onnx does not fit its signature" in line and words in line


@pytest.mark.parametrize(
    ("formula", "a", "rows", "output"),
    [
        ("Concat<axis = 1>(a, a)", 1, 1, "its output is [[1.0, 1.0]]"),
        ("Squeeze(a)", 1, 1, "its output is 1.0"),
        ("ReduceSum(a)", 1, 2, "its output is [[2.0]]"),
        ("MatMul(a, a)", 1, 2, "MatMul"),
        ("Log(a)", 0, 1, "its output is [[-inf]]"),
        ("Log(a)", -1, 1, "its output is [[nan]]"),
    ],
)
def test_a_model_that_cannot_score_its_example_is_refused(tmp_path, formula, a, rows, output):
    line = load_error(tiny(tmp_path, formula, example={"a": a}))
    assert line.startswith(f"{tmp_path}/model.onnx does not fit its signature: scoring an example {rows} times: ")
    assert output in line


def test_an_example_with_an_unknown_field_is_refused(tmp_path):
    line = load_error(tiny(tmp_path, example={"a": 1, "b": 2}))
    assert "the example has b, which is not an input" in line


def test_an_example_that_was_rounded_beyond_its_range_is_not_scored(tmp_path):
    assert Model(tiny(tmp_path, example={"a": 1e39})).signature.example == {"a": 1e39}


def test_a_signature_may_have_no_example(tmp_path):
    assert Model(tiny(tmp_path, example={})).signature.example == {}


def test_the_order_of_the_graphs_inputs_does_not_matter(logistic, folder):
    graph = onnx.load(folder / "model.onnx")
    inputs = list(graph.graph.input)[::-1]
    del graph.graph.input[:]
    graph.graph.input.extend(inputs)
    onnx.save(graph, folder / "model.onnx")
    turned, straight = Model(folder), Model(logistic.model.parent)
    columns = [logistic.encoded[field.name].tolist() for field in straight.signature.inputs]
    assert turned.score(columns).tolist() == straight.score(columns).tolist()
