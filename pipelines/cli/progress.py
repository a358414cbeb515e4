"""Print the steps of a command that takes longer than a second, and write what a job of GitHub shows or hands on."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console


class Progress:
    """Steps on stderr: a spinner with seconds on a terminal, one line when done elsewhere."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Show a step while the block runs, and how long it took if that was longer than half a second."""
        started = time.monotonic()
        with self.console.status(name):
            yield
        seconds = time.monotonic() - started
        if seconds >= 0.5:
            self.done(name, seconds)

    def done(self, name: str, seconds: float) -> None:
        """Print one line for a step that has ended."""
        self.console.print(f"  {name}  {seconds:.1f} s", markup=False)

    def print(self, line: str) -> None:
        """Print one line."""
        self.console.print(line, markup=False, soft_wrap=True)


def write_for_job(variable: str, text: str) -> None:
    """Append to the file of GitHub's job that GITHUB_OUTPUT or GITHUB_STEP_SUMMARY names; elsewhere, do nothing."""
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
