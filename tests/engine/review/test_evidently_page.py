"""The rows that the Evidently page is drawn from; test_sabotage.py draws a page."""

from pathlib import Path
from unittest.mock import Mock

import pyarrow.parquet as pq
import pytest

from pipelines.review import evidently_page
from pipelines.review.base_rows import BaseRows
from tests.engine.review.made_up import params, table

PAGE = Path("data.html")


@pytest.fixture
def rows_of_base(logistic, tmp_path, monkeypatch):
    """A folder with prepared/ and the rows of a base."""
    monkeypatch.chdir(tmp_path)
    for path in (Path("prepared/orders.parquet"), Path("base/orders.parquet")):
        path.parent.mkdir()
        pq.write_table(table(logistic), path)
    return BaseRows(files=(Path("base/orders.parquet"),))


def test_the_page_is_drawn_from_both_samples_without_sensitive_columns(rows_of_base, monkeypatch):
    draw = Mock(return_value="a page")
    monkeypatch.setattr(evidently_page, "_page", draw)
    assert evidently_page.draw_page(PAGE, params(), rows_of_base).startswith("data.html beside this report")
    current, reference, _, columns = draw.call_args.args
    assert "price" in columns
    assert "region" not in {*current.columns, *reference.columns, *columns}
    assert (len(current), len(reference), PAGE.read_text()) == (400, 400, "a page")


def test_without_the_rows_of_the_base_the_outcome_is_why_there_is_no_page():
    outcome = evidently_page.draw_page(PAGE, params(), BaseRows(why_not="the rows are in no cache"))
    assert outcome == "no Evidently page: the rows are in no cache"
