"""Loading and scoring models/model.onnx."""

import hashlib
import json
import shutil

import onnx
import pytest

from serving.errors import CannotStartError
from serving.model import Model
from serving.rows import Rows
from tests.engine.serving import samples
from tests.engine.serving.asgi import tiny


@pytest.fixture
def folder(logistic, tmp_path):
    """A copy of a model and its signature."""
    for path in (logistic.model, logistic.signature):
        shutil.copy(path, tmp_path)
    return tmp_path


def fault(folder):
    with pytest.raises(CannotStartError) as caught:
        Model(folder)
    (line,) = str(caught.value).splitlines()
    assert len(line) < 600
    return line


def test_the_name_of_a_model_is_its_md5(folder):
    content = (folder / "model.onnx").read_bytes()
    assert Model(folder).md5 == hashlib.md5(content).hexdigest()


def test_a_batch_scores_as_the_pipelines_scorer_does(logistic, regression, boosting):
    for built in (logistic, regression, boosting):
        model = Model(built.model.parent)
        columns = [built.encoded[field.name].tolist() for field in model.signature.fields]
        assert model.score(columns).tolist() == built.scorer().score(built.encoded).tolist()


def test_a_row_leaves_nothing_behind_for_the_next_one(logistic):
    model = Model(logistic.model.parent)
    read = Rows(model.signature, 10).one
    empty = {**samples.GOOD, "usual_price": None, "usual_size": None, "shop": None, "gift": None}
    full = {**samples.GOOD, "usual_price": 3.5}
    first, second = (read(json.dumps(row).encode()) for row in (full, empty))
    scores = [model.score_row(row) for row in (first, second, first, second)]
    assert scores[:2] == scores[2:] and scores[0] != scores[1]


@pytest.mark.parametrize(
    "damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-1], lambda b: b"junk" * 100]
)
def test_a_damaged_model_is_told_in_one_line(folder, damage):
    path = folder / "model.onnx"
    path.write_bytes(damage(path.read_bytes()))
    assert f"{path} is not a readable model: " in fault(folder)


def test_a_file_that_is_not_there_is_told_in_one_line(folder):
    (folder / "model.onnx").unlink()
    assert fault(folder) == f"{folder / 'model.onnx'} cannot be read: No such file or directory"
    (folder / "model.onnx").mkdir()
    assert "model.onnx cannot be read: Is a directory" in fault(folder)
    (folder / "signature.json").unlink()
    assert fault(folder) == f"{folder / 'signature.json'} is missing"


def test_a_model_and_a_signature_of_another_one_are_not_paired(folder):
    path = folder / "signature.json"
    content = json.loads(path.read_text())
    lacks, other = content["inputs"][1:], json.loads(json.dumps(content["inputs"]))
    other[1]["type"] = "timestamp"
    for changes, said in (
        ({"inputs": lacks}, f"the graph alone has {content['inputs'][0]['name']}: "),
        ({"inputs": [*content["inputs"], {"name": "colour", "type": "category"}]}, "alone colour: tensor(string)"),
        ({"inputs": other}, f"the signature alone {other[1]['name']}: tensor(int64)"),
        ({"output": "value"}, "the graph gives probability, the signature names value"),
    ):
        path.write_text(json.dumps({**content, **changes}))
        line = fault(folder)
        assert "model.onnx and its signature do not belong together" in line and said in line


@pytest.mark.parametrize(
    ("formula", "a", "times", "said"),
    [
        ("Concat<axis = 1>(a, a)", 1, 1, "the answer has the shape (1, 2), not (1, 1)"),
        ("Squeeze(a)", 1, 1, "the answer has the shape (), not (1, 1)"),
        ("ReduceSum(a)", 1, 2, "the answer has the shape (1, 1), not (2, 1)"),
        ("MatMul(a, a)", 1, 2, "MatMul"),
        ("Log(a)", 0, 1, "the answer is not finite"),
        ("Log(a)", -1, 1, "the answer is not finite"),
    ],
)
def test_a_model_that_does_not_answer_its_example_is_told_in_one_line(tmp_path, formula, a, times, said):
    line = fault(tiny(tmp_path, formula, example={"a": a}))
    assert line.startswith(f"{tmp_path}/model.onnx does not answer the example of its signature {times} times: ")
    assert said in line


def test_an_example_with_another_field_is_told_in_one_line(tmp_path):
    line = fault(tiny(tmp_path, example={"a": 1, "b": 2}))
    assert line == f"{tmp_path}/signature.json has an example with b, which is no field"


def test_an_example_that_was_rounded_past_a_bound_is_not_asked(tmp_path):
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
    columns = [logistic.encoded[field.name].tolist() for field in straight.signature.fields]
    assert turned.score(columns).tolist() == straight.score(columns).tolist()
