"""A pytest plugin: in CI every skip is a failure, and each run prints the seconds of each group.

A group is the first folder below tests/engine/, or else below tests/.
"""

import os
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

import pytest

_seconds = pytest.StashKey[dict[str, list[float]]]()


def pytest_configure(config: pytest.Config) -> None:
    seconds: dict[str, list[float]] = defaultdict(list)
    config.stash[_seconds] = seconds
    if os.environ.get("CI", "").lower() in ("true", "1"):
        config.pluginmanager.register(NoSkips(), "no-skips")


class NoSkips:
    """Turns skips, expected failures and unexpected passes into failures."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Any:
        return _refuse((yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Any:
        return _refuse((yield))


def _refuse(report: Any) -> Any:
    expected_failure = getattr(report, "wasxfail", None)
    if report.skipped or expected_failure is not None:
        reason = expected_failure if expected_failure is not None else _reason(report)
        report.outcome = "failed"
        report.longrepr = f"CI allows no skip and no expected failure: {reason}"
        if expected_failure is not None:
            del report.wasxfail
    return report


def _reason(report: Any) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> Any:
    result = yield
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                terminalreporter.config.stash[_seconds][_group(report.nodeid)].append(report.duration)
    groups = terminalreporter.config.stash[_seconds]
    if groups:
        terminalreporter.section("seconds by group, all workers together")
        for group, seconds in sorted(groups.items(), key=lambda item: -sum(item[1])):
            terminalreporter.line(f"{group:<16}{sum(seconds):8.1f} s")
    return result


def _group(nodeid: str) -> str:
    parts = PurePosixPath(nodeid.split("::")[0]).parts
    folders = [name for name in parts[:-1] if name not in ("tests", "engine")]
    return folders[0] if folders else "engine" if "engine" in parts else "tests"
