"""Which gates are evaluated, which of their results block, and how many gates every output counts."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from pipelines.cli.progress import Progress
from pipelines.review import flow, report
from pipelines.review.findings import DataError, GateResult, counted, summary
from pipelines.review.gates import GATES, Gate, evaluate
from pipelines.review.gates.checks import comparable_gate, validation_gate
from tests.engine.review import samples
from tests.engine.review.made_up import evidence


def failing_gate(**options) -> Gate:
    return Gate("tests", lambda _: [GateResult("a gate", False, 1.0, 2.0, "too low")], **options)


def test_a_result_gets_the_group_of_its_gate():
    (result,) = evaluate(evidence(), [failing_gate()])
    assert (result.group, result.name, result.passed, result.blocks) == ("tests", "a gate", False, True)


def test_a_gate_that_needs_a_base_is_skipped_without_one():
    gates = [failing_gate(needs_base=True), failing_gate()]
    assert len(evaluate(evidence(), gates)) == 2
    assert len(evaluate(evidence(base=None), gates)) == 1


def test_only_gates_that_block_in_a_restore_block_there():
    gates = [failing_gate(), failing_gate(blocks_in_restore=True)]
    assert [result.blocks for result in evaluate(evidence(kind="restore"), gates)] == [False, True]
    assert [result.blocks for result in evaluate(evidence(kind="new model"), gates)] == [True, True]


def test_a_result_that_does_not_block_does_not_begin_to():
    shown = Gate("tests", lambda _: [GateResult("a gate", False, None, None, "", blocks=False)], blocks_in_restore=True)
    assert [evaluate(evidence(kind=kind), [shown])[0].blocks for kind in ("comparison", "restore")] == [False, False]


def test_only_the_validation_is_evaluated_where_rows_have_errors():
    errors = (DataError("price", "range", "3 rows are below the minimum of 0"), DataError("size", "missing", "gone"))
    results = evaluate(evidence(data_errors=errors, head=None, base=None), GATES)
    assert [(result.name, result.passed, result.group, result.blocks) for result in results] == [
        ("validation price: range", False, "validation", True),
        ("validation size: missing", False, "validation", True),
    ]
    assert [result.passed for result in validation_gate(evidence())] == [True]


def test_a_head_is_not_comparable_for_the_reason_that_was_found_or_without_rows():
    (result,) = comparable_gate(evidence(not_comparable="not comparable: column price"))
    assert (result.passed, result.why) == (False, "not comparable: column price")
    (result,) = comparable_gate(evidence(rows=0))
    assert not result.passed and "trained on every test row" in result.why
    (result,) = comparable_gate(evidence(rows=100))
    assert result.passed and "100 test rows" in result.why
    assert comparable_gate(evidence(kind="new model", base=None)) == []


@pytest.mark.parametrize(
    ("setting", "kind", "blocks", "warns"),
    [
        ("block", "comparison", True, False),
        ("warn", "comparison", False, True),
        ("block", "restore", False, False),
        ("warn", "restore", False, False),
    ],
)
def test_a_gate_that_is_not_evaluated_blocks_or_warns_as_params_yaml_says(setting, kind, blocks, warns):
    unclear = Gate("tests", lambda _: [GateResult("a gate", False, None, None, "", evaluated=False)])
    (result,) = evaluate(evidence(sections={"gates": {"when_unclear": setting}}, kind=kind), [unclear])
    assert (result.blocks, result.warns) == (blocks, warns)


def test_a_failed_gate_blocks_also_where_unclear_ones_warn():
    (result,) = evaluate(evidence(sections={"gates": {"when_unclear": "warn"}}), [failing_gate()])
    assert (result.blocks, result.warns) == (True, False)


def test_the_first_line_of_a_review_with_warnings_is_no_plain_success():
    unclear = GateResult(
        "regression roc_auc", False, None, None, "too few rows", blocks=False, evaluated=False, warns=True
    )
    findings = replace(samples.passing(), gates=(*samples.passing().gates, unclear))
    assert findings.verdict == "pass"
    heading = next(line for line in report.markdown(findings).splitlines() if line.startswith("## "))
    total = len(counted(findings.gates))
    assert "✅" not in heading and f"{total - 1} of {total} gates passed, 1 not evaluated" in heading
    assert "too few rows" in report.markdown(findings).split("###")[0]
    assert "1 not evaluated" in re.findall("<h1>(.*)</h1>", report.page(findings))[0]


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        ([], "no gate was evaluated"),
        ([True], "the only gate passed"),
        ([False], "1 of 1 gates failed"),
        ([True] * 30, "all 30 gates passed"),
        ([False] * 2 + [True] * 28, "2 of 30 gates failed"),
        ([None] * 2 + [True] * 28, "28 of 30 gates passed, 2 not evaluated"),
        ([False, None] + [True] * 28, "1 of 30 gates failed, 1 not evaluated"),
    ],
)
def test_the_summary_counts_the_gates_that_block(passed, text):
    results = [
        GateResult("a gate", bool(value), None, None, "", value is not None, "", value is not None, value is None)
        for value in passed
    ]
    assert summary(results) == text
    shown = [GateResult("shown", value, None, None, "", blocks=False) for value in (True, False)]
    assert summary([*results, *shown]) == text


def test_the_summary_of_gates_that_block_unevaluated_names_them_first():
    unclear = [GateResult("a gate", False, None, None, "", evaluated=False)] * 2
    assert summary([*unclear, GateResult("a gate", True, None, None, "")]) == "2 of 3 gates not evaluated"


def numbers(pattern: str, text: str) -> tuple[int, int]:
    """How many gates failed and how many there are, from a text like `2 of 30` or `all 30`."""
    match = re.search(pattern, text)
    assert match, (pattern, text)
    return int(match["failed"] or 0), int(match["gates"])


SUMMARY = r"(all|(?P<failed>\d+) of) (?P<gates>\d+) gates (passed|failed)"


@pytest.mark.parametrize("name", ["passing", "failing", "restore", "data errors"])
def test_console_first_line_and_table_of_a_review_count_the_same_gates(name: str, capsys) -> None:
    findings = samples.ALL[name]()
    blocking = [result for result in findings.gates if result.blocks]
    expected = sum(not result.passed for result in blocking), len(blocking)
    if name != "data errors":
        assert len(blocking) < len(findings.gates)  # a `should` case, or a restore's comparison, is shown besides

    console = io.StringIO()
    flow._print_verdict(findings.to_json(), Progress(Console(file=console)))
    assert numbers(SUMMARY, console.getvalue()) == expected

    comment, page = report.markdown(findings), report.page(findings)
    heading = next(line for line in comment.splitlines() if line.startswith("## "))
    (title,) = re.findall("<h1>(.*)</h1>", page)
    assert numbers(SUMMARY, heading) == numbers(SUMMARY, title) == expected

    failed, gates = expected
    assert f"<b>All gates</b>: {gates - failed} of {gates} passed" in comment
    assert f'<a href="#gates">Gates <b>{gates - failed} of {gates}</b></a>' in page
    table = comment[comment.index("<b>All gates</b>") :].split("</details>")[0]
    rows = [line.split(" | ")[1] for line in table.splitlines() if line.startswith("| ")][1:]
    assert (rows.count("**failed**"), rows.count("**failed**") + rows.count("passed")) == expected
