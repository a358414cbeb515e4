"""The rows that the Evidently page is drawn from. Needs DVC; test_sabotage.py draws a page."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest

from pipelines.review import evidently_page
from tests.engine.review.made_up import params, table

PAGE, LISTING = Path("data.html"), "1" * 32 + ".dir"
ROWS = "2" * 32


@pytest.fixture
def cached(logistic, tmp_path, monkeypatch):
    """A repository with prepared/, and with the listing and rows of a base in DVC's cache."""
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)
    with Repo.init(no_scm=True) as repo:
        listing, rows = (Path(repo.cache.local.oid_to_path(md5)) for md5 in (LISTING, ROWS))
    for path in (Path("prepared/orders.parquet"), rows):
        path.parent.mkdir(parents=True)
        pq.write_table(table(logistic), path)
    listing.parent.mkdir(parents=True)
    listing.write_text(json.dumps([{"md5": ROWS, "relpath": "orders.parquet"}]))
    return listing, rows


def test_the_page_is_drawn_from_both_samples_without_sensitive_columns(cached, monkeypatch):
    draw = Mock(return_value="a page")
    monkeypatch.setattr(evidently_page, "_page", draw)
    assert evidently_page.write(PAGE, params(), "b" * 40, LISTING).startswith("data.html beside this report")
    current, reference, _, columns = draw.call_args.args
    assert "price" in columns
    assert "region" not in {*current.columns, *reference.columns, *columns}
    assert (len(current), len(reference), PAGE.read_text()) == (400, 400, "a page")


@pytest.mark.parametrize("gone", [0, 1], ids=["listing", "rows"])
def test_without_the_rows_of_the_base_the_outcome_is_why_there_is_no_page(cached, gone):
    cached[gone].unlink()
    assert evidently_page.write(PAGE, params(), "b" * 40, LISTING).startswith("no Evidently page: ")
    assert not PAGE.exists()
