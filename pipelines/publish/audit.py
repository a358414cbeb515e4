"""Verb `audit`: list advisories of the locked packages and errors in the workflow files; in CI, in one issue.

It blocks no pull request: advisories appear after a package was merged.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipelines.cli.errors import InputError, Unreachable
from pipelines.github.client import GitHub
from pipelines.github.one_issue import OneIssue
from pipelines.github.transport import Json

Result = TypeVar("Result")
LOCKS = ("serving", "pipelines", "dev")
ISSUE = OneIssue("audit", "The weekly audit has findings", "<!-- mainline-audit -->")
ROWS = 100  # of the table: GitHub takes 65,536 characters
ZIZMOR_RULES = Path("tests/engine/workflows/zizmor.yml")
_PIP_AUDIT_OPTIONS = (
    *("--disable-pip", "--require-hashes", "--format=json", "--aliases=on", "--desc=off"),
    "--progress-spinner=off",
)
_ZIZMOR_OPTIONS = ("--offline", "--no-progress", "--quiet", "--persona=auditor", "--format=json")
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
        command = ["pip-audit", *_PIP_AUDIT_OPTIONS, "--requirement", f"requirements/{lock}.txt"]
        for package in _scan(command, (0, 1), lambda document: list(document["dependencies"])):
            if "version" not in package:
                unknown.add(package["name"])
                continue
            known.add(package["name"])
            for advisory in package["vulns"]:
                fixes = ", ".join(advisory["fix_versions"])
                names = " ".join([advisory["id"], *advisory["aliases"]])
                remedy = f"fixed in {fixes}" if fixes else "not fixed yet"
                locks.setdefault((f"{package['name']} {package['version']}", names, remedy), []).append(lock)
    if not known:
        remedy = "Run it where PyPI can be reached; a mirror of packages has no advisories."
        raise Unreachable("pip-audit knows none of the packages", remedy)
    findings = [Finding(f"{package} in {', '.join(names)}", *rest) for (package, *rest), names in locks.items()]
    return findings, sorted(unknown)


def list_workflow_errors() -> list[Finding]:
    """Return zizmor's findings in the workflow files, as strictly as `make lint`.

    Raises:
        Unreachable: if zizmor fails.
    """
    rules = ["--config", str(ZIZMOR_RULES)] if ZIZMOR_RULES.is_file() else []
    command = ["zizmor", *_ZIZMOR_OPTIONS, *rules, ".github"]
    return _scan(
        command, (0, *_ZIZMOR_FINDINGS), lambda items: [_workflow_error(item) for item in items if not item["ignored"]]
    )


def _workflow_error(item: Json) -> Finding:
    locations = item["locations"]
    location = next((location for location in locations if location["symbolic"]["kind"] == "Primary"), locations[0])
    path = location["symbolic"]["key"]["Local"]["verbatim_path"]
    line = location["concrete"]["location"]["start_point"]["row"] + 1
    return Finding(f"{path}:{line}", f"{item['desc']} ({item['determinations']['severity'].lower()})", item["ident"])


def _scan(command: list[str], exit_codes: Sequence[int], parse: Callable[[Json], list[Result]]) -> list[Result]:
    """Run a tool and return `parse` of the JSON that it prints."""
    tool = command[0]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=900, check=False)
    except FileNotFoundError as error:
        raise InputError(f"{tool} is not on PATH", "Run `make audit`, which creates the environment.") from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{tool} did not end within 15 minutes", "Run it again later.") from error
    if done.returncode in exit_codes:
        with suppress(ValueError, KeyError, TypeError, IndexError):  # pip-audit exits with 1 for errors, too
            return parse(json.loads(done.stdout))
    reason = (done.stderr.strip() or f"its exit code is {done.returncode}").splitlines()[-1]
    raise Unreachable(f"{tool} failed: {reason[:300]}", "Run it again later; the issue was not changed.")


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


def _code(text: str) -> str:
    words = " ".join(re.sub(r"[`|\\]", " ", text).split())
    return f"`{words[:200] or '-'}`"
