from __future__ import annotations

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


def test_outputs_are_named_with_their_md5_whatever_else_the_entry_holds() -> None:
    assert dvc_lock.outputs(TEXT) == {"models/split.json": "bbbb", "models/model.onnx": "cccc"}


def test_the_data_is_the_dependency_of_the_first_stage_that_reads_it() -> None:
    assert dvc_lock.data_md5(TEXT) == "0123.dir"
    assert dvc_lock.data_md5("schema: '2.0'\nstages: {}\n") is None


@pytest.mark.parametrize("text", [None, "", "schema: '2.0'\n", "stages:\n"])
def test_a_lock_without_stages_names_nothing(text: str | None) -> None:
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
def test_what_is_no_lock_is_refused_with_what_to_do(text: str) -> None:
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read") as error:
        dvc_lock.outputs(text)
    assert "git checkout" in error.value.remedy


def test_the_lock_of_another_commit_is_named_in_the_error() -> None:
    with pytest.raises(InputError, match=r"dvc\.lock of 0123abc cannot be read"):
        dvc_lock.outputs(CONFLICT, "dvc.lock of 0123abc")


def test_a_lock_that_is_no_text_is_refused_and_one_that_is_not_there_is_none(tmp_path: Path) -> None:
    assert dvc_lock.read(tmp_path) is None
    (tmp_path / "dvc.lock").write_bytes(b"\xff\xfe\x00schema")
    with pytest.raises(InputError, match=r"dvc\.lock cannot be read"):
        dvc_lock.read(tmp_path)
    (tmp_path / "dvc.lock").write_text(TEXT, encoding="utf-8")
    assert dvc_lock.read(tmp_path) == TEXT
