"""The gates that measure the head's files: size, and the time of scoring one row."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from pipelines.review.gates import files
from pipelines.review.gates.files import model_size_gate, scoring_time_gate
from tests.engine.review.made_up import evidence


def test_the_size_is_measured_in_megabytes(tmp_path: Path):
    model = tmp_path / "model.onnx"
    model.write_bytes(bytes(5_000_000))
    assert [result.passed for result in model_size_gate(evidence(head=model))] == [True]
    model.write_bytes(bytes(5_000_001))
    assert [result.passed for result in model_size_gate(evidence(head=model))] == [False]


@pytest.fixture
def slow_scorers(monkeypatch):
    """Scorers that take the milliseconds that their model file is named after; only they move the clock."""
    now = 0.0

    class SlowScorer:
        def __init__(self, model, signature, threads):
            assert threads == 1
            self.signature, self.milliseconds = SimpleNamespace(example={"price": 1}), int(model.name)

        def score_row(self, row):
            nonlocal now
            assert row == self.signature.example
            now += self.milliseconds / 1000

    monkeypatch.setattr(files, "Scorer", SlowScorer)
    monkeypatch.setattr(files, "time", SimpleNamespace(perf_counter=lambda: now))


def test_the_time_of_one_row_on_one_thread_is_judged_relative_to_the_base(slow_scorers):
    slow, fast = Path("30"), Path("10")

    def ratio(head, base, limit):
        (result,) = scoring_time_gate(evidence(sections={"gates": {"scoring_time_ratio": limit}}, head=head, base=base))
        return result

    slower, faster = ratio(slow, fast, 2.9), ratio(fast, slow, 1.0)
    assert not slower.passed and slower.value == pytest.approx(3)
    assert faster.passed and faster.value == pytest.approx(1 / 3)
