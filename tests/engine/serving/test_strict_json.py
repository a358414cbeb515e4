"""JSON that is read strictly."""

import json

import pytest
from hypothesis import given

from serving.errors import RefusedError
from serving.strict_json import loads
from tests.engine.serving.samples import ANYTHING


@given(ANYTHING)
def test_what_json_writes_is_read_back(value):
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=True, indent=1).encode()) == value


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1,\n"b": }', "line 2, column 6"),
        (b"{} {}", "Extra data"),
        (b'{"a": NaN}', "NaN is no value"),
        (b"[Infinity]", "Infinity is no value"),
        (b"[-Infinity]", "-Infinity is no value"),
        (b'"\xff"', "not UTF-8 (byte 1)"),
        ('{"a": "é"}'.encode("utf-16"), "not UTF-8"),
        ('{"a": "é"}'.encode("latin-1"), "not UTF-8"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        (b'"\xed\xa0\x80"', "not UTF-8"),
        (b'{"a": 1, "a": 1}', "a key twice"),
        (b'{"a": 1, "\\u0061": 2}', "a key twice"),
        (b'[{"b": {"a": 1, "a": 2}}]', "a key twice"),
        (b'"a\nb"', "control character"),
        (b"[01]", "not JSON"),
        (b"[1.]", "not JSON"),
        (b"[+1]", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b"[1,]", "not JSON"),
        (b"9" * 5000, "too many digits"),
        pytest.param(b"[" * 200_000, "nested too deeply", id="deep-arrays"),
        pytest.param(b'{"a":' * 200_000, "nested too deeply", id="deep-objects"),
    ],
)
def test_what_readers_of_json_disagree_about_is_refused_in_one_line(raw, said):
    with pytest.raises(RefusedError, match=said.replace("(", r"\(").replace(")", r"\)")) as refused:
        loads(raw)
    assert refused.value.status == 400
    assert len(str(refused.value).splitlines()) == 1
    assert refused.value.__cause__ is None and not refused.value.faults
