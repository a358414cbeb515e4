"""A search of 30 trials on the default problem, from the start of its process to its end, against its fits alone."""

from __future__ import annotations

import json
import sys
import time

from bench.problem import Problem, must, threads
from bench.results import Result
from bench.timing import Show

NAME = "search of 30 trials"
TRIALS = 30
SPACE = {
    "max_iter": {"from": 60, "to": 400, "log": True},
    "learning_rate": {"from": 0.02, "to": 0.3, "log": True},
    "max_leaf_nodes": {"from": 8, "to": 64, "log": True},
    "min_samples_leaf": {"from": 10, "to": 100, "log": True},
    "l2_regularization": {"from": 0.0, "to": 10.0},
}
# Runs the verb, and prints the seconds of all fits.
TIMED = f"""
import json, time
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
print(json.dumps([code, sum(seconds), len(seconds)]))
"""


def measure(problem: Problem, show: Show) -> Result:
    """Run one search, in a repository in which none has run."""
    repo = problem.clone(problem.default, "search")
    repo.params(lambda document: document.update(search={"spaces": {"boosting": SPACE}}))
    show(f"Searching, {TRIALS} trials")
    started = time.perf_counter()
    done = must(repo.run(sys.executable, "-c", TIMED, **threads()))
    seconds = time.perf_counter() - started
    code, fits, count = json.loads(done.last)
    return Result(
        name=NAME,
        value=seconds,
        unit="s",
        peers={"its fits alone": fits},
        target="ratio <= 1.1",
        sound=code == 0 and count >= TRIALS,
    )
