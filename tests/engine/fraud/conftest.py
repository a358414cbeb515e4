"""A small simulated world."""

import pytest

from pipelines.config.ingest import Simulator


@pytest.fixture(scope="session")
def spec():
    return Simulator.model_validate_json(
        '{"kind": "simulator", "seed": 7, "start": "2026-01-01", "days": 35, "payments": 5000, "customers": 300,'
        ' "merchants": 200, "fraud_rate": 0.012, "missing_rate": 0.02}'
    )
