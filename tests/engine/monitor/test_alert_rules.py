"""The alert rules of docs/monitoring/ fire and stay silent when they should, by promtool."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.monitor.prometheus import _HELP, metrics_text
from testing.repository import ROOT
from tests.engine.monitor import made_up_history as made_up
from tests.engine.monitor.promtool import promtool

RULES = ROOT / "docs/monitoring/alerts.yml"
pytestmark = pytest.mark.server
WEEK = 604_800
MODEL = 'model_name="fraud"'
REQUESTS = 'mainline_requests_total{job="fraud",endpoint="/predict",status="%s"}'
BUCKET = 'mainline_request_seconds_bucket{job="fraud",endpoint="/predict",le="%s"}'
SERVED = 'mainline_release_info{job="fraud",role="%s",release="%s"}'
UNANSWERED = 'haproxy_backend_http_requests_total{job="fraud-front",proxy="%s"}'
UP = (SERVED % ("champion", "aaa"), "1x2000")

# name, minutes, series, alerts that fire
CASES: list[tuple[str, int, list[tuple[str, str]], list[str]]] = [
    ("quiet", 30, [(f'model_monitor_alarms{{{MODEL},problem="drift"}}', "0x60"), UP], []),
    ("an alarm", 1, [(f'model_monitor_alarms{{{MODEL},problem="drift"}}', "2x60"), UP], ["ModelAlarm"]),
    (
        "a pass is late, not yet by twice the interval",
        600,
        [(f"model_monitor_last_pass_timestamp_seconds{{{MODEL}}}", f"-{2 * WEEK - 36_000}x2000"),
         (f"model_monitor_interval_seconds{{{MODEL}}}", f"{WEEK}x2000"), UP],
        [],
    ),
    (
        "no pass for twice the interval",
        120,
        [(f"model_monitor_last_pass_timestamp_seconds{{{MODEL}}}", f"-{2 * WEEK}x2000"),
         (f"model_monitor_interval_seconds{{{MODEL}}}", f"{WEEK}x2000"), UP],
        ["ModelMonitorMissed"],
    ),
    ("too few rows", 1, [(f"model_monitor_judged{{{MODEL}}}", "0x60"), UP], ["ModelNotJudged"]),
    ("one error in 200", 30, [(REQUESTS % 200, "0+1990x60"), (REQUESTS % 503, "0+10x60"), UP], []),
    ("one error in 50", 30, [(REQUESTS % 200, "0+1960x60"), (REQUESTS % 503, "0+40x60"), UP], ["ServiceErrors"]),
    ("fast", 30, [(BUCKET % "0.1", "0+100x60"), (BUCKET % "+Inf", "0+100x60"), UP], []),
    ("slow", 30, [(BUCKET % "0.5", "0+90x60"), (BUCKET % "2", "0+100x60"), (BUCKET % "+Inf", "0+100x60"), UP],
     ["ServiceSlow"]),
    ("lost rows", 20, [('mainline_log_rows_dropped_total{job="fraud",instance="a"}', "0x10 5x60"), UP],
     ["PredictionLogDropped"]),
    ("no lost rows", 20, [('mainline_log_rows_dropped_total{job="fraud",instance="a"}', "7x60"), UP], []),
    ("an answer of the front", 20, [(UNANSWERED % "fallback", "0x10 5x60"), (UNANSWERED % "slot_a", "0+9x70"), UP],
     ["ServiceUnanswered"]),
    ("two releases", 60, [UP, (SERVED % ("champion", "bbb"), "1x2000")], ["ServiceMixedReleases"]),
    ("a canary", 60, [UP, (SERVED % ("canary", "bbb"), "1x2000")], []),
    ("no service", 30, [(f"model_monitor_judged{{{MODEL}}}", "1x60")], ["ServiceAbsent"]),
]  # fmt: skip


def test_each_alert_fires_in_its_case_and_in_no_other(tmp_path: Path) -> None:
    names = [rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    shutil.copy(RULES, tmp_path)
    tests: list[dict[str, Any]] = []
    for _, minutes, series, firing in CASES:
        # promtool compares annotations too where an alert is expected; the expression ALERTS has names alone.
        query = 'count by (alertname) (ALERTS{alertstate="firing"})'
        samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing]
        tests.append(
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series],
                "promql_expr_test": [{"expr": query, "eval_time": f"{minutes}m", "exp_samples": samples}],
            }
        )
    assert {name for case in CASES for name in case[3]} == set(names), "each alert has a case in which it fires"
    document = {"rule_files": [RULES.name], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    done = promtool("test", "rules", str(tmp_path / "tests.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_and_the_example_are_valid() -> None:
    for command in (("rules", RULES), ("config", RULES.with_name("prometheus.yml"))):
        done = promtool("check", *map(str, command))
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_text_of_the_monitor() -> None:
    done = promtool("check", "metrics", text=metrics_text(made_up.verdict(made_up.records()), 7))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_rules_name_only_metrics_that_exist() -> None:
    text = RULES.read_text() + (RULES.parent / "grafana/dashboards/mainline.json").read_text()
    used = set(re.findall(r"\bmodel_(?:monitor|data|quality|input|latency)\w*", text)) - {"model_name"}
    assert used <= _HELP.keys()
