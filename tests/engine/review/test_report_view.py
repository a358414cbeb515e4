import html
import re
from dataclasses import replace

import pytest

from pipelines.config.selection import Value
from pipelines.review import report
from pipelines.review.findings import GateResult, MetricRow, ParamChange
from tests.engine.review import samples


@pytest.mark.parametrize(
    ("delta", "low", "high", "sentence"),
    [
        (-1240.0, -2100.0, -300.0, "Saves 1,240 EUR per 10,000 payments (95 % CI 300 to 2,100)."),
        (620.0, 100.0, 1300.0, "Costs 620 EUR more per 10,000 payments (95 % CI 100 to 1,300)."),
        (620.0, -100.0, 1300.0, "not clear: the cost changes by +620 EUR per 10,000 payments (95 % CI −100 to +1,300)"),
        (0.0, 0.0, 0.0, "It costs what the base costs: 8,000 EUR per 10,000 payments."),
        (620.0, None, None, "It costs 8,620 EUR per 10,000 payments, the base 8,000."),
    ],
)
def test_the_first_screen_says_what_a_change_is_worth(delta, low, high, sentence) -> None:
    row = MetricRow("cost", 8000.0, 8000.0 + delta, delta, low, high, lower_is_better=True)
    value = Value(unit="EUR", rows="payments", false_positive=2.5, false_negative="amount")
    findings = replace(samples.passing(), metrics=(*samples.metrics(), row), value=value)
    assert sentence in report.markdown(findings).split("###")[0].replace("\\", "")
    assert sentence in html.unescape(report.page(findings))


@pytest.mark.parametrize(("base", "shown"), [("forest", True), ("boosting", False), (None, False)])
def test_the_first_screen_says_that_another_candidate_wins(base, shown) -> None:
    findings = replace(samples.passing(), base_winner=base)
    for text in (report.markdown(findings).split("###")[0], report.page(findings)):
        assert ("Another candidate wins: boosting" in text) is shown
    assert findings.to_json()["base_winner"] == base


def test_the_first_line_names_settings_that_decide_what_is_judged() -> None:
    changes = (
        ParamChange("split.test_days", "25", "3"),
        ParamChange("schema.columns.new_one.type", None, '"number"'),
        ParamChange("candidates.boosting.params.max_iter", "120", "130"),
    )
    findings = replace(samples.passing(), params=changes)
    assert findings.remarks == ("changes which rows, values or decisions are judged: split.test_days",)
    heading = next(line for line in report.markdown(findings).splitlines() if line.startswith("## "))
    assert "✅" not in heading and "split.test" in heading.replace("\\", "")


@pytest.mark.parametrize(
    ("low", "blocks", "sentence"),
    [
        (-0.009, True, "It passes because the whole interval is within the tolerance of 0.0200."),
        (-0.03, False, "It passes because the gate that judges this difference does not block."),
        (-0.03, True, ""),
    ],
)
def test_a_report_says_why_a_worse_model_passes(low, blocks, sentence) -> None:
    row = MetricRow("average_precision", 0.76, 0.755, -0.005, low, -0.001, lower_is_better=False)
    within = low > -0.02
    gate = GateResult("regression average_precision", within, low, -0.02, "", group="regression", blocks=blocks)
    findings = replace(samples.passing(), metrics=(row,), gates=(gate,))
    for text in (report.markdown(findings).split("###")[0], report.page(findings)):
        assert sentence in text and ("It passes because" in text) is bool(sentence)
    unjudged = replace(findings, gates=())
    assert "no gate judges this difference" in report.page(unjudged)


def test_a_data_error_is_described_once() -> None:
    findings = samples.data_errors()
    for text in (report.markdown(findings).replace("\\", ""), html.unescape(report.page(findings))):
        assert [text.count(error.why) for error in findings.data_errors] == [1] * len(findings.data_errors)
    assert all(gate["why"] for gate in findings.to_json()["gates"])


@pytest.mark.parametrize("make", [samples.passing, samples.failing, samples.regression])
def test_the_numbers_of_a_column_have_equally_many_decimals(make) -> None:
    """Rows of the table of metrics, and of gates, are of different units."""
    tables = re.findall(r"(?:^\|.*\n)+", report.markdown(make()), re.MULTILINE)
    checked = 0
    for table in tables:
        header, _, *rows = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines())
        if header[0] in ("metric", "gate"):
            continue
        for cells in zip(*rows, strict=True):
            numbers = [re.fullmatch(r"[+−]?[\d,]+(\.\d+)?(?: %)?", cell) for cell in cells]
            places = {len(match.group(1) or "") for match in numbers if match}
            assert len(places) <= 1, cells
            checked += len(places)
    assert checked >= 5


def test_the_numbers_of_a_metric_have_equally_many_decimals() -> None:
    row = MetricRow("calibration_error", 0.0007838, 0.0049704, 0.0041866, 0.002924, 0.004852, lower_is_better=True)
    findings = replace(samples.passing(), metrics=(row,))
    assert "| 0.000784 | 0.004970 | +0.004187 | +0.002924 to +0.004852 | worse |" in report.markdown(findings)
    page = report.page(findings)
    assert page.count("0.004970") == 2 and page.count("0.000784") == 2 and "0.0049704" not in page


def test_a_candidate_is_described_in_one_cell_so_that_all_columns_fit_the_page() -> None:
    page = html.unescape(report.page(samples.failing()))
    (row,) = re.findall(r'<tr><th scope="row">boosting .*</tr>', page)
    cell, _, rest = row.partition("</th>")
    assert "(chosen)" in cell and "changed: learning_rate 0.1 → 0.06" in cell and "learning_rate" not in rest
    (head,) = re.findall(r"<thead>.*?Candidate</th>.*?</thead>", page)
    assert head.count("<th ") == row.count("<td ") + 1
