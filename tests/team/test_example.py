"""An example to replace: a decision of the team that no gate knows, as a test."""

from pathlib import Path

import yaml


def test_the_model_reads_no_sensitive_column(own_files: Path) -> None:
    params = yaml.safe_load((own_files / "params.yaml").read_text(encoding="utf-8"))
    sensitive = {name for name, column in params["schema"]["columns"].items() if column.get("sensitive")}
    assert sensitive.isdisjoint(params["features"]["use"])
