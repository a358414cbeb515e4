"""The texts of a report: the first screen, escaping of every value, the size of the comment, accessibility."""

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipelines.cli.errors import Unreachable
from pipelines.pages import numbers
from pipelines.review import report
from pipelines.review.findings import Findings, GateResult, MetricRow, counted
from tests.engine.pages.markup import GITHUB, LINKED, Page, texts
from tests.engine.review import samples

OWN_TAGS = {
    "<details>",
    "<details open>",
    "</details>",
    "<b>",
    "</b>",
    "<code>",
    "</code>",
    "<span>",
    "</span>",
    "<br>",
}

everything = pytest.mark.parametrize("findings", [make() for make in samples.ALL.values()], ids=list(samples.ALL))


@given(texts)
@settings(max_examples=25)
def test_a_whole_comment_holds_no_tag_link_or_table_that_a_text_brought(text: str) -> None:
    check_comment(report.markdown(samples.hostile(text, many=2)))


@given(texts)
@settings(max_examples=25)
def test_a_whole_page_holds_no_tag_or_attribute_that_a_text_brought(text: str) -> None:
    harmless, page = Page(report.page(samples.hostile("x", 2))), Page(report.page(samples.hostile(text, 2)))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in harmless.tags} | {"title", "wbr", "p"}
    allowed = {name for _, attributes in harmless.tags for name in attributes}
    assert {name for _, attributes in page.tags for name in attributes} <= allowed


def check_comment(comment: str) -> None:
    prose = re.sub(r"```mermaid\n.*?\n```", "", comment, flags=re.DOTALL)
    for token in GITHUB.parse(prose):
        assert token.type not in ("fence", "code_block")
        for child in token.children or []:
            assert child.type != "image"
            assert child.type != "link_open" or child.attrs["href"] == "#user-content-gates"
            assert child.type != "text" or not LINKED.search(child.content.replace("https://", "://"))
        if token.type in ("html_block", "inline"):
            tags = re.findall(r"<[^>\n]*>", "".join(t.content for t in token.children or [token] if "html" in t.type))
            assert {tag for tag in tags if "summary" not in tag} <= OWN_TAGS | {'<a name="gates">', "</a>"}
    for table in re.findall(r"(?:^\|.*\n)+", prose, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert prose.count("<details") == prose.count("</details>") == prose.count("<summary>")


@everything
def test_every_comment_keeps_its_shape(findings: Findings) -> None:
    check_comment(report.markdown(findings))


@everything
def test_both_texts_are_the_same_every_time_and_hold_no_time(findings: Findings) -> None:
    assert report.markdown(findings) == report.markdown(findings)
    assert report.page(findings) == report.page(findings)
    assert not re.search(r"\b20\d\d-\d\d-\d\d", report.markdown(findings) + report.page(findings))


@pytest.mark.parametrize("text", ["𝕏|`@#<" * 4000, "𝕏" * 4000, "&" * 9000, "a b " * 5000, "_"])
def test_a_comment_stays_below_sixty_thousand_bytes_whatever_the_model(text: str) -> None:
    comment = report.markdown(samples.hostile(text, many=400))
    assert len(comment.encode()) <= 60_000
    (heading,) = [line for line in comment.splitlines() if line.startswith("## ")]
    assert heading.startswith("## ❌ FAIL: ") and heading.endswith("400 of 400 gates failed")
    assert "more in review.html" in comment
    check_comment(comment)


def test_a_comment_that_was_cut_ends_with_a_note() -> None:
    comment = report.markdown(samples.hostile("𝕏|`@#<" * 4000, many=400))
    assert comment.rstrip().endswith("review.html has all of them._")
    assert "review.html has all of them" not in report.markdown(samples.failing())


@pytest.mark.parametrize("render", [report.markdown, lambda f: Page(report.page(f)).text])
class TestTheFirstScreen:
    def first(self, text: str) -> str:
        return text[: text.index("\nMetrics") if "\nMetrics" in text else text.index("### ")]

    def test_has_the_verdict_and_by_how_much_the_model_is_better(self, render) -> None:
        screen = self.first(render(samples.passing()))
        assert "PASS: " in screen
        assert f"all {len(counted(samples.passing().gates))} gates passed" in screen
        assert "Better." in screen
        sentence = "Average precision rose by 0.0198 from 0.7612 to 0.7810 (95 % CI +0.0081 to +0.0308)"
        assert sentence in screen
        assert "51,880 test rows" in screen

    def test_has_the_verdict_and_a_failed_gate_of_every_group(self, render) -> None:
        screen = self.first(render(samples.failing())).replace("\\", "")
        assert "FAIL: " in screen
        assert f"13 of {len(counted(samples.failing().gates))} gates failed" in screen
        assert "Worse." in screen
        assert "average_precision dropped by 0.0772 (95 % CI -0.0889 to -0.0662); tolerance is 0.0" in screen
        for reason in ("regression average_precision", "slice merchant_category=airline", "critical: gift cards"):
            assert reason in screen
        assert screen.count("the whole CI is beyond the tolerance") == 5  # eight reasons are shown, the others counted
        assert "5 more" in screen

    def test_shows_notes_below_the_verdict(self, render) -> None:
        text = render(samples.failing())
        assert text.index("Worse.") < text.index("data/ differs from data.dvc")

    def test_of_a_restore_explains_that_the_comparison_does_not_block(self, render) -> None:
        screen = self.first(render(samples.restore()))
        assert "Restore." in screen
        assert "is shown and does not block" in screen
        assert "all 6 gates passed" in screen
        assert screen.count("which was released before") == 1

    def test_of_rows_with_errors_shows_the_errors_and_no_metric(self, render) -> None:
        text = render(samples.data_errors())
        assert "The rows have 4 errors: no model was trained, and nothing was compared." in text
        assert "giftcards" in text
        assert "95 %" not in text


def test_the_first_line_of_a_new_model_explains_that_there_is_nothing_to_compare_with() -> None:
    first = report.markdown(samples.new_line()).split("\n", 1)[0]
    assert first.startswith("**New model.**")
    assert "only absolute gates count" in first


def test_failures_come_first_in_every_table() -> None:
    for text in (report.markdown(samples.failing()), Page(report.page(samples.failing())).text):
        for start, failure, success in (
            ("Critical cases", "gift cards at night", "groceries by chip"),
            ("Slices by" if "Slices by" in text else "<b>Slices</b>", "merchant_category=travel", "channel=chip"),
            (
                "All gates\n" if "All gates\n" in text else "<b>All gates</b>",
                "rapid small payments",
                "floor average_precision",
            ),
        ):
            part = text[text.index(start) :]
            assert part.index(failure) < part.index(success), start


def test_a_regression_has_no_word_that_belongs_to_a_classification() -> None:
    findings = replace(samples.regression(), threshold=(0.5, 0.5))
    for text in (report.markdown(findings), report.page(findings)):
        for word in ("probability", "threshold", "decision", "calibration", "fairness", "positive", "recall"):
            assert word not in text.lower(), word


@everything
def test_a_page_loads_nothing_and_runs_nothing(findings: Findings) -> None:
    page = Page(report.page(findings))
    assert not page.open
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "embed", "form", "image", "use"}
    for tag, attributes in page.tags:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("style", "src", "srcset", "action")
        ]
        target = attributes.get("href") or "#"
        assert re.fullmatch(r"#\w+|#|data:,|[\w.-]+\.html", target), (tag, target)
    (policy,) = [a["content"] or "" for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "unsafe" not in policy
    assert "url(" not in page.style and "@import" not in page.style


@everything
def test_a_page_can_be_read_by_a_screen_reader(findings: Findings) -> None:
    page = Page(report.page(findings))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a} <= set(ids)
    assert {(a["href"] or "")[1:] for t, a in page.tags if t == "a" and (a["href"] or "").startswith("#")} <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip([0, *levels], levels, strict=False))
    assert all(a.get("scope") in ("col", "row") for tag, a in page.tags if tag == "th")
    assert all(a.get("role") == "img" and a.get("aria-label") for tag, a in page.tags if tag == "svg")


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_texts_have_the_contrast_that_wcag_asks(scheme: int) -> None:
    style = Page(report.page(samples.passing())).style
    colours = dict(
        re.findall(
            r"--([\w-]+): (#[0-9a-f]{6});", style.split("@media (prefers-color-scheme: dark)")[scheme].split("* {")[0]
        )
    )
    pairs = [(text, back) for text in ("text", "muted", "head", "good", "bad", "even") for back in ("page", "card")]
    pairs += [
        ("good", "good-soft"),
        ("bad", "bad-soft"),
        ("note", "note-soft"),
        ("text", "soft"),
        ("muted", "note-soft"),
    ]
    for text, back in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, back)


def test_an_evidently_page_beside_the_report_is_linked_and_anything_else_is_not() -> None:
    failing = samples.failing()
    assert failing.data is not None
    assert 'href="data.html"' in report.page(failing)
    for text in ("//evil.example/data.html", "javascript:x.html", "no page, see data.html"):
        page = Page(report.page(replace(failing, data=replace(failing.data, evidently=text))))
        assert all((a["href"] or "").startswith("#") for tag, a in page.tags if tag == "a")


def test_a_model_with_another_md5_than_its_dvc_lock_names_is_shown_with_both() -> None:
    findings = samples.passing()
    findings = replace(findings, base=replace(findings.base, locked_model="f" * 32))
    for text in (report.markdown(findings), report.page(findings)):
        assert "f" * 32 in text
        assert samples.BASE_MODEL in text


@pytest.mark.parametrize(
    ("row", "lead"),
    [
        (MetricRow("roc_auc", 0.97, 0.98, 0.01, 0.005, 0.015), "Better"),
        (MetricRow("roc_auc", 0.98, 0.97, -0.01, -0.015, -0.005), "Worse"),
        (MetricRow("mae", 20.0, 18.0, -2.0, -3.0, -1.0, True), "Better"),
        (MetricRow("mae", 18.0, 20.0, 2.0, 1.0, 3.0, True), "Worse"),
        (MetricRow("f1", 0.7, 0.69, -0.01, -0.03, 0.01), "No clear difference"),
        (MetricRow("f1", 0.7, 0.7, 0.0, 0.0, 0.0), "Equal"),
        (MetricRow("f1", None, 0.7), "Not comparable"),
        (MetricRow("f1", 0.7, 0.6, -0.1), "Not comparable"),
        (MetricRow("f1", 0.7, None), "Not measured"),
    ],
)
def test_the_headline_depends_on_the_interval_and_on_which_way_is_better(row: MetricRow, lead: str) -> None:
    assert report.headline(replace(samples.passing(), headline=row.name, metrics=(row,)))[0] == lead


def test_the_first_failed_gate_of_each_group_comes_before_the_second_of_any() -> None:
    gates = [
        GateResult(f"{group}{i}", False, None, None, "", group=group)
        for group, i in ("a1", "a2", "a3", "b1", "c1", "c2")
    ]
    assert [gate.name for gate in report.one_of_each_first(gates)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_number_that_is_not_defined_is_a_dash_and_a_small_difference_is_neither_zero_nor_without_its_sign() -> None:
    assert {numbers.number(value) for value in (None, math.nan, math.inf)} == {"—"}
    assert numbers.brief(-0.0) == "0"
    assert float(numbers.signed(-0.00003, 0.781).replace("−", "-")) == -0.00003
    assert numbers.signed(0.0198, 0.781).startswith("+")


def test_the_word_for_a_shift_follows_its_size() -> None:
    assert [report.shift_word(value) for value in (0.02, 0.1, 0.3)] == ["little", "some", "large"]


def test_three_files_are_written_and_nothing_else(tmp_path: Path) -> None:
    report.write(samples.failing(), tmp_path / "review")
    assert sorted(path.name for path in (tmp_path / "review").iterdir()) == ["review.html", "review.json", "review.md"]
    document = json.loads((tmp_path / "review" / "review.json").read_text())
    assert document["verdict"] == "fail"
    assert document["metrics"][0]["name"] == "average_precision"


def test_hostile_text_can_be_written_as_utf_8(tmp_path: Path) -> None:
    report.write(samples.hostile(), tmp_path)
    assert json.loads((tmp_path / "review.json").read_text())["name"] == samples.HOSTILE


def test_a_folder_that_cannot_be_written_ends_with_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "review").write_text("a file")
    with pytest.raises(Unreachable, match="cannot be written"):
        report.write(samples.passing(), tmp_path / "review")
    assert [path.name for path in tmp_path.iterdir()] == ["review"]
