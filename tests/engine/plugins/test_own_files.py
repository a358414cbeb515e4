"""Tests cannot read the team's files."""

from pathlib import Path

import pytest

from testing.repository import ROOT, is_own


def test_a_test_that_reads_the_teams_own_file_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for path in (ROOT / "params.yaml", Path("params.yaml"), Path("tests/critical/payments.yaml")):
        with pytest.raises(AssertionError, match="`own_files`"):
            path.read_text()


def test_the_engines_files_are_not_the_teams() -> None:
    assert [is_own(path) for path in ("dvc.lock", "data/2026-01.parquet", "reports/metrics.json")] == [True] * 3
    assert not any(
        is_own(path) for path in ("dvc.yaml", "params.schema.json", "tests/engine/fixtures/payments/params.yaml")
    )
