"""Gate `history`: a metric of the head is not worse than that of any of the last versions, nor of the best one.

Small losses that pass one by one against the base add up.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

import ibis.expr.types as ir
import numpy as np
from rich.console import Console

from pipelines.cli.errors import InputError, MainlineError
from pipelines.cli.progress import Progress
from pipelines.config.metrics import gain
from pipelines.config.params import Params
from pipelines.config.paths import MODEL
from pipelines.model.metrics import Weighted, paired_bootstrap, too_few
from pipelines.model.scorer import Scorer
from pipelines.pages.numbers import describe_change
from pipelines.repository import base_model, tags
from pipelines.repository.dvc import file_md5
from pipelines.repository.tags import Version
from pipelines.review.compare import inputs_of_all, unseen_test_rows
from pipelines.review.earlier_model import EarlierModel, comparable_model
from pipelines.review.findings import GateResult, HistoryRow
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.metrics import absolute_tolerance
from pipelines.tables.costs import costs_of
from pipelines.tables.rows import load_rows

ERROR_RATE = 0.025  # one-sided, over all versions and metrics together: that of a 95 % confidence interval
NORMAL = NormalDist()
RESAMPLES = 200  # enough for a standard error, from which the gate takes p-values too small to count resamples for


def history_gate(evidence: Evidence) -> Iterator[GateResult]:
    """A result for each metric of `gates.history.regression`, from the version that it lost most against.

    It fails if the loss is shown to be beyond the tolerance (Holm, 1979, over all versions and metrics): of several
    versions one always looks better by chance. Where the rows are too few to show a loss of twice the tolerance, it is
    not evaluated.
    """
    history = evidence.params.gates.history
    if history is None:
        return
    tests = []
    unclear: dict[str, GateResult] = {}
    for row in evidence.history:
        allowed = None
        why = row.shortage or f"{row.metric} is not defined in each resample"
        if not math.isnan(row.error):
            allowed = absolute_tolerance(
                row.metric, history.regression[row.metric], row.value, evidence.prevalence or 0.0
            )
            why = "the version has no skill: give an absolute tolerance"
        if allowed is None:
            name, why = f"history {row.metric}", f"{why} ({row.version})"
            unclear.setdefault(name, GateResult(name, False, None, None, why, evaluated=False))
        else:
            tests.append((_p_value(row, allowed.amount), row, allowed))
    yield from unclear.values()
    tests.sort(key=lambda test: test[0])
    failing, shown = True, set()
    for rank, (p_value, row, allowed) in enumerate(tests):
        level = ERROR_RATE / (len(tests) - rank)
        failing = failing and p_value <= level
        if row.metric in shown:
            continue
        shown.add(row.metric)
        reach = NORMAL.inv_cdf(1 - level) * row.error
        change = describe_change(row.metric, row.delta, row.delta - reach, row.delta + reach)
        why = f"{change} since {row.version}, on {row.rows:,} rows; {allowed.text}"
        evaluated = failing or reach <= allowed.amount
        if not evaluated:
            why += "; these rows cannot show it"
        best = gain(row.metric, row.delta) + reach
        passed = evaluated and not failing
        yield GateResult(f"history {row.metric}", passed, best, -allowed.amount, why, evaluated=evaluated)


def _p_value(row: HistoryRow, tolerance: float) -> float:
    """The probability of such a loss or a larger one if the true loss is the tolerance."""
    beyond = gain(row.metric, row.delta) + tolerance
    if row.error == 0:
        return float(beyond >= 0)
    return NORMAL.cdf(beyond / row.error)


def measure(
    table: ir.Table, params: Params, split: dict[str, Any], head: Scorer, base: EarlierModel | None
) -> tuple[list[HistoryRow], list[str]]:
    """Compare the head with each of the last versions that were not rolled back, and with the best of all.

    All are scored on the head's test rows that none of them, nor the base, was trained on.

    Args:
        base: None if there is no base to compare with.

    Returns:
        The differences, and notes that say which versions are not compared, and why.
    """
    if params.gates.history is None:
        return [], []
    earlier, notes = _earlier_models(table, params, params.gates.history.versions)
    if not earlier:
        return [], notes
    test = unseen_test_rows(table, params, split, [*earlier.values(), *([base] if base else [])])
    rows = load_rows(test, params, inputs_of_all(head, earlier.values()))
    if shortage := too_few(params.task, rows.target):
        why = f"{shortage} among the test rows that none of these models was trained on"
        return [
            HistoryRow(tag, metric, math.nan, math.nan, math.nan, len(rows), why)
            for tag in earlier
            for metric in params.gates.history.regression
        ], notes
    costs = costs_of(rows.arrow, rows.target, params.value)
    models = [
        Weighted(params.task, rows.target, model.score(rows), model.signature.threshold, costs)
        for model in (EarlierModel(head), *earlier.values())
    ]
    metrics = tuple(params.gates.history.regression)
    values = [model.values() for model in models]
    resampled = paired_bootstrap(models, len(rows), RESAMPLES, params.gates.seed, only=metrics)
    return [
        HistoryRow(
            version=tag,
            metric=metric,
            value=values[i][metric],
            delta=values[0][metric] - values[i][metric],
            error=float(np.std(resampled[0][metric] - resampled[i][metric], ddof=1)),
            rows=len(rows),
        )
        for i, tag in enumerate(earlier, start=1)
        for metric in metrics
    ], notes


def _earlier_models(table: ir.Table, params: Params, count: int) -> tuple[dict[str, EarlierModel], list[str]]:
    """The models of the last versions and of the best comparable one, by tag; notes on those that are not compared.

    The last versions alone are a moving window, in which a slow decline passes.
    """
    models: dict[str, EarlierModel] = {}
    notes: list[str] = []

    def add(version: Version) -> None:
        try:
            models[version.tag] = _comparable_model(table, params, version.commit)
        except MainlineError as error:
            notes.append(f"Not compared with {version.tag}: {str(error).splitlines()[0]}.")

    last, best = _last_and_best(params, count)
    for version in last:
        add(version)
    for version in best[:count]:
        if version not in last:
            add(version)
        if version.tag in models:
            break
    return models, notes


def _last_and_best(params: Params, count: int) -> tuple[list[Version], list[Version]]:
    """The last versions that were not rolled back; and all whose headline metric a tag gives, the best first.

    An assignment's tag gives it. Of versions with one model the newest counts, and none with the head's.
    """
    lasting = tags.list_lasting_versions(params.model_name)
    newest = {version.annotation.model: version for version in reversed(lasting)}
    newest.pop(file_md5(MODEL), None)
    headline = params.gates.headline
    gains = {
        item.version: gain(headline, item.annotation.metrics[headline])
        for item in tags.list_assignments(params.model_name)
        if headline in item.annotation.metrics
    }
    last = [version for version in lasting[:count] if version in newest.values()]
    known = [version for version in newest.values() if version.tag in gains]
    return last, sorted(known, key=lambda version: (gains[version.tag], version.number), reverse=True)


def _comparable_model(table: ir.Table, params: Params, commit: str) -> EarlierModel:
    """The model of a commit, which is never reproduced.

    Raises:
        MainlineError: if the model cannot be fetched, or not be compared.
    """
    model = base_model.fetch_stored(commit, Progress(Console(quiet=True)))
    if model is None:
        raise InputError("its model is in no cache and no remote", "")
    scorer = Scorer(model.model, model.signature)
    signature = scorer.signature
    if (signature.task, signature.target) != (params.task, params.table.target):
        raise InputError(f"it predicts {signature.target} by {signature.task}", "")
    return comparable_model(table, params, scorer, commit)
