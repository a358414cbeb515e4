"""Searches of 30 trials on the default problem, from the start of the process to its end, against their fits alone."""

import json
import sys
import time

from bench.problem import Problem, must
from bench.results import Result
from bench.timing import Show

NAME = "search of 30 trials, from start to end"
TRIALS, RUNS = 30, 3
SPACE = {
    "max_iter": {"from": 60, "to": 400, "log": True},
    "learning_rate": {"from": 0.02, "to": 0.3, "log": True},
    "max_leaf_nodes": {"from": 8, "to": 64, "log": True},
    "min_samples_leaf": {"from": 10, "to": 100, "log": True},
    "l2_regularization": {"from": 0.0, "to": 10.0},
}
# Runs the verb, and prints the seconds of all fits after what the verb prints.
TIMED = f"""
import json, sys, time
from pipelines.__main__ import main
from pipelines.training import estimators
fit, seconds = estimators.fit, []
def timed(*arguments):
    started = time.perf_counter()
    fitted = fit(*arguments)
    seconds.append(time.perf_counter() - started)
    return fitted
estimators.fit = timed
code = main(["tune", "boosting", "--trials", "{TRIALS}"])
print(json.dumps([code, sum(seconds), len(seconds)]), file=sys.stderr)
"""


def measure(problem: Problem, show: Show) -> Result:
    """Run searches, each in a repository in which none has run, and return the one whose ratio is the median."""
    results = sorted((_search(problem, run, show) for run in range(RUNS)), key=lambda result: result.ratio or 0.0)
    return results[RUNS // 2]


def _search(problem: Problem, run: int, show: Show) -> Result:
    repo = problem.clone(problem.default, f"search-{run}")
    repo.params(lambda document: document.update(search={"spaces": {"boosting": SPACE}}))
    show(f"Searching, {TRIALS} trials, run {run + 1} of {RUNS}")
    started = time.perf_counter()
    done = must(repo.run(sys.executable, "-c", TIMED))
    seconds = time.perf_counter() - started
    code, fits, count = json.loads(done.last)
    return Result(
        name=NAME,
        value=seconds,
        unit="s",
        target="ratio <= 1.1",
        peers={"its fits alone": fits},
        sound=code == 0 and count >= TRIALS,
        note=f"median of {RUNS} searches; fits on one thread",
    )
