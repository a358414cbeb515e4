"""Evidently pages of a pass: its predictions beside a sample of the training rows of the version that made them.

No alarm depends on them. `monitor.evidently` names the presets; both sides are at most 10,000 rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ibis.expr.types as ir

from pipelines.cli.errors import InputError, MainlineError
from pipelines.cli.files import write_bytes
from pipelines.cli.progress import Progress
from pipelines.config.params import parse
from pipelines.config.read import PATH
from pipelines.model.scorer import Scorer
from pipelines.model.signature import Signature
from pipelines.pages.evidently_sample import column_kinds, drift_preset, sample, sampled
from pipelines.predictions import window
from pipelines.predictions.labels import TARGET
from pipelines.repository import base_model, dvc_lock
from pipelines.repository.dvc import fetch_folder
from pipelines.repository.git import text_at
from pipelines.tables.data import connect
from pipelines.tables.rows import load_rows
from pipelines.tables.split import load_split, rows_on_side

# Columns of a page besides the inputs, whose names hold no space.
SCORE, LABEL = "model score", "known label"
PAGES = {
    "evidently.html": ("DataDriftPreset", "DataSummaryPreset"),
    "evidently_quality.html": ("ClassificationPreset", "RegressionPreset"),
}


def write_pages(
    folder: Path,
    presets: Sequence[str],
    commit: str,
    predictions: ir.Table,
    labelled: ir.Table | None,
    progress: Progress,
) -> list[str]:
    """Write evidently.html and evidently_quality.html, as far as presets ask for them.

    Args:
        commit: of the version that made the predictions.
        predictions: those of the pass (`Window.table`), for the presets of the data.
        labelled: matured predictions of the pass with their label in TARGET, for the presets of quality; None without
            any.

    Returns:
        A sentence for each page: where it is, or why there is none.
    """
    wanted = {file: chosen for file, names in PAGES.items() if (chosen := [name for name in presets if name in names])}
    if not wanted:
        return []
    try:
        signature, reference = load_reference(commit, progress)
    except MainlineError as error:
        return [f"no Evidently page: {error}"]
    sides = dict(zip(PAGES, (predictions, labelled), strict=True))
    return [_write_page(folder / file, names, sides[file], signature, reference) for file, names in wanted.items()]


def _write_page(path: Path, presets: Sequence[str], side: ir.Table | None, signature: Signature, reference: Any) -> str:
    if side is None:
        return f"no {path.name}: no label of this pass has arrived"
    try:
        current = _frame(side, signature)
        text = _draw(presets, current, reference[list(current.columns)], signature)
    except Exception as error:  # unchecked rows can make Evidently or DuckDB raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:160]
        return f"no {path.name}: it cannot be drawn ({reason})"
    write_bytes(path, text.encode())
    return f"{path.name}: {len(current):,} predictions beside {len(reference):,} training rows"


def load_reference(commit: str, progress: Progress) -> tuple[Signature, Any]:
    """Return a version's signature, and a sample of its training rows as pandas, with its scores and their labels.

    Raises:
        MainlineError: if the rows or the model are in no cache and no remote, or do not fit the settings.
    """
    md5 = dvc_lock.prepared_md5(text_at(commit, str(dvc_lock.PATH)))
    files = fetch_folder(md5, progress) if md5 else ()
    base = base_model.fetch_stored(commit, progress)
    if not files or base is None or base.split is None:
        raise InputError(
            f"the training rows or the model of {commit[:12]} are in no cache and no remote", "Set DVC_REMOTE_URL."
        )
    params = parse(text_at(commit, str(PATH)) or "", f"{PATH} of {commit[:12]}")
    scorer = Scorer(base.model, base.signature)
    table = connect().read_parquet([str(path) for path in files], union_by_name=True)
    train = sampled(rows_on_side(table, params, load_split(base.split), "train"), params.table.key)
    rows = load_rows(train, params, scorer.signature.inputs)
    frame = rows.arrow.select([item.name for item in _shown(scorer.signature)]).to_pandas()
    return scorer.signature, frame.assign(**{SCORE: scorer.score(rows.inputs), LABEL: rows.target})


def _shown(signature: Signature) -> list[Any]:
    return [item for item in signature.inputs if not item.sensitive]  # of those the log holds hashes


def _frame(side: ir.Table, signature: Signature) -> Any:
    others = {name: shown for name, shown in {window.SCORE: SCORE, TARGET: LABEL}.items() if name in side.columns}
    return sample(side, window.REQUEST_ID, [*(item.name for item in _shown(signature)), *others]).rename(columns=others)


def _draw(presets: Sequence[str], current: Any, reference: Any, signature: Signature) -> str:
    from evidently import BinaryClassification, DataDefinition, Dataset, Regression, Report
    from evidently.presets import ClassificationPreset, DataSummaryPreset, RegressionPreset

    kinds = column_kinds({item.name: item.type for item in _shown(signature)})
    kinds["numerical_columns"].append(SCORE)
    tasks: dict[str, Any] = {}
    if LABEL in current and signature.task == "classification":
        current, reference = (frame.astype({LABEL: int}) for frame in (current, reference))
        tasks["classification"] = [BinaryClassification(target=LABEL, prediction_probas=SCORE, pos_label=1)]
    elif LABEL in current:
        tasks["regression"] = [Regression(target=LABEL, prediction=SCORE)]
    made = {
        "DataDriftPreset": drift_preset,
        "DataSummaryPreset": DataSummaryPreset,
        "ClassificationPreset": lambda: ClassificationPreset(probas_threshold=signature.threshold),
        "RegressionPreset": RegressionPreset,
    }
    definition = DataDefinition(**kinds, **tasks)
    sides = [Dataset.from_pandas(frame, data_definition=definition) for frame in (current, reference)]
    report = Report([made[name]() for name in presets], include_tests=False)
    return str(report.run(*sides).get_html_str(as_iframe=False))
