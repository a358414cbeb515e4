"""Where the base's rows are found."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from pipelines.cli.progress import Progress
from pipelines.repository import dvc_lock, git
from pipelines.repository.base_model import Base
from pipelines.review import base_rows


def digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


ROWS = b"rows"
LISTED = json.dumps([{"md5": digest(ROWS), "relpath": "a.parquet"}])
LISTING = digest(LISTED.encode()) + ".dir"
LOCK = "stages: {{split: {{deps: [{{path: data, md5: {md5}}}]}}}}\n"
BASE = Base("b" * 40, Path("base"), "cache", "2" * 32, "2" * 32)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A function that puts the base's rows into DVC's cache; the head has other rows."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    with Repo.init(no_scm=True) as repo:
        path_of = repo.cache.local.oid_to_path
    dvc_lock.PATH.write_text(LOCK.format(md5="3" * 32 + ".dir"))
    monkeypatch.setattr(git, "text_at", lambda *_: LOCK.format(md5=LISTING))

    def put() -> Path:
        listing, rows = Path(path_of(LISTING)), Path(path_of(digest(ROWS)))
        for path in (listing, rows):
            path.parent.mkdir(parents=True, exist_ok=True)
        rows.write_bytes(ROWS)
        listing.write_text(LISTED)
        return rows

    return put


def fetch():
    return base_rows.fetch(BASE, Progress())


def test_rows_of_the_head_are_not_fetched_again(cache):
    dvc_lock.PATH.write_text(LOCK.format(md5=LISTING))
    assert fetch() == base_rows.BaseRows(unchanged=True, prepared_alike=True)


def test_prepared_rows_are_fetched_where_the_base_has_some(cache, monkeypatch):
    prepared = "stages: {{prepare: {{deps: [{{path: data, md5: {}}}], outs: [{{path: prepared, md5: {}}}]}}}}\n"
    raw, other = "4" * 32 + ".dir", "5" * 32 + ".dir"
    monkeypatch.setattr(git, "text_at", lambda *_: prepared.format(raw, LISTING))
    dvc_lock.PATH.write_text(prepared.format(raw, LISTING))
    assert fetch() == base_rows.BaseRows(unchanged=True, prepared_alike=True)
    dvc_lock.PATH.write_text(prepared.format(raw, other))
    rows = cache()
    assert fetch() == base_rows.BaseRows(unchanged=True, files=(rows,))
    dvc_lock.PATH.write_text(prepared.format(other, other))
    assert fetch() == base_rows.BaseRows(files=(rows,))


def test_rows_are_read_from_the_cache_if_they_are_undamaged(cache):
    rows = cache()
    assert fetch().files == (rows,)
    rows.write_bytes(b"truncated")
    assert fetch().files == () and "not in DVC's cache" in fetch().why_not


def test_rows_that_are_not_in_the_cache_are_fetched_from_the_remote(cache):
    rows = cache()
    Path(".dvc/config.local").write_text("[core]\n    remote = far\n['remote \"far\"']\n    url = ../far\n")
    shutil.copytree(".dvc/cache", "far")
    shutil.rmtree(".dvc/cache")
    assert fetch().files == (rows,) and rows.read_bytes() == ROWS
    shutil.rmtree(".dvc/cache")
    shutil.rmtree("far")
    assert fetch().files == () and "not in the remote far" in fetch().why_not


def test_a_remote_that_fails_is_named(cache):
    Path(".dvc/config.local").write_text("[core]\n    remote = far\n['remote \"far\"']\n    url = s3://bucket/there\n"
                                   "    endpointurl = http://127.0.0.1:9\n")  # fmt: skip
    assert "in DVC's cache, and the remote cannot be read: " in fetch().why_not


def test_a_base_without_rows_in_its_lock_is_told(cache, monkeypatch):
    monkeypatch.setattr(git, "text_at", lambda *_: None)
    assert "names no data/" in fetch().why_not
