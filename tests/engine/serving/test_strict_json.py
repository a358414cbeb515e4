"""Reading JSON strictly."""

import json

import pytest
from hypothesis import given

from serving.errors import RequestError
from serving.strict_json import loads
from tests.engine.serving.samples import ANYTHING


@given(ANYTHING)
def test_what_json_writes_is_read(value):
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=True, indent=1).encode()) == value


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"{", "line 1, column 2"),
        (b'{"a": 1,\n"b": }', "line 2, column 6"),
        (b"{} {}", "Extra data"),
        (b'{"a": NaN}', "NaN is not a JSON value"),
        (b"[Infinity]", "Infinity is not a JSON value"),
        (b"[-Infinity]", "-Infinity is not a JSON value"),
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
def test_json_that_parsers_read_differently_is_refused_in_one_line(raw, words):
    with pytest.raises(RequestError, match=words.replace("(", r"\(").replace(")", r"\)")) as caught:
        loads(raw)
    assert caught.value.status == 400
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.__cause__ is None and not caught.value.errors
