"""Where the stages of dvc.yaml write."""

from pathlib import Path

CANDIDATES = Path("models/candidates")
MODEL = Path("models/model.onnx")
SIGNATURE = Path("models/signature.json")
PROFILE = Path("models/profile.json")
VALIDATION = Path("reports/validation.json")
SELECTION = Path("reports/candidates.json")
CANDIDATES_PLOT = Path("reports/candidates.csv")
METRICS = Path("reports/metrics.json")
IMPORTANCE = Path("reports/importance.json")
CURVES = Path("reports/plots/curves")
BARS = Path("reports/plots/bars")
CARD = Path("reports/model_card.md")
NOT_REPRODUCIBLE = "not_reproducible"  # in the metadata of a candidate's file, and in SELECTION
