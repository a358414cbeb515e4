from pathlib import Path

import pytest

from pipelines.cli.errors import InputError
from pipelines.repository import dvc_lock

TEXT = """
schema: '2.0'
stages:
  split:
    cmd: python -m pipelines.training.split
    deps:
    - {path: data, hash: md5, md5: 0123.dir, size: 1, nfiles: 1}
    - {path: pipelines/tables/data.py, hash: md5, md5: aaaa, size: 1}
    outs:
    - {path: models/split.json, hash: md5, md5: bbbb, size: 1}
  export:
    deps:
    - {path: models/split.json, md5: bbbb}
    outs:
    - {path: models/model.onnx, md5: cccc}
    - {path: s3://elsewhere/file, etag: dddd}
"""
CONFLICT = "<<<<<<< HEAD\nschema: '2.0'\n=======\nschema: '2.0'\n>>>>>>> other\n"


def test_outputs_with_an_md5_are_returned() -> None:
    assert dvc_lock.outputs(TEXT) == {"models/split.json": "bbbb", "models/model.onnx": "cccc"}


def test_data_md5_is_that_of_the_dependency_data() -> None:
    assert dvc_lock.data_md5(TEXT) == "0123.dir"
    assert dvc_lock.data_md5("schema: '2.0'\nstages: {}\n") is None


@pytest.mark.parametrize("text", [None, "", "schema: '2.0'\n", "stages:\n"])
def test_a_lock_without_stages_has_no_outputs(text: str | None) -> None:
    assert dvc_lock.outputs(text) == {}
    assert dvc_lock.data_md5(text) is None


@pytest.mark.parametrize(
    "text",
    [
        CONFLICT,
        "a: [",
        "- a\n- b\n",
        "stages: [a]",
        "stages: {a: b}",
        "stages: {a: {outs: [b]}}",
        "stages: {a: {outs: [{md5: b}]}}",
        "stages: {a: {outs: }}",
        "stages: {a: {outs: [{path: b, md5: 2026-99-99}]}}",
        "just words",
    ],
)
def test_an_invalid_lock_is_refused_with_a_remedy(text: str) -> None:
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read") as error:
        dvc_lock.outputs(text)
    assert "git checkout" in error.value.remedy


def test_the_error_names_the_commit_of_the_lock() -> None:
    with pytest.raises(InputError, match=r"dvc\.lock of 0123abc cannot be read"):
        dvc_lock.outputs(CONFLICT, "dvc.lock of 0123abc")


def test_a_binary_lock_is_refused_and_a_missing_lock_is_none(tmp_path: Path) -> None:
    assert dvc_lock.read(tmp_path) is None
    (tmp_path / "dvc.lock").write_bytes(b"\xff\xfe\x00schema")
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read"):
        dvc_lock.read(tmp_path)
    (tmp_path / "dvc.lock").write_text(TEXT, encoding="utf-8")
    assert dvc_lock.read(tmp_path) == TEXT
