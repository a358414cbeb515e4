"""Where the stages of dvc.yaml write, and where everything else reads it."""

from pathlib import Path

PREPARED = Path("prepared")
CANDIDATES = Path("models/candidates")
SPLIT = Path("models/split.json")
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
REVIEW = Path("reports/review")
NOT_REPRODUCIBLE = "not_reproducible"  # in the metadata of a candidate's file, and in SELECTION
