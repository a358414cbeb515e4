"""The model card of reports/model_card.md."""

from pipelines.config.selection import ComparedParams
from pipelines.model.signature import Signature
from pipelines.tables.split import SIDES


def model_card(
    params: ComparedParams,
    signature: Signature,
    metrics: dict[str, float],
    rows: int,
    importance: dict[str, float],
    sides: dict[str, dict[str, int]],
) -> str:
    """Return the model card (Mitchell et al., 2019) in Markdown: purpose, data, metrics and importance.

    Args:
        metrics: metric -> value on the test rows.
        importance: input -> loss of the selection metric when it is shuffled.
        sides: side of the split -> its counts.
    """
    candidate = params.candidates[signature.candidate]
    kinds = ("rows", "positives") if params.task == "classification" else ("rows",)
    lines = [
        f"# Model card: {params.model_name}",
        "",
        f"A {params.task} of `{params.table.target}` by `{candidate.estimator}` (candidate `{signature.candidate}`), "
        f"shipped as one ONNX graph that reads {len(signature.inputs)} raw fields.",
        "",
        f"## Metrics on {rows:,} test rows",
        "",
        "| metric | value |",
        "|---|---:|",
        *[f"| {name} | {value:.4f} |" for name, value in metrics.items()],
        "",
        "## Rows",
        "",
        f"| side | {' | '.join(kinds)} |",
        "|---|" + "---:|" * len(kinds),
        *[f"| {side} | " + " | ".join(f"{sides[side][kind]:,}" for kind in kinds) + " |" for side in SIDES],
        "",
        "The test rows are the newest; nothing is chosen on them."
        if signature.trained_until
        else "A hash of the key assigns each row to a side; nothing is chosen on the test rows.",
        "",
        "## Importance",
        "",
        f"Loss of {params.selection.metric} when a field is shuffled:",
        "",
        "| field | loss |",
        "|---|---:|",
        *[f"| {name} | {value:.4f} |" for name, value in sorted(importance.items(), key=lambda i: -i[1])],
    ]
    if signature.threshold is not None:
        decision = f"is predicted as {signature.classes[-1]} from a probability of {signature.threshold:g} on."
        lines += ["", "## Decision", "", f"`{params.table.target}` {decision}"]
    if sensitive := sorted(params.table.sensitive):
        used = [name for name in sensitive if name in signature.names]
        columns = f"{', '.join(sensitive)}; read by the model: {', '.join(used) or 'none'}."
        lines += ["", "## Sensitive columns", "", columns]
    return "\n".join(lines) + "\n"
