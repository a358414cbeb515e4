"""Reading the artifact of a review: all but a small, valid report is refused, and nothing is unpacked to disk."""

import contextlib
import io
import json
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.cli.errors import Refused
from pipelines.publish import review_artifact

GOOD = {
    "reports/review/review.md": b"# fine",
    "reports/review/review.json": json.dumps({"verdict": "pass", "pull_request": 7}).encode(),
}


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def test_a_report_is_read_from_a_zip() -> None:
    review = review_artifact.read_zip(zipped(GOOD))
    assert (review.report, review.verdict, review.pull_request, review.generated) == ("# fine", "pass", 7, {})


def test_other_files_of_a_zip_are_ignored(tmp_path: Path) -> None:
    evil = {"../../evil.sh": b"boo", "/etc/evil": b"boo", "dvc.lock": b"boo", "reports/metrics.json": b"{}"}
    assert review_artifact.read_zip(zipped(GOOD | evil)).generated == {}
    assert not (tmp_path.parent.parent / "evil.sh").exists()


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = zipped(GOOD | {"reports/review/review.md": b"0" * 200_000_000})
    assert len(bomb) < review_artifact.LARGEST_ZIP
    with pytest.raises(Refused, match="200,000,000 bytes"):
        review_artifact.read_zip(bomb)


def test_a_zip_bomb_with_a_wrong_size_is_refused_before_it_is_unpacked() -> None:
    content = zipped(GOOD | {"reports/review/review.md": b"0" * 100_000_000})
    lying = content.replace((100_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != content
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="not a readable zip: Bad CRC-32"):
            review_artifact.read_zip(lying)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'{"verdict": "maybe"}',
        b'{"verdict": "pass", "pull_request": "7; rm -rf /"}',
        b'{"verdict": "pass", "pull_request": -1}',
        b'{"verdict": "pass", "pull_request": true}',
        b"\xff\xfe",
        pytest.param(b"[" * 100_000, id="nested too deeply"),
    ],
)
def test_an_invalid_review_json_is_refused(document: bytes) -> None:
    with pytest.raises(Refused):
        review_artifact.read_zip(zipped(GOOD | {"reports/review/review.json": document}))


def test_a_report_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(Refused):
        review_artifact.read_zip(zipped(GOOD | {"reports/review/review.md": b"\xff\xfe\x00"}))


@given(st.binary(max_size=400))
def test_random_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(Refused):
        review_artifact.read_zip(content)


@given(st.integers(0, len(zipped(GOOD)) - 1), st.integers(0, 255))
def test_a_damaged_zip_is_read_or_refused(position: int, byte: int) -> None:
    content = bytearray(zipped(GOOD))
    content[position] = byte
    with contextlib.suppress(Refused):
        review_artifact.read_zip(bytes(content))


def test_a_zip_with_damaged_data_is_refused() -> None:
    content = bytearray(zipped(GOOD))
    content[30 + len(review_artifact.REPORT)] = 0xFF  # the first byte after the first local header
    with pytest.raises(Refused, match="not a readable zip: Error -3"):
        review_artifact.read_zip(bytes(content))


@pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compression_that_zipfile_unpacks_without_a_limit_is_refused(compression: int) -> None:
    with pytest.raises(Refused, match=f"review.md is compressed by method {compression}"):
        review_artifact.read_zip(zipped(GOOD, compression))


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_only_generated_files_are_read_from_a_folder(tmp_path: Path) -> None:
    more = {
        "dvc.lock": b"l",
        "reports/metrics.json": b"m",
        "reports/README.md": b"r",
        "reports/review/review.html": b"h",
        "models/model.onnx": b"x",
        "params.yaml": b"p",
        ".github/workflows/evil.yml": b"e",
    }
    review = review_artifact.read_folder(write(tmp_path, GOOD | more))
    assert set(review.generated) == {"dvc.lock", "reports/metrics.json"}


def test_a_link_in_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "dvc.lock").symlink_to("/etc/passwd")
    with pytest.raises(Refused, match="not a regular file"):
        review_artifact.read_folder(tmp_path)


def test_a_folder_without_a_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no report"):
        review_artifact.read_folder(write(tmp_path, {"dvc.lock": b"l"}))


def test_files_that_are_too_large_together_are_refused(tmp_path: Path) -> None:
    many = {f"reports/{number}.json": b"0" * review_artifact.LARGEST_FILE for number in range(5)}
    assert len(review_artifact.read_folder(write(tmp_path, GOOD | dict(list(many.items())[:4]))).generated) == 4
    with pytest.raises(Refused, match="more than 10,000,000 bytes"):
        review_artifact.read_folder(write(tmp_path, many))
