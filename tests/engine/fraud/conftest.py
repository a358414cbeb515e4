"""A small simulated world, and the columns that features/prepare.py makes of it."""

import pytest

from pipelines.config.ingest import Simulator
from pipelines.config.params import load
from pipelines.tables.preparation import load_preparation
from tests.engine.fixtures_repo import PARAMS, PROBLEM


@pytest.fixture(scope="session")
def spec():
    return Simulator.model_validate_json(
        '{"kind": "simulator", "seed": 7, "start": "2026-01-01", "days": 35, "payments": 5000, "customers": 300,'
        ' "merchants": 200, "fraud_rate": 0.012, "missing_rate": 0.02}'
    )


@pytest.fixture(scope="session")
def preparation():
    return load_preparation(load(PARAMS).table, PROBLEM)
