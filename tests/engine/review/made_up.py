"""Parameters, scored rows and evidence made up for the tests of a review."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from pipelines.config.params import parse
from pipelines.review.compare import Compared
from pipelines.review.gates.evidence import Evidence
from tests.engine.fixtures_model import SMALL, SmallModel


def params(task: str = "classification", **sections: dict[str, Any]) -> Any:
    """The small params.yaml of tests/engine/fixtures_model.py with changes, section by section."""
    document = yaml.load(SMALL, yaml.CSafeLoader)
    if task == "regression":
        document |= {"task": task, "selection": {"metric": "mae"}}
        document["schema"] = {key: value for key, value in document["schema"].items() if key != "positive"}
        document["schema"]["columns"]["returned"] = {"type": "number", "nullable": True}
        document["gates"] |= {"headline": "mae", "floors": {"mae": 1.0}, "regression": {"mae": 0.1}}
        document["slices"]["metric"] = "mae"
    for name, changes in sections.items():
        document[name] = {**document.get(name, {}), **changes}
    return parse(yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False))


def table(model: SmallModel) -> pa.Table:
    """The rows of a small model with keys and labels, as prepared/ would hold them."""
    columns = {name: pa.array(values, from_pandas=True) for name, values in model.raw.items()}
    rows = np.arange(len(model.raw["price"]))
    return pa.table({**columns, "order_id": rows.astype(str), "returned": rows % 3 == 0})


def compared(
    rows: int = 2000,
    task: str = "classification",
    skill: float = 1.0,
    base_skill: float | None = 1.0,
    seed: int = 1,
    share: float = 0.3,
    **columns: Any,
) -> Compared:
    """Rows with scores of two models. Skill is how much of the truth is in the score; equal skills, equal scores."""
    draw = np.random.default_rng(seed)
    truth, noise = draw.normal(size=rows), draw.normal(size=rows)
    target = (truth > np.quantile(truth, 1 - share)).astype(float) if task == "classification" else truth

    def scores(how_good: float) -> np.ndarray:
        mixed = how_good * truth + noise * (1.2 - how_good)
        return 1 / (1 + np.exp(-2 * (mixed - 1))) if task == "classification" else mixed

    threshold = 0.5 if task == "classification" else None
    base = None if base_skill is None else scores(base_skill)
    arrow = pa.table({"row": np.arange(rows), **columns})
    return Compared(task, arrow, target, scores(skill), threshold, base, threshold, left_out=0)


def evidence(
    task: str = "classification", sections: dict[str, dict[str, Any]] | None = None, **fields: Any
) -> Evidence:
    """Evidence of a comparison with the small params.yaml, with changes to its sections."""
    model = Path("model.onnx")
    if "params" not in fields:
        fields["params"] = params(task, **(sections or {}))
    return Evidence(**{"head": model, "base": model, "rows": 100, **fields})
