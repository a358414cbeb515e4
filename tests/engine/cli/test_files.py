import csv
import json
import math
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli import files
from pipelines.cli.errors import Unreachable


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_with_its_folder_and_readable_by_others(tmp_path):
    path = tmp_path / "new" / "deep" / "file.txt"
    files.write_text(path, "grün\n")
    assert path.read_bytes() == "grün\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    files.write_bytes(path, b"other")
    assert path.read_bytes() == b"other" and names(path.parent) == ["file.txt"]


def test_a_reader_sees_the_old_or_the_new_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")
    seen = []
    replace = Path.replace

    def read_before(self, target):
        seen.append((path.read_text(), Path(self).read_text(), path.parent in Path(self).parents))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", read_before)
    files.write_text(path, "new")
    assert seen == [("old", "new", True)] and path.read_text() == "new"


def test_a_full_disk_leaves_only_the_old_file(tmp_path, small_disk):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")
    with small_disk(1000), pytest.raises(Unreachable, match="cannot be written") as caught:
        files.write_text(path, "x" * 100_000)
    assert "disk" in caught.value.remedy and caught.value.code == 3
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]


def test_a_disk_that_is_full_at_fsync_leaves_only_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def full(_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unreachable, match="No space left on device"):
        files.write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]


def test_an_interruption_leaves_only_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("name", ["folder", "file/below", "n" * 300])
def test_the_error_names_a_path_that_cannot_be_written(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(Unreachable, match="cannot be written"):
        files.write_text(tmp_path / name, "x")
    assert names(tmp_path) == ["file", "folder"]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_keeps_six_digits(value):
    result = files.rounded(value)
    assert result == pytest.approx(value, rel=5e-6, abs=5e-324)
    assert files.rounded(result) == result
    assert len(f"{abs(result):e}".split("e")[0].replace(".", "").rstrip("0")) <= 6 or result == float(f"{value:.6g}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (0.1 + 0.2, 0.3),
        (1234567.0, 1234570.0),
        (1234567, 1234567),
        (True, True),
        (None, None),
        ("0.1234567", "0.1234567"),
        ((1.00000001, [2.0]), [1.0, [2.0]]),
        ({1: {"a": math.nan}}, {"1": {"a": None}}),
        (np.float32(0.1), 0.1),
        (np.float64(math.nan), None),
        (np.int64(2**53 + 1), 2**53 + 1),
        (np.bool_(True), True),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([0.12345678, math.inf]), [0.123457, None]),
        (np.str_("a"), "a"),
    ],
)
def test_nested_numbers_are_rounded(value, expected):
    result = files.rounded(value)
    assert result == expected and type(result) in (type(expected), np.str_)


def test_json_is_sorted_rounded_and_ends_with_a_line_break(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"b": 1 / 3, "a": [math.nan, np.int64(3)], "c": {"z": 1, "y": "ü"}})
    text = path.read_text()
    assert json.loads(text) == {"a": [None, 3], "b": 0.333333, "c": {"y": "ü", "z": 1}}
    assert text.index('"a"') < text.index('"b"') < text.index('"y"') < text.index('"z"') and text.endswith("}\n")
    assert "NaN" not in text


@given(st.dictionaries(st.text(max_size=3), st.recursive(st.floats() | st.text(), st.lists, max_leaves=5), max_size=5))
def test_rounding_twice_equals_rounding_once(document):
    once = json.dumps(files.rounded(document), sort_keys=True, allow_nan=False)
    assert json.dumps(files.rounded(json.loads(once)), sort_keys=True) == once


def test_csv_has_a_header_plain_lines_and_rounded_numbers(tmp_path):
    path = tmp_path / "a.csv"
    files.write_csv(path, ["x", "name"], [(1 / 3, 'a "b", c'), (math.nan, "d"), (np.float32(0.1), "ü")])
    assert b"\r" not in path.read_bytes()
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["x", "name"], ["0.333333", 'a "b", c'], ["", "d"], ["0.1", "ü"]]
