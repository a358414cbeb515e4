"""Stage `export`: write the winner as models/model.onnx, and its signature as models/signature.json."""

import json
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from pipelines.cli.errors import InputError
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import rounded, write_bytes, write_json
from pipelines.config.paths import CANDIDATES, MODEL, SELECTION, SIGNATURE
from pipelines.config.read import read_sections
from pipelines.config.selection import SelectionParams, Threshold
from pipelines.config.table_schema import TableParams
from pipelines.model.inputs import inputs_of
from pipelines.model.signature import Input
from pipelines.model.threshold import choose_threshold
from pipelines.tables.costs import costs_of
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import Rows, load_rows
from pipelines.tables.split import load_split, rows_on_side
from pipelines.training.select import candidate_scores, draft_signature


def example_row(rows: Rows, inputs: tuple[Input, ...]) -> dict[str, Any]:
    """Return a plausible request that is no row of the table: the median or most frequent value of each field."""
    example: dict[str, Any] = {}
    for item in inputs:
        values = rows.inputs[item.name]
        if item.sensitive:
            value = None if item.nullable else _neutral(item)
        elif item.type == "category":
            categories, counts = np.unique(values.astype(str), return_counts=True)
            value = str(categories[np.argmax(counts)]) or None
        elif item.type == "timestamp":
            value = str(np.datetime64(int(np.median(values)), "s")) + "Z"
        else:
            median = _neutral(item) if np.isnan(values).all() else float(np.nanmedian(values))
            value = round(median) if item.type in ("boolean", "integer") else median
            value = bool(value) if item.type == "boolean" else value
        example[item.name] = rounded(value)
    return example


def _neutral(item: Input) -> Any:
    """Return a valid value that reveals nothing about a row."""
    if item.type == "category":
        return item.allowed[0] if item.allowed else "unknown"
    if item.type == "timestamp":
        return "1970-01-01T00:00:00Z"
    return item.min if item.min is not None else item.max if item.max is not None else 0


def classes_of(params: TableParams) -> tuple[str, ...]:
    """Return the names of the two classes, the positive one last; empty for a regression."""
    if params.table.positive is None:
        return ()
    column = params.table.columns[params.table.target]
    names = column.allowed or (("false", "true") if column.type == "boolean" else ("0", "1"))
    others = [name for name in names if name != params.table.positive]
    return (others[0] if len(others) == 1 else "other", params.table.positive)


def main() -> None:
    """Export the winner of the selection."""
    params = read_sections(SelectionParams)
    winner = json.loads(SELECTION.read_text(encoding="utf-8"))["winner"]
    path = CANDIDATES / f"{winner}.onnx"
    if not path.is_file():
        raise InputError(f"{path} is missing", "Reproduce the pipeline: `make repro`.")
    inputs = inputs_of(params)
    split = load_split()
    rows = load_rows(rows_on_side(read_rows(connect()), params, split, "validation"), params, inputs)
    signature = draft_signature(params, winner, inputs)
    if params.task == "classification":
        scores = candidate_scores(params, path, rows.inputs)
        costs = costs_of(rows.arrow, rows.target, params.value)
        threshold = rounded(choose_threshold(rows.target, scores, params.selection.threshold or Threshold(), costs))
        signature = replace(signature, classes=classes_of(params), threshold=threshold)
    if split["by"] == "time":
        signature = replace(signature, trained_until=split["test_from"])
    else:
        signature = replace(signature, split={k: v for k, v in split.items() if k != "counts"})
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"model_name": params.model_name, "task": params.task, "candidate": winner})
    write_bytes(MODEL, model.SerializeToString(deterministic=True))
    write_json(SIGNATURE, replace(signature, example=example_row(rows, inputs)).to_json())
    decided = "" if signature.threshold is None else f", threshold {signature.threshold:g}"
    print(f"{MODEL}: {winner}{decided}")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
