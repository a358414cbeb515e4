"""verdict.md and the page: the first screen, what follows, escaping of every value, size, accessibility."""

import base64
import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings

from pipelines.monitor import actions, report, report_view
from pipelines.monitor.pass_record import Alarm, PassRecord, Verdict
from pipelines.monitor.prometheus import metrics_text
from tests.engine.monitor import made_up_history as made_up
from tests.engine.monitor.records import record
from tests.engine.pages.markup import GITHUB, LINKED, Page, texts

OWN_TAGS = {"<details>", "<details open>", "</details>", "<b>", "</b>", "<code>", "</code>", "<span>", "</span>"}


def arguments(**options: Any) -> tuple[Verdict, list[PassRecord], list[Any]]:
    records = made_up.records(**options)
    return made_up.verdict(records), records, made_up.assignments()


def hostile(text: str, many: int = 3) -> tuple[Verdict, list[PassRecord], list[Any]]:
    """A history with a text in every place that the log, the labels or the schema fill."""
    text = text.encode(errors="replace").decode()
    *earlier, newest = made_up.records(4)
    assert newest.quality
    named = [{"name": f"{text}{i}"} for i in range(many)]
    records = [
        *earlier,
        newest.model_copy(
            update={
                "drift": tuple(newest.drift[0].model_copy(update=name) for name in named),
                "checks": tuple(made_up.records(4)[-1].checks[0].model_copy(update=name) for name in named),
                "set_aside": {f"{text}{i}": i for i in range(many)},
                "not_watched": tuple(f"{text}{i}" for i in range(many)),
                "latency_ms": {text: 1.0},
                "alarms": tuple(Alarm(problem="input", name=f"{text}{i}", message=text) for i in range(many)),
                "quality": newest.quality.model_copy(
                    update={
                        "metrics": tuple(
                            newest.quality.metrics[0].model_copy(update={"slice": f"{text}{i}"}) for i in range(many)
                        ),
                        "previous_version": text,
                        "previous_loss": 0.1,
                    }
                ),
            }
        ),
    ]
    return made_up.verdict(records), records, made_up.assignments()


def check_issue(body: str) -> None:
    """Assert that the Markdown has no link, image or tag but its own, and that tables keep their shape."""
    for token in GITHUB.parse(body):
        assert token.type not in ("fence", "code_block")
        for child in token.children or []:
            assert child.type not in ("image", "link_open")
            assert child.type != "text" or not LINKED.search(child.content)
        if token.type in ("html_block", "inline"):
            tags = re.findall(r"<[^>\n]*>", "".join(t.content for t in token.children or [token] if "html" in t.type))
            assert {tag for tag in tags if "summary" not in tag} <= OWN_TAGS
    for table in re.findall(r"(?:^\|.*\n)+", body, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert body.count("<details") == body.count("</details>") == body.count("<summary>")


@given(texts)
@settings(max_examples=25)
def test_no_text_of_log_or_labels_becomes_markup_in_an_issue(text: str) -> None:
    check_issue(report.markdown(*hostile(text)))
    check_issue(actions.format_issue(hostile(text)[0], "input") or "")


@given(texts)
@settings(max_examples=15)
def test_no_text_of_log_or_labels_becomes_markup_in_the_page(text: str) -> None:
    harmless, page = Page(report.page(*hostile("x"))), Page(report.page(*hostile(text)))
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in harmless.tags} | {"wbr"}
    allowed = {name for _, attributes in harmless.tags for name in attributes}
    assert {name for _, attributes in page.tags for name in attributes} <= allowed


def test_an_issue_stays_below_sixty_thousand_bytes() -> None:
    body = report.markdown(*hostile("𝕏|`@#<" * 4000, many=400))
    assert len(body.encode()) <= 60_000
    assert body.startswith("## ❌ fraud: 400 alarms")
    check_issue(body)


@pytest.mark.parametrize("options", [{}, {"quiet": True}, {"weeks": 1, "quiet": True}, {"weeks": 15}])
def test_the_issue_keeps_its_shape(options: dict[str, Any]) -> None:
    check_issue(report.markdown(*arguments(**options)))


def test_the_verdict_and_what_to_do_next_come_first() -> None:
    body = report.markdown(*arguments())
    first, rest = body.split("\n", 1)
    assert first.startswith("## ❌") and "4 alarms" in first and "amount" in first
    assert rest.index("the limit of 0.0221") < rest.index("### What to do next") < rest.index("| metric |")
    assert "make retrain" in rest and "ACKNOWLEDGE" in rest
    quiet = report.markdown(*arguments(quiet=True, weeks=20))
    assert quiet.startswith("## ✅ fraud: no alarm") and "What to do next" not in quiet


def test_a_pass_with_too_few_rows_is_neither_good_nor_bad() -> None:
    verdict, records, assignments = arguments(weeks=15, quiet=True)
    assert not records[-1].judged
    assert "too few" in report.markdown(verdict, records, assignments).split("\n", 1)[0]
    assert 'class="verdict warned"' in report.page(verdict, records, assignments)


def test_a_pass_with_too_few_rows_says_why_it_has_no_label() -> None:
    newest = made_up.records(4)[-1]
    assert newest.quality
    quality = newest.quality.model_copy(update={"loss": None, "no_labels": "no labels found at x"})
    few = newest.model_copy(update={"judged": False, "drift": (), "quality": quality})
    sentence = report_view.describe_pass(few)
    assert sentence.endswith("predictions, too few to judge (monitor.min_rows); no labels found at x.")


def test_ten_minutes_of_a_new_version_do_not_hide_the_week_before_them() -> None:
    verdict, records, assignments = arguments(weeks=20, quiet=True)
    start, end = records[-1].end - timedelta(minutes=10), records[-1].end
    short = record(start, end, "fraud@v1.7.0", rows=3, judged=False)
    whole = records[-1].model_copy(update={"end": start})
    verdict = verdict.model_copy(update={"passes": (whole, short)})
    body = report.markdown(verdict, [*records[:-1], whole, short], assignments)
    assert body.startswith("## ✅ fraud: no alarm") and "<b>Drift</b>" in body and "fraud@v1.7.0" in body
    assert "model_data_drift_score" in metrics_text(verdict, 7)


def test_an_alarm_of_the_monitor_itself_is_shown_without_a_pass() -> None:
    alarm = Alarm(problem="service", name="/info", message="The service answers as 000000000000.")
    verdict = Verdict(model_name="fraud", made_at=made_up.START, passes=(), alarms=(alarm,))
    assert "The service answers as 000000000000." in report.markdown(verdict, [], [])
    for assignments in ([], made_up.assignments()):
        assert "The service answers as 000000000000." in Page(report.page(verdict, [], assignments)).text


def test_an_acknowledged_alarm_stays_in_the_history_only() -> None:
    verdict, records, assignments = arguments()
    accepted = verdict.model_copy(update={"alarms": ()})
    assert report.markdown(accepted, records, assignments).startswith("## ✅ fraud: no alarm")
    page = report.page(accepted, records, assignments)
    assert 'class="verdict passed"' in page
    assert page.count('<rect class="alarm" x=') == 4


def test_the_page_loads_nothing_and_its_policy_allows_its_own_style_only() -> None:
    page = Page(report.page(*arguments()))
    assert not {tag for tag, _ in page.tags} & {"script", "img", "iframe", "object", "form"}
    assert not [value for _, attributes in page.tags for name, value in attributes.items() if name == "style"]
    digest = base64.b64encode(hashlib.sha256(page.style.encode()).digest()).decode()
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy and f"'sha256-{digest}'" in policy and "default-src 'none'" in policy
    links = [a.get("href") for _, a in page.tags if a.get("href")]
    assert all(link == "data:," or (link or "").startswith("#") for link in links)


def test_every_plot_has_a_title_a_description_and_a_table() -> None:
    page = Page(report.page(*arguments()))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("role") == "img"]
    assert len(drawings) > 20
    for attributes in drawings:
        assert set((attributes["aria-labelledby"] or "").split()) <= set(ids)
    assert not [a for t, a in page.tags if t == "svg" and (a.get("class") or "").startswith("plot") and "role" not in a]
    assert [tag for tag, _ in page.tags].count("details") >= 7
    targets = {(a["href"] or "")[1:] for tag, a in page.tags if tag == "a"}
    assert targets <= set(ids)


def test_the_timeline_shows_releases_and_the_rollback() -> None:
    page = report.page(*arguments())
    assert re.search(r'<text class="name[^"]*"[^>]*>↩ v1\.4\.0</text>', page)
    assert 'class="version rolled-back"' in page
    assert page.count('class="version current"') == 1
    assert page.count('<rect class="alarm" x=') == 4
    assert "<td>rollback</td>" in page


def test_the_lineage_of_each_version_is_on_the_page_and_is_text_only() -> None:
    lineage = {"commit": ["c" * 40], "changed settings": ["a.b: 1 -> <script>", "a.c: not set -> 2"]}
    page = report.page(*arguments(), {"fraud@v1.6.0": lineage, "fraud@v1.4.0": lineage})
    shown = Page(page)
    assert "Where the versions come from" in shown.text and "a.c: not set -> 2" in shown.text and "c" * 40 in shown.text
    assert not [tag for tag, _ in shown.tags if tag == "script"]


def test_bands_of_the_promise_and_the_tolerance_are_drawn_and_alarms_are_dots() -> None:
    page = report.page(*arguments())
    assert page.count('class="promise"') > 100
    assert page.count('class="interval"') >= 4
    assert page.count('class="dot alarm"') >= 7
    assert 'class="dot alarm"' not in report.page(*arguments(quiet=True, weeks=20))


def test_a_long_history_is_cut_and_says_so() -> None:
    verdict, records, assignments = arguments(quiet=True, weeks=27)
    week = made_up.WEEK
    older = [
        records[i % 20].model_copy(update={"start": records[0].start - i * week, "end": records[0].end - i * week})
        for i in range(1, 121)
    ]
    page = report.page(verdict, [*older[::-1], *records], assignments)
    assert "43 earlier passes are in the log only" in page
    assert len(page) < 1_500_000


def test_both_texts_are_equal_every_time() -> None:
    for render in (report.markdown, report.page):
        assert render(*arguments()) == render(*arguments())
