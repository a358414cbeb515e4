"""Verb `audit`: advisories of what the locks pin, and faults of the workflow files; in CI kept in one issue.

It blocks nobody: what it finds was merged before it was known.
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
ISSUE = OneIssue("audit", "The weekly audit found something", "<!-- mainline-audit -->")
ROWS = 100  # of the table: GitHub takes 65,536 characters
ZIZMOR_RULES = Path("tests/engine/workflows/zizmor.yml")
_FOUND = (11, 12, 13, 14)  # what zizmor ends with, by the worst finding's severity


class Finding(NamedTuple):
    """Where, what, and what helps; all of it somebody else's text."""

    place: str
    what: str
    remedy: str


class Found(NamedTuple):
    """What a scan gave, and the packages that nobody could say anything of."""

    findings: list[Finding]
    unknown: list[str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--issue", action="store_true", help="keep the findings in one issue on GitHub")


def run(arguments: argparse.Namespace) -> int:
    """Look, print, and with --issue open, update or close the one issue.

    Returns:
        1 if there are findings and no issue holds them.

    Raises:
        Unreachable: if a scan cannot be made; the issue stays as it is, for half a scan would wrongly shorten it.
    """
    github = GitHub.from_environment() if arguments.issue else None
    found = advisories()
    findings = sorted({*found.findings, *workflow_faults()})
    for finding in findings:
        print(f"{finding.place}: {finding.what} ({finding.remedy})")
    if found.unknown:
        print(f"nothing is known of {len(found.unknown)} packages: {', '.join(found.unknown)}")
    print(f"{len(findings)} findings" if findings else "nothing was found")
    if github is not None:
        body = issue_text(findings, found.unknown) if findings else None
        print(ISSUE.update(github, body, closing_body="Nothing is found any more."))
        return 0
    if findings:
        print("Take newer versions (`make lock UPGRADE=1`) and mend the workflow files.", file=sys.stderr)
    return int(bool(findings))


def advisories() -> Found:
    """Advisories of every pin, by pip-audit; a package that several locks pin is one finding.

    Raises:
        Unreachable: if the service of advisories gives no answer, or knows none of the packages.
    """
    # One run a lock: pip-audit refuses files of which two pin the same package.
    places: dict[tuple[str, str, str], list[str]] = {}
    unknown: set[str] = set()
    known = 0
    for lock in LOCKS:
        for package in _pip_audit(Path("requirements") / f"{lock}.txt"):
            if "version" not in package:
                unknown.add(package["name"])
                continue
            known += 1
            for advisory in package["vulns"]:
                remedy = (
                    f"fixed in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else "not fixed yet"
                )
                names = " ".join([advisory["id"], *advisory["aliases"]])
                places.setdefault((f"{package['name']} {package['version']}", names, remedy), []).append(lock)
    if not known:
        raise Unreachable(
            "the service of advisories knows none of the packages",
            "Run it where it is reached; a mirror of packages has no advisories.",
        )
    found = [Finding(f"{package} in {', '.join(locks)}", *rest) for (package, *rest), locks in places.items()]
    return Found(found, sorted(unknown))


def _pip_audit(lock: Path) -> list[Json]:
    options = ["--disable-pip", "--require-hashes", "--format=json", "--aliases=on", "--desc=off"]
    done = _run(["pip-audit", *options, "--progress-spinner=off", "--requirement", str(lock)])
    # It ends with 1 for findings and for errors alike.
    try:
        return list(json.loads(done.stdout)["dependencies"])
    except (ValueError, KeyError, TypeError) as error:
        raise _no_answer("pip-audit", done) from error


def workflow_faults() -> list[Finding]:
    """What zizmor says of the workflow files, as strictly as `make lint`.

    Raises:
        Unreachable: if it gives no answer.
    """
    rules = ["--config", str(ZIZMOR_RULES)] if ZIZMOR_RULES.is_file() else []
    options = ["--offline", "--no-progress", "--quiet", "--persona=auditor", "--format=json", *rules]
    done = _run(["zizmor", *options, ".github"])
    if done.returncode not in (0, *_FOUND):
        raise _no_answer("zizmor", done)
    try:
        return [_fault(one) for one in json.loads(done.stdout) if not one["ignored"]]
    except (ValueError, KeyError, TypeError, IndexError, StopIteration) as error:
        raise _no_answer("zizmor", done) from error


def _fault(one: Json) -> Finding:
    places = one["locations"]
    place = next((p for p in places if p["symbolic"]["kind"] == "Primary"), places[0])
    path = place["symbolic"]["key"]["Local"]["verbatim_path"]
    line = place["concrete"]["location"]["start_point"]["row"] + 1
    return Finding(f"{path}:{line}", f"{one['desc']} ({one['determinations']['severity'].lower()})", one["ident"])


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=900, check=False)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {command[0]} on PATH", "Run `make audit`, which makes the environment."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"{command[0]} gave no answer in 15 minutes", "Run it again later.") from error


def _no_answer(tool: str, done: subprocess.CompletedProcess[str]) -> Unreachable:
    said = (done.stderr.strip() or f"it ended with {done.returncode}").splitlines()[-1]
    return Unreachable(f"{tool} gave no answer: {said[:300]}", "Run it again later; the issue stays as it is.")


def issue_text(findings: list[Finding], unknown: list[str]) -> str:
    """The issue in Markdown. What others wrote stands in code, so that nothing of it is a link, a mention or HTML."""
    lines = [
        "Newer versions: `make lock UPGRADE=1`, then a pull request as for any change.",
        "The workflow `audit` keeps this issue up to date, and closes it when there is nothing left.",
        "",
        "| where | what | help |",
        "|---|---|---|",
        *("| " + " | ".join(map(_code, finding)) + " |" for finding in findings[:ROWS]),
    ]
    if len(findings) > ROWS:
        lines += ["", f"And {len(findings) - ROWS} more: `make audit`."]
    if unknown:
        lines += ["", f"Nothing is known of {len(unknown)} packages, the first of them {_code(unknown[0])}."]
    return "\n".join(lines)


def _code(text: Any) -> str:
    words = " ".join(re.sub(r"[`|\\]", " ", str(text)).split())
    return f"`{words[:200] or '-'}`"
