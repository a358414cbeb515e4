"""A search: read the rows once, try parameters, report, and commit the best ones on a branch."""

import math
import sys
import time
from collections.abc import Callable

import optuna
from optuna.trial import FrozenTrial
from threadpoolctl import threadpool_limits

from pipelines.cli.errors import AlreadyPrinted, InputError, first_line
from pipelines.cli.progress import Progress
from pipelines.cli.verbs import fit_threads, run_verb
from pipelines.config.metrics import METRICS, label
from pipelines.config.params import load
from pipelines.config.read import PATH
from pipelines.pages.numbers import number, of
from pipelines.tune import branch, mlflow_runs, page, study
from pipelines.tune.problem import Problem
from pipelines.tune.space import check, suggest, with_values


def tune(name: str, trials: int | None, seconds: float | None, started: float) -> int:
    """Search for parameters of a candidate, and commit the best ones on the branch `tune-CANDIDATE`.

    Run again after a kill it goes on, and with more trials it goes further.

    Args:
        trials: how many trials the search has in all, or None.
        seconds: without `trials`, how long it takes with those of earlier processes.
        started: when this process began, by the monotonic clock.

    Raises:
        AlreadyPrinted: if the rows cannot be prepared.
        InputError: if params.yaml has no such candidate or no space for it, the space does not fit the estimator, the
            rows are missing, or no trial has a score.
        Refused: if another process searches here, or the branch holds other commits.
        Unreachable: if the database of SEARCH_STORAGE does not respond.
    """
    progress, params = Progress(), load()
    if name not in params.candidates:
        raise InputError(f"there is no candidate {name!r}", f"Name one of {', '.join(params.candidates)}.")
    if name not in params.search.spaces:
        raise InputError(f"{PATH}: search.spaces.{name} is missing", "Name the parameters to try: docs/models.md.")
    branch.require_own_branch(name)
    _prepare(progress)
    with progress.step("Reading the rows"):
        problem = Problem(params)
    candidate, spaces, metric = params.candidates[name], params.search.spaces[name], params.selection.metric
    check(name, candidate, spaces, lambda chosen: problem.try_fit(name, chosen))
    direction: study.Direction = "minimize" if METRICS[metric].lower_is_better else "maximize"
    with (
        study.open_study(name, problem.identity(name), direction) as search,
        threadpool_limits(int(fit_threads()), user_api="openmp"),
    ):
        before = study.finished(search)
        if before:
            progress.print(f"Going on after {of(len(before), 'trial')}")
        if study.BASELINE not in search.user_attrs:
            with progress.step("Fitting the parameters of params.yaml"):
                search.set_user_attr(study.BASELINE, problem.score(name, candidate))
        progress.print(f"{label(metric)} of the parameters in {PATH}: {number(search.user_attrs[study.BASELINE])}")
        earlier = study.seconds_of(before)

        def is_spent() -> bool:
            if trials is not None:  # those that another process is at count as well
                return len(study.finished(search)) + study.running(search) >= trials
            return earlier + time.monotonic() - started >= (seconds or 0.0)

        _search(search, problem, name, is_spent, progress)
        return _end(search, problem, name, progress)


def _prepare(progress: Progress) -> None:
    """Reproduce prepared/ from the rows and features/ as they are now.

    Raises:
        AlreadyPrinted: if that fails.
    """
    with progress.step("Preparing the rows"):
        done = run_verb("repro", "--stage", "prepare", capture=True)
    if done.returncode:
        print(done.stderr, end="", file=sys.stderr)
        raise AlreadyPrinted(done.returncode)


def _search(
    search: optuna.Study, problem: Problem, name: str, is_spent: Callable[[], bool], progress: Progress
) -> None:
    """Run trials until the budget is spent; a trial that fails is recorded, and the search goes on."""
    params = problem.params
    candidate, spaces = params.candidates[name], params.search.spaces[name]

    def objective(trial: optuna.Trial) -> float:
        values = suggest(trial, spaces)
        trial.set_user_attr(study.VALUES, values)
        try:
            score = problem.score(name, with_values(name, candidate, values))
            if math.isfinite(score):
                return score
            raise InputError("its score is not defined", "")
        except Exception as error:  # of the estimator, or of memory
            trial.set_user_attr(study.ERROR, first_line(error))
            raise

    def report(_: optuna.Study, trial: FrozenTrial) -> None:
        """Print every failure, every new best, and every tenth trial."""
        title, best = f"trial {trial.number + 1}", study.best(search)
        if trial.value is None:
            progress.print(f"  {title} failed: {trial.user_attrs.get(study.ERROR, '')}")
        elif (is_best := best is not None and best.number == trial.number) or (trial.number + 1) % 10 == 0:
            shown = f"{title}: {number(trial.value)}{', the best so far' * is_best}"
            progress.done(shown, study.seconds_of([trial]))

    while not is_spent():
        done = len(study.finished(search))
        search.sampler = study.sampler(params.search.seed, done, several=study.shared_url() is not None)
        with progress.console.status(f"Trial {done + 1}"):
            search.optimize(objective, n_trials=1, catch=(Exception,), callbacks=[report])


def _end(search: optuna.Study, problem: Problem, name: str, progress: Progress) -> int:
    best, metric, trials = study.best(search), problem.params.selection.metric, study.finished(search)
    if not trials:
        raise InputError("SECONDS passed before the first trial", "Give more.")
    if best is None or best.value is None:
        raise InputError(
            f"no trial has a score; the last one: {trials[-1].user_attrs[study.ERROR]}",
            f"Fix search.spaces.{name} in {PATH}.",
        )
    baseline = search.user_attrs[study.BASELINE]
    with progress.step("Drawing the page"):
        page.write(search, problem.params, name)
    if why_not_logged := mlflow_runs.log(search, problem.params, name, progress):
        progress.print(why_not_logged)
    found = (
        f"Best of {of(len(trials), 'trial')}: {label(metric)} {number(best.value)} on the validation rows; "
        f"the parameters in {PATH} have {number(baseline)}."
    )
    progress.print(f"{found} See {page.path_of(name)}.")
    better = best.value < baseline if METRICS[metric].lower_is_better else best.value > baseline
    if not better:
        print(f"No trial is better than the parameters in {PATH}; no branch was made.")
        return 0
    body = f"{found}\n\nThe best of many trials is biased upwards: the review compares on the test rows."
    made = branch.commit_values(name, best.user_attrs[study.VALUES], body)
    also = f" and your uncommitted changes of {PATH}" if branch.has_uncommitted_changes() else ""
    print(f"Branch {made} holds the best parameters{also}. Review it: `git switch {made} && make review`.")
    return 0
