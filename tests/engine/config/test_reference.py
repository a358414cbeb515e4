"""docs/params.md lists every key of params.yaml, with what it means."""

import re

import pytest

from pipelines.config.metrics import METRICS
from pipelines.config.params import json_schema
from pipelines.config.reference import fill
from tests.engine.fixtures_repo import ROOT

PAGE = (ROOT / "docs/params.md").read_text(encoding="utf-8")


def test_the_page_has_the_tables_of_the_typed_configuration():
    assert fill(PAGE) == PAGE


def test_the_page_has_a_table_of_each_section():
    marked = re.findall(r"<!-- keys of (\S+) -->", PAGE)
    assert sorted(marked) == sorted(json_schema()["properties"])


def test_every_key_has_a_meaning():
    rows = re.findall(r"^(\| `.*? \|)\s*\|$", PAGE, re.MULTILINE)
    assert rows == []
    described = [key for body in json_schema()["$defs"].values() for key in body["properties"].values()]
    assert all(key.get("description") for key in described)


def test_an_outdated_table_is_written_again_and_the_prose_stays():
    outdated = "# Mine\n<!-- keys of retention -->\n| old |\n<!-- end -->\nprose\n"
    page = fill(outdated)
    assert page.startswith("# Mine\n<!-- keys of retention -->\n| key |") and page.endswith("<!-- end -->\nprose\n")
    assert "| `keep_last` | whole number ≥ 1 | required |" in page


@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("ingest", '| `separator` (files) | text | `","` |'),
        ("ingest", "| `rename` (files, sql) |"),
        ("schema", "| `columns.NAME.known` | `after` or null | `null` |"),
        ("slices", "| `by.NAME.from` | number or null |"),
        ("candidates", "| `candidates.NAME.before[].estimator` | text | required |"),
        ("selection", "| `metric` | metric | required |"),
        ("rollout", "| `limits.errors` | number > 0, < 1 | `0.02` |"),
    ],
)
def test_a_row_has_path_type_and_default(section, row):
    assert row in fill(f"<!-- keys of {section} -->\n<!-- end -->")


def test_every_metric_has_a_row_with_its_direction():
    page = fill("<!-- metrics -->\n| old |\n<!-- end -->")
    assert "| `log_loss` | log loss | classification | lower | — |" in page and "old" not in page
    assert "| `roc_auc` | ROC AUC | classification | higher | 0.5 |" in page
    assert page.count("\n| `") == len(METRICS)


def test_a_meaning_stands_in_the_json_schema_too():
    keep = json_schema()["$defs"]["Retention"]
    assert "newest versions" in keep["properties"]["keep_last"]["description"]
    assert "Attributes" not in keep["description"]
