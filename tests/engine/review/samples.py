"""Findings of every kind for the tests of the report, with the figures of the default problem."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from pipelines.config.params import parse
from pipelines.model.critical_cases import CriticalResult
from pipelines.pages.charts import Plot
from pipelines.review.findings import (
    CandidateRow,
    DataChange,
    DataError,
    FeatureChanges,
    Findings,
    GateResult,
    GroupRow,
    MetricRow,
    ParamChange,
    Side,
    SliceRow,
    StageRow,
)
from pipelines.review.gates import GATES, Gate, evaluate
from pipelines.review.gates.evidence import Evidence
from tests.engine.fixtures_repo import PARAMS

HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> | `a` ``b`` **bold** _it_ [link](http://evil.example) "
    "![i](http://evil.example/i.png) @octocat #123 GH-7 acme/repo#9 www.evil.example https://evil.example/x "
    "a@b.example $x^2$ :tada: &amp; \\| \\` \n\n# heading\n- item\n```\nfence\u202eright to left\x00\ud800"
)
BASE_MODEL, HEAD_MODEL = "0d2f6a9b8c7e6d5f4a3b2c1d0e9f8a7b", "5b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e"
CHANNELS = ("chip", "contactless", "online", "stripe")
CATEGORIES = (
    "airline", "clothing", "electronics", "fuel", "gambling", "gift_cards", "groceries", "pharmacy", "restaurant",
    "travel",
)  # fmt: skip
IMPORTANCE = {
    "amount": 0.446526, "channel": 0.190141, "new_device": 0.159904, "merchant_category": 0.136812,
    "merchant_country": 0.131249, "card_country": 0.12854, "minutes_since_last": 0.126806, "paid_at": 0.0819482,
    "usual_amount": 0.0453023, "payments_1h": 0.00718742, "payments_24h": -0.00124596,
}  # fmt: skip
CANDIDATES = (
    CandidateRow(
        "boosting", "HistGradientBoostingClassifier", "learning_rate 0.1 → 0.06; max_iter 150 → 250",
        {"average_precision": 0.807975, "brier": 0.00435097, "log_loss": 0.0180142, "roc_auc": 0.987354},
        0.7702, 0.8411, 388_123,
    ),
    CandidateRow(
        "forest", "SimpleImputer → RandomForestClassifier", "new",
        {"average_precision": 0.730923, "brier": 0.00616508, "log_loss": 0.0254238, "roc_auc": 0.981586},
        0.6893, 0.7712, 2_412_000,
    ),
    CandidateRow(
        "logistic", "SimpleImputer → StandardScaler → LogisticRegression", "",
        {"average_precision": 0.484421, "brier": 0.00822052, "log_loss": 0.0346506, "roc_auc": 0.945475},
        None, None, 5_012,
    ),
)  # fmt: skip


def metrics(shift: float = 0.0) -> tuple[MetricRow, ...]:
    """The metrics of the default problem; `shift` moves the head's by so many tenths of a point, positive is better."""
    values = {
        "average_precision": (0.7612, 0.0198, 0.0117), "roc_auc": (0.97641, 0.0026, 0.0022),
        "log_loss": (0.020411, -0.00061, 0.00072), "brier": (0.0047122, -0.00011, 0.00018),
        "calibration_error": (0.00091124, 0.000081, 0.00042), "precision": (0.8581, 0.0141, 0.031),
        "recall": (0.5801, 0.0168, 0.021), "f1": (0.69224, 0.0165, 0.0179),
    }  # fmt: skip
    lower = ("log_loss", "brier", "calibration_error")
    rows = []
    for name, (base, delta, reach) in values.items():
        moved = delta * (1 + shift)
        low, high = moved - reach, moved + reach * 0.94
        rows.append(MetricRow(name, base, base + moved, moved, low, high, name in lower))
    return tuple(rows)


def slices(broken: tuple[str, ...] = ()) -> tuple[SliceRow, ...]:
    """Twenty slices, one of them too small to evaluate."""
    names = [f"channel={value}" for value in CHANNELS] + [f"merchant_category={value}" for value in CATEGORIES]
    names += ["large_amount", "abroad_cards", "at_night", "weekend", "new_customers", "merchant_category=missing"]
    rows = []
    for i, name in enumerate(names):
        support, positives = 21_400 // (i + 1), 240 // (i + 1) + 4
        if name.endswith("missing"):
            note = "112 rows are too few to evaluate (slices.min_support is 400)"
            rows.append(SliceRow(name, 112, 2, 0.91, 0.94, None, None, None, note))
            continue
        base, delta = 0.985 - 0.004 * i, -0.074 if name in broken else 0.004 * np.cos(i)
        note = "the whole CI is beyond the tolerance of 0.02" if name in broken else ""
        low, high = delta - 0.006 - 0.001 * i, delta + 0.005 + 0.001 * i
        rows.append(SliceRow(name, support, positives, base + delta, base, low, high, name not in broken, note))
    return tuple(rows)


def plots() -> tuple[Plot, ...]:
    """The plots of the default problem, drawn from formulas of about its shape."""
    recall = np.linspace(0.0017, 1, 197)

    def curve(power: float) -> list[tuple[float, float]]:
        return list(zip(recall.tolist(), (1 - 0.989 * recall**power).tolist(), strict=True))

    rate = np.linspace(0, 1, 100) ** 3

    def roc(power: float) -> list[tuple[float, float]]:
        return list(zip(rate.tolist(), (rate**power).tolist(), strict=True))

    seen = [(0.002, 0.0023), (0.14, 0.1416), (0.24, 0.2413), (0.35, 0.38), (0.45, 0.47), (0.55, 0.52), (0.65, 0.71)]
    outcome = {"positive, caught": 348, "positive, missed": 235, "negative, flagged": 51, "negative, passed": 51246}
    scores = enumerate([50667, 329, 157, *range(120, 35, -5)])
    histogram = [(f"{i / 20:.3g} to {(i + 1) / 20:.3g}", float(count)) for i, count in scores]
    return (
        Plot("precision_by_recall", "Precision and recall", "lines", "recall", "precision",
             {"head": curve(5.2), "base": curve(4.4)}),
        Plot("true_by_false_positive_rate", "ROC", "lines", "false positive rate", "true positive rate",
             {"head": roc(0.03), "base": roc(0.05)}),
        Plot("observed_by_predicted", "Observed by predicted", "lines", "predicted", "observed",
             {"head": [*seen, (0.87, 0.86)], "base": [*seen, (0.9, 0.81)]}),
        Plot("rows_by_outcome", "Outcomes at the threshold", "bars", "rows", "", bars=list(outcome.items())),
        Plot("rows_by_score", "Rows by probability", "bars", "rows", "probability", bars=histogram),
    )  # fmt: skip


def critical(failing: tuple[str, ...] = ()) -> tuple[CriticalResult, ...]:
    """Five named cases."""
    cases = (
        ("gift cards at night from a new device", "must", 0.913, "positive (threshold 0.533)",
         "The most common card-not-present fraud."),
        ("groceries by chip at noon", "must", 0.0004, "negative (threshold 0.533)",
         "A false alarm at the till costs a customer."),
        ("a larger amount does not look safer", "must", 0.31, "no fall as amount goes through 20, 200, 2000",
         "Or fraudsters aim high."),
        ("the weekday alone decides nothing", "should", 0.02, "a change of at most 0.05 by paid_at (it is 0.012)",
         "It is habit, not fraud."),
        ("rapid small payments", "should", 0.42, "at least 0.4", "Card testing comes before the large payment."),
    )  # fmt: skip
    return tuple(
        CriticalResult(name, level, name not in failing, p - 0.7 * (name in failing and p > 0.9), asked, why)
        for name, level, p, asked, why in cases
    )


def groups() -> tuple[GroupRow, ...]:
    """One sensitive column, with a group too small to evaluate."""
    rows = (
        ("18-29", 9120, 141, 0.617, 0.0013),
        ("30-44", 18_411, 214, 0.604, 0.0009),
        ("45-59", 16_020, 170, 0.571, 0.001),
        ("60+", 8329, 19, 0.42, 0.0004),
    )
    return tuple(GroupRow("age_group", name, n, p, recall, rate, 0.01, p >= 25) for name, n, p, recall, rate in rows)


def _fixed_gates() -> tuple[Gate, ...]:
    """The gates of a review; in place of those that measure files two with fixed results."""
    size = GateResult("model size", True, 1.9, 20, "1.9 MB; maximum is 20 MB")
    time = GateResult("scoring time", True, 1.04, 3, "a row takes 41 µs (base 39 µs), ratio 1.04; maximum is 3")
    return (
        *(gate for gate in GATES if gate.group != "files"),
        Gate("files", lambda _: [size], blocks_in_restore=True),
        Gate("files", lambda _: [time], needs_base=True, blocks_in_restore=True),
    )


def evaluated(findings: Findings) -> Findings:
    """The findings with the results of the gates on their rows."""
    model = Path("model.onnx")
    evidence = Evidence(
        params=parse(PARAMS.read_text()),
        kind=findings.kind,
        data_errors=findings.data_errors,
        head=model if findings.head.model else None,
        base=model if findings.base.model else None,
        rows=findings.rows,
        prevalence=None if findings.task == "regression" else 0.012,
        metrics=findings.metrics,
        slices=findings.slices,
        groups=findings.groups,
        critical=findings.critical,
    )
    return replace(findings, gates=evaluate(evidence, _fixed_gates()))


def passing() -> Findings:
    """A better model, by changed parameters."""
    cached = ("validate", "split", "train@forest", "train@logistic", "profile")
    ran = {"train@boosting": 6.3, "select": 2.4, "export": 2.2, "evaluate": 5.9}
    findings = Findings(
        name="fraud",
        task="classification",
        kind="comparison",
        headline="average_precision",
        base=Side("origin/main", "e5ab9eec0ffee0123456789abcdef0123456789a", BASE_MODEL, BASE_MODEL, "cache"),
        head=Side("slower-learning-rate", "77aa21c4d1e0f9b8a7c6d5e4f3a2b1c0d9e8f7a6", HEAD_MODEL, HEAD_MODEL),
        gates=(),
        rows=51_880,
        metrics=metrics(),
        critical=critical(),
        slice_metric="roc_auc",
        slices=slices(),
        groups=groups(),
        stages=tuple(StageRow(name, "cached", 0.0) for name in cached)
        + tuple(StageRow(name, "ran", taken) for name, taken in ran.items()),
        params=(
            ParamChange("candidates.boosting.params.learning_rate", "0.1", "0.06"),
            ParamChange("candidates.boosting.params.max_iter", "150", "250"),
            ParamChange("features.derive.abroad.op", None, '"differs"'),
        ),
        candidates=CANDIDATES,
        criterion="average_precision",
        winner="boosting",
        importance=IMPORTANCE,
        plots=plots(),
        threshold=(0.5127, 0.5334),
        release="3f9c0a71b2de",
    )  # fmt: skip
    return evaluated(findings)


def failing() -> Findings:
    """A worse model: gates on the headline metric, ten slices and a critical case fail; data and work tree changed."""
    findings = replace(
        passing(),
        metrics=metrics(-4.9),
        slices=slices(tuple(f"merchant_category={value}" for value in CATEGORIES)),
        critical=critical(("gift cards at night from a new device", "rapid small payments")),
        left_out=1204,
        notes=(
            "data/ differs from data.dvc: it was reviewed as it is.",
            "The work tree differs from its commit: params.yaml, pipelines/model/features.py.",
        ),
        data=DataChange(
            171_402, 189_377, ("old_flag",),
            (("merchant_category", 0.412), ("amount", 0.131), ("channel", 0.024), ("payments_1h", 0.0008)),
            "data.html beside this report, from 10,000 and 10,000 rows",
        ),
        features=FeatureChanges(
            ("payments_7d", "price_per_item"), ("payments_30d",),
            (("payments_24h", "other values in 3,145 of 250,000 rows of both"),),
        ),
    )  # fmt: skip
    return evaluated(findings)


def restore() -> Findings:
    """An older model comes back: worse than the base, which does not block."""
    note = (
        "A restore of fraud@v1.3.0, which was released before: "
        "the comparison with the newer model is shown and does not block."
    )
    restored = replace(failing(), kind="restore", critical=critical(), left_out=0, data=None)
    return evaluated(replace(restored, explanation=note, notes=()))


def new_line() -> Findings:
    """The first model: nothing to compare with."""
    findings = replace(
        passing(),
        kind="new model",
        base=Side("origin/main", "e5ab9eec0ffee0123456789abcdef0123456789a", None),
        explanation="The base has no model: there is nothing to compare with, and only absolute gates count.",
        metrics=tuple(replace(row, base=None, delta=None, low=None, high=None) for row in metrics()),
        slices=tuple(replace(row, base=None, low=None, high=None) for row in slices()),
        plots=tuple(replace(plot, lines={k: v for k, v in plot.lines.items() if k == "head"}) for plot in plots()),
        threshold=(None, 0.5334),
    )
    return evaluated(findings)


def regression() -> Findings:
    """Another task: the price of a flat. Nothing of a classification is known."""
    line = [(float(x), float(x) * 0.98 + 4_000) for x in range(120_000, 900_001, 39_000)]
    return Findings(
        name="flat-prices",
        task="regression",
        kind="comparison",
        headline="mae",
        base=Side("main", "1" * 40, "a" * 32, "a" * 32, "cache"),
        head=Side("more-rooms", "2" * 40, "b" * 32, "b" * 32),
        gates=(
            GateResult("floor r2", True, 0.871, 0.7, "r2 is 0.871; minimum is 0.7", group="floors"),
            GateResult("regression mae", False, -2410.0, -500.0,
                       "mae rose by 1,609 (95 % CI 811 to 2,410); tolerance is 500", group="regression"),
            GateResult("model size", True, 0.4, 20, "0.4 MB; maximum is 20 MB", group="files"),
        ),
        rows=4120,
        metrics=(
            MetricRow("mae", 21_403.12, 23_011.9, 1608.78, 811.2, 2410.0, True),
            MetricRow("rmse", 31_022.4, 31_140.0, 117.6, -240.0, 480.0, True),
            MetricRow("r2", 0.8722, 0.871, -0.0012, -0.004, 0.0017),
        ),
        critical=(
            CriticalResult("a larger flat is not cheaper", "must", True, 412_000.0,
                           "no fall as square_metres goes through 40, 80, 120", "Anything else looks absurd."),
        ),
        slice_metric="mae",
        slices=(SliceRow("city=Lyon", 1902, None, 20_100.0, 19_800.0, -120.0, 730.0, True),),
        stages=(StageRow("train@forest", "ran", 75.2),),
        candidates=(
            CandidateRow("forest", "RandomForestRegressor", "", {"mae": 22_800.0, "r2": 0.866}, 2e4, 2.5e4, 900_000),
            CandidateRow("linear", "Ridge", "", {"mae": 41_000.0, "r2": None}, 4e4, 4.3e4, 900),
        ),
        criterion="mae",
        winner="forest",
        importance={"square_metres": 31_200.0, "year": 4100.0},
        plots=(
            Plot("observed_by_predicted", "Observed by predicted", "lines", "predicted", "observed",
                 {"head": line, "base": line[1:]}),
            Plot("rows_by_residual", "Rows by residual", "bars", "rows", "residual",
                 bars=[("-40000 to -20000", 110.0), ("-20000 to 0", 1990.0), ("0 to 20000", 2020.0)]),
        ),
        release="9a8b7c6d5e4f",
    )  # fmt: skip


def data_errors() -> Findings:
    """The rows have errors: nothing was trained, nothing compared."""
    errors = (
        DataError("amount", "range", "1,204 rows are below the minimum of 0.01",
              ({"payment_id": "p-000017", "amount": -12.5}, {"payment_id": "p-000019", "amount": -0.01})),
        DataError("merchant_category", "value", "9,871 rows hold a value that is not allowed",
              ({"payment_id": "p-000003", "merchant_category": "giftcards"},)),
        DataError("customer_id", "missing", "3 rows have no value, and the column is not nullable",
              ({"payment_id": "p-000900", "customer_id": "•••"},)),
        DataError("old_flag", "column unknown", "column old_flag is not in schema.columns"),
    )  # fmt: skip
    findings = Findings(
        name="fraud",
        task="classification",
        kind="comparison",
        headline="average_precision",
        base=Side("main", "e" * 40, None),
        head=Side("new-export", None, None),
        gates=(),
        stages=(StageRow("validate", "failed", 1.4),),
        data_errors=errors,
    )
    return evaluated(findings)


def hostile(text: str = HOSTILE, many: int = 3) -> Findings:
    """The same text in every place that a person or a table can write to, `many` times where there are lists."""
    return replace(
        failing(),
        name=text,
        base=Side(text, text, text, text + "!", text),
        head=Side(text, text, text, text, text),
        gates=tuple(GateResult(text, False, -1.0, 1.0, text, group=text) for _ in range(many)),
        explanation=text,
        notes=(text,) * many,
        critical=tuple(CriticalResult(text, "must", False, 0.1, text, text) for _ in range(many)),
        slices=tuple(SliceRow(text, 10, 2, 0.1, 0.2, -0.2, 0.1, False, text) for _ in range(many)),
        groups=tuple(GroupRow(text, text, 10, 2, 0.1, 0.2, 0.3, True) for _ in range(many)),
        stages=tuple(StageRow(text, "ran", 1.0) for _ in range(many)),
        params=tuple(ParamChange(text, text, text) for _ in range(many)),
        data=DataChange(1, 2, (text,) * many, ((text, 0.3),) * many, text),
        data_errors=tuple(DataError(text, text, text, ({text: text, "b": text},)) for _ in range(many)),
        candidates=tuple(
            CandidateRow(f"{text}{i}", text, text, {"average_precision": 0.1, text: 0.2}, 0.1, 0.2, 9)
            for i in range(many)
        ),
        winner=f"{text}0",
        importance={f"{text}{i}": 0.1 for i in range(many)},
        plots=(
            Plot(text, text, "lines", text, text, {"head": [(0.0, 0.1), (1.0, 0.2)], "base": [(0.0, 0.3), (1.0, 0.4)]}),
            Plot(text, text, "bars", text, text, bars=[(text, 1.0)] * many),
        ),
        release=text,
    )


ALL = {
    "passing": passing, "failing": failing, "restore": restore, "new model": new_line, "regression": regression,
    "data errors": data_errors, "hostile": hostile,
}  # fmt: skip
