"""Find inputs that nearly are the target, alone or together, before anything is trained."""

import ibis.expr.types as ir

from pipelines.adopt.draft import Draft
from pipelines.config.params import Params
from pipelines.model.inputs import inputs_of
from pipelines.tables.bin_scores import bin_scores
from pipelines.tables.leak_scores import Sample
from pipelines.tables.split import split_boundaries

MOST = 5  # inputs that joint scores may flag; with more, a person must look


def flag_leaks(table: ir.Table, params: Params, draft: Draft) -> None:
    """Mark inputs as known only after the prediction if they predict the target better than `validation.leak_score`.

    The score is the AUC or R2 of a small tree or a linear model on rows that it was not fitted on, less two standard
    errors. If all inputs together reach it, and none alone, the one is marked without which the others do worst.
    """
    limit, measure = params.validation.leak_score, "AUC" if params.task == "classification" else "R2"
    sample = Sample(table, params, split_boundaries(table, params), inputs_of(params))
    names = [name for name in draft.use if name in params.inputs]
    by_bins = bin_scores(table, params, set())  # as validation has it
    for name in list(names):
        alone = sample.leak_score([name])
        score = max(by_bins.get(name, 0.0), alone.value - 2 * alone.error)
        if score >= limit:
            _mark(draft, name, f"alone it predicts {draft.target.name} with {measure} {score:.3f}")
            names.remove(name)
    for _ in range(MOST):
        together = sample.leak_score(names)
        joint = together.value
        if len(names) < 2 or joint - 2 * together.error < limit:
            return
        without = {name: sample.leak_score([other for other in names if other != name]).value for name in names}
        name = min(without, key=lambda name: without[name])
        rest = f"all inputs together predict {draft.target.name} with {measure} {joint:.3f}, "
        _mark(draft, name, f"{rest}without it {without[name]:.3f}")
        names.remove(name)
    draft.unsure.append(f"{draft.target.name} can be computed from its inputs nearly exactly: is it known before?")


def _mark(draft: Draft, name: str, why: str) -> None:
    draft.after[name] = why
    draft.unsure.append(f"{name} looks like a leak: {why}")
