"""What the head passes only because its rules are weaker than the base's: its gates and its critical cases."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from pipelines.config.params import Params
from pipelines.model import critical_cases
from pipelines.model.critical_cases import CriticalResult
from pipelines.model.scorer import Scorer
from pipelines.repository.git import git, text_at
from pipelines.review.base_rules import BaseRules, base_rules, data_errors_by_base, is_new_reason
from pipelines.review.findings import GateResult, ParamChange
from pipelines.review.gates import GATES, evaluate
from pipelines.review.gates.checks import critical_gate
from pipelines.review.gates.evidence import Evidence
from pipelines.review.gates.files import scoring_time_gate

GROUP = "weaker rules"
REMEDY = "Restore the rule, or give the reason in gates.allow_weaker"
Measure = Callable[[Params], Evidence]
"""The measurements by the settings of these parameters."""


def weaker_results(
    base_sha: str, own: Sequence[GateResult], evidence: Evidence, scorer: Scorer, measure: Measure
) -> tuple[tuple[GateResult, ...], tuple[ParamChange, ...]]:
    """Judge the head by the base's rules as well.

    Args:
        own: results by the head's own rules.
        evidence: what they were made from.
        measure: measures again by other settings; called only if the base's differ.

    Returns:
        A failed result for each gate that the head passes by its own rules alone, and every rule that it weakened.
    """
    rules = base_rules(text_at(base_sha, "params.yaml"), evidence.params)
    if rules is None:
        return (), ()
    failed = {result.name for result in own if result.blocks and not result.passed}
    kept, removed = _judge_cases_of_base(base_sha, scorer)
    results = [result for result in _by_base(rules, evidence, kept, measure) if result.name not in failed]
    results += [result for result, _ in removed if result.name not in failed]
    results += [
        GateResult(change.path, False, None, None, f"this code cannot read the base's {change.path}")
        for change in rules.unreadable
    ]
    changes = (*rules.weaker, *rules.unreadable, *(change for _, change in removed))
    allowed = bool(results) and is_new_reason("allow_weaker", evidence.params.gates.allow_weaker, base_sha)
    return tuple(_as_weaker(result, evidence, allowed) for result in results), changes


def _as_weaker(result: GateResult, evidence: Evidence, allowed: bool) -> GateResult:
    """The result under another name; it does not block in a restore, or if the head gives a new reason."""
    reason = evidence.params.gates.allow_weaker
    note = f"Allowed: {reason}" if allowed else f"{REMEDY}."
    if reason and not allowed:
        note = f"{REMEDY}; an earlier params.yaml of the base gives this reason already."
    blocks = result.blocks and not allowed and evidence.kind != "restore"
    why = f"{result.why.rstrip('.')}. {note}"
    return replace(result, name=f"{GROUP}: {result.name}", why=why, blocks=blocks, group=GROUP)


def _by_base(
    rules: BaseRules, evidence: Evidence, critical: tuple[CriticalResult, ...], measure: Measure
) -> list[GateResult]:
    """What blocks by the base's rules: gates that failed, or were not evaluated where that blocks, and the split."""
    measured = evidence
    if rules.params == evidence.params:
        skipped = {gate for gate in GATES if gate.evaluate is not critical_gate}
    else:
        measured = replace(measure(rules.params), data_errors=data_errors_by_base(rules))
        # Measured a second time by the same limit, it could fail by chance.
        same_time = rules.params.gates.scoring_time_ratio >= evidence.params.gates.scoring_time_ratio
        skipped = {gate for gate in GATES if same_time and gate.evaluate is scoring_time_gate}
    judged = replace(measured, critical=critical, kind="comparison")
    results = evaluate(judged, [gate for gate in GATES if gate not in skipped])
    failed = [
        replace(result, why=f"{result.state} by the base's rules: {result.why}")
        for result in results
        if result.blocks and not result.passed
    ]
    if (rows := evidence.test_rows) < (rows_by_base := judged.test_rows):
        why = f"{rows:,} test rows; by the base's split, these rows give {rows_by_base:,}"
        failed.append(GateResult("split", False, rows, rows_by_base, why))
    return failed


def _judge_cases_of_base(
    base_sha: str, scorer: Scorer
) -> tuple[tuple[CriticalResult, ...], list[tuple[GateResult, ParamChange]]]:
    """The results of the base's critical cases that the head still asks, and those that it does not ask any more."""
    own, fields = critical_cases.load(), scorer.signature.names
    kept, removed = [], []
    paths = git("ls-tree", "--name-only", "-z", base_sha, f"{critical_cases.FOLDER}/").split("\0")
    for path in (path for path in paths if path.endswith(".yaml")):
        cases, unreadable = critical_cases.parse_base_cases(text_at(base_sha, path) or "", path)
        for name in unreadable:
            gate = GateResult(f"critical: {name}", False, None, None, "this code cannot read the base's case")
            removed.append((gate, ParamChange(gate.name, "cannot be read", None)))
        for case in cases:
            result = critical_cases.judge(scorer, case)
            if any(critical_cases.asks_no_less(own_case, case, fields) for own_case in own):
                if result.probability is not None:
                    kept.append(result)
                continue
            same = next((own_case for own_case in own if own_case.name == case.name), None)
            what = "expects less than the base's, or of other values" if same else "was removed"
            outcome = "cannot be scored" if result.probability is None else "would pass" if result.passed else "fails"
            why = f"the case {what}; by the base's it {outcome} (expected {result.expected})"
            gate = GateResult(f"critical: {case.name}", False, result.probability, None, why, case.level == "must")
            head = None if same is None else critical_cases.judge(scorer, same).expected
            removed.append((gate, ParamChange(gate.name, result.expected, head)))
    return tuple(kept), removed
