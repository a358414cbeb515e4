"""What Prometheus reads, of one process and of several."""

import os
import subprocess
import sys

from prometheus_client.parser import text_string_to_metric_families

from serving import measures
from tests.engine.serving.live import ROOT

COUNT = """
from serving import measures
counts = measures.Measures("0123456789ab", None, "champion", ())
counts.predicted(2, 0)
counts.written(3)
print(measures.text().decode())
"""


def counted(folder):
    """The counters that a new process reads after it has made two predictions and written three rows."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    text = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True, check=True)
    families = text_string_to_metric_families(text.stdout)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_workers_of_one_service_are_counted_together(tmp_path):
    """`bentoml serve` names a folder that its workers share, and any of them may be asked."""
    assert [counted(tmp_path)["mainline_predictions_total"] for _ in range(3)] == [2, 4, 6]
    assert counted(tmp_path)["mainline_log_rows_written_total"] == 12


def test_a_process_alone_needs_no_folder(monkeypatch):
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    assert b"mainline_log_rows_dropped_total" in measures.text()
