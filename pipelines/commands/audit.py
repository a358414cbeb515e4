"""Verb `audit`: list advisories of the locked packages and errors in the workflow files; in CI, in one issue.

It blocks no pull request: advisories appear after a package was merged.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.cli.errors import InputError, Unreachable
from pipelines.github.client import GitHub
from pipelines.github.one_issue import OneIssue
from pipelines.github.transport import Json

LOCKS = ("serving", "pipelines", "dev")
ISSUE = OneIssue("audit", "The weekly audit has findings", "<!-- mainline-audit -->")
ROWS = 100  # of the table: GitHub takes 65,536 characters
ZIZMOR_RULES = Path("tests/engine/workflows/zizmor.yml")
_ZIZMOR_FINDINGS = (11, 12, 13, 14)  # zizmor's exit codes, by the severity of the worst finding


class Finding(NamedTuple):
    """An advisory or an error: its place, its description and a remedy; untrusted text."""

    place: str
    description: str
    remedy: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    parser.add_argument("--issue", action="store_true", help="report the findings in one issue on GitHub")


def run(arguments: argparse.Namespace) -> int:
    """Print the findings, and with --issue open, update or close the one issue.

    Returns:
        1 if there are findings and no --issue.

    Raises:
        Unreachable: if a scan fails; the issue is not changed, since findings would be missing from it.
    """
    github = GitHub.from_environment() if arguments.issue else None
    advisories, unknown = list_advisories()
    findings = sorted({*advisories, *list_workflow_errors()})
    for finding in findings:
        print(f"{finding.place}: {finding.description} ({finding.remedy})")
    if unknown:
        print(f"pip-audit does not know {len(unknown)} packages: {', '.join(unknown)}")
    print(f"findings: {len(findings) or 'none'}")
    if github is not None:
        body = format_issue(findings, unknown) if findings else None
        print(ISSUE.update(github, body, closing_body="The last audit has no findings."))
        return 0
    if findings:
        print("Lock newer versions (`make lock UPGRADE=1`) and fix the workflow files.", file=sys.stderr)
    return int(bool(findings))


def list_advisories() -> tuple[list[Finding], list[str]]:
    """Return the advisories of all locked packages by pip-audit, and the packages that it does not know.

    An advisory of a package that several locks pin is one finding.

    Raises:
        Unreachable: if pip-audit fails, or knows none of the packages.
    """
    locks: dict[tuple[str, str, str], list[str]] = {}
    known, unknown = set(), set()
    for lock in LOCKS:  # one by one: pip-audit refuses files of which two pin the same package
        for package in _pip_audit(Path("requirements") / f"{lock}.txt"):
            if "version" not in package:
                unknown.add(package["name"])
                continue
            known.add(package["name"])
            for advisory in package["vulns"]:
                fixes = ", ".join(advisory["fix_versions"])
                names = " ".join([advisory["id"], *advisory["aliases"]])
                key = (
                    f"{package['name']} {package['version']}",
                    names,
                    f"fixed in {fixes}" if fixes else "not fixed yet",
                )
                locks.setdefault(key, []).append(lock)
    if not known:
        raise Unreachable(
            "pip-audit knows none of the packages",
            "Run it where PyPI can be reached; a mirror of packages has no advisories.",
        )
    findings = [Finding(f"{package} in {', '.join(names)}", *rest) for (package, *rest), names in locks.items()]
    return findings, sorted(unknown)


def _pip_audit(lock: Path) -> list[Json]:
    options = ["--disable-pip", "--require-hashes", "--format=json", "--aliases=on", "--desc=off"]
    done = _run(["pip-audit", *options, "--progress-spinner=off", "--requirement", str(lock)])
    # Its exit code is 1 for findings and for errors.
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError, TypeError) as error:
        raise _failure("pip-audit", done) from error


def list_workflow_errors() -> list[Finding]:
    """Return zizmor's findings in the workflow files, as strictly as `make lint`.

    Raises:
        Unreachable: if zizmor fails.
    """
    rules = ["--config", str(ZIZMOR_RULES)] if ZIZMOR_RULES.is_file() else []
    options = ["--offline", "--no-progress", "--quiet", "--persona=auditor", "--format=json", *rules]
    done = _run(["zizmor", *options, ".github"])
    if done.returncode not in (0, *_ZIZMOR_FINDINGS):
        raise _failure("zizmor", done)
    try:
        return [_workflow_error(item) for item in json.loads(done.stdout) if not item["ignored"]]
    except (ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        raise _failure("zizmor", done) from error


def _workflow_error(item: Json) -> Finding:
    locations = item["locations"]
    location = next((location for location in locations if location["symbolic"]["kind"] == "Primary"), locations[0])
    path = location["symbolic"]["key"]["Local"]["verbatim_path"]
    line = location["concrete"]["location"]["start_point"]["row"] + 1
    return Finding(f"{path}:{line}", f"{item['desc']} ({item['determinations']['severity'].lower()})", item["ident"])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=900, check=False)
    except FileNotFoundError as error:
        raise InputError(f"{command[0]} is not on PATH", "Run `make audit`, which makes the environment.") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} did not end within 15 minutes", "Run it again later.") from error


def _failure(tool: str, done: subprocess.CompletedProcess[str]) -> Unreachable:
    reason = (done.stderr.strip() or f"its exit code is {done.returncode}").splitlines()[-1]
    return Unreachable(f"{tool} failed: {reason[:300]}", "Run it again later; the issue was not changed.")


def format_issue(findings: list[Finding], unknown: list[str]) -> str:
    """Return the issue in Markdown. Findings are in code spans, so that their text is no link, mention or HTML."""
    lines = [
        "To lock newer versions, run `make lock UPGRADE=1` and open a pull request.",
        "The workflow `audit` updates this issue every week, and closes it when there are no findings.",
        "",
        "| place | finding | remedy |",
        "|---|---|---|",
        *("| " + " | ".join(map(_code, finding)) + " |" for finding in findings[:ROWS]),
    ]
    if len(findings) > ROWS:
        lines += ["", f"And {len(findings) - ROWS} more: `make audit`."]
    if unknown:
        lines += ["", f"pip-audit does not know {len(unknown)} packages, for instance {_code(unknown[0])}."]
    return "\n".join(lines)


def _code(text: Any) -> str:
    words = " ".join(re.sub(r"[`|\\]", " ", str(text)).split())
    return f"`{words[:200] or '-'}`"
