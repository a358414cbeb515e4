"""`python -m bench [SUBJECT...]`: measure, print a table, write bench/results.json; 1 if a target is missed."""

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import results
from bench.problem import Problem
from bench.results import Result

SUBJECTS = (
    "unchanged_review",
    "params_only",
    "bootstrap",
    "score_row",
    "score_boosters",
    "score_batch",
    "many_rows",
    "search",
    "drift",
    "serve",
    "release",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the named subjects, by default all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure the speed targets.")
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)}; all by default")
    chosen = parser.parse_args(arguments).subjects or list(SUBJECTS)
    if unknown := sorted(set(chosen) - set(SUBJECTS)):
        parser.error(f"there is no {', '.join(unknown)}; the subjects are {', '.join(SUBJECTS)}")
    measured = measure(chosen, Console(stderr=True, highlight=False))
    Console().print(table(measured))
    print(f"Written to bench/{results.PATH.name}.")
    return 0 if all(result.is_met for result in measured) else 1


def measure(subjects: Sequence[str], console: Console) -> list[Result]:
    """Measure subjects one after the other, showing progress on the console; each result is written at once."""
    measured: list[Result] = []
    order = [name for subject in SUBJECTS for name in names(subject)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, console.status("Starting") as status:
        problem = Problem(Path(folder), status.update)
        for subject in subjects:
            started = time.monotonic()
            results_of_subject = importlib.import_module(f"bench.{subject}").measure(problem, status.update)
            measured += results_of_subject if isinstance(results_of_subject, list) else [results_of_subject]
            results.save(measured, order)
            console.print(f"  {subject}  {time.monotonic() - started:.0f} s", markup=False)
    return measured


def names(subject: str) -> tuple[str, ...]:
    """Return the names of a subject's results."""
    module = importlib.import_module(f"bench.{subject}")
    return tuple(module.NAMES) if hasattr(module, "NAMES") else (module.NAME,)


def table(measured: Sequence[Result]) -> Table:
    """Return the results as a table."""
    shown = Table("subject", "value", "peer", "ratio", "target", "met")
    for result in measured:
        peers = "\n".join(f"{name}: {value:.3g} {result.unit}" for name, value in result.peers.items())
        shown.add_row(
            f"{result.name}\n[dim]{result.note}[/dim]" if result.note else result.name,
            f"{result.value:.3g} {result.unit}",
            peers,
            "" if result.ratio is None else f"{result.ratio:.3g}",
            result.target,
            "yes" if result.is_met else "[bold red]no[/bold red]",
        )
    return shown


if __name__ == "__main__":
    sys.exit(main())
