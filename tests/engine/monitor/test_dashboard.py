"""Every query of the Grafana dashboard has a result in a Prometheus that reads the service and the monitor's metrics.

Grafana itself does not run here: how the panels look is not tested.
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
import requests
import yaml

from pipelines.monitor.prometheus import metrics_text
from testing.repository import ROOT
from tests.engine.monitor import made_up_history as made_up
from tests.engine.monitor.promtool import tool
from tests.engine.serving import live
from tests.engine.serving.samples import GOOD

FOLDER = ROOT / "docs/monitoring"
DASHBOARD = json.loads((FOLDER / "grafana/dashboards/mainline.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
PATIENCE = 60  # seconds
pytestmark = [pytest.mark.server, pytest.mark.xdist_group("dashboard")]


class Exposition(BaseHTTPRequestHandler):
    """The metrics of the monitor, as a Pushgateway shows them."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(metrics_text(made_up.verdict(made_up.records()), 7).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def prometheus(logistic: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped both a few times, while the service answered requests."""
    binary, folder = tool("prometheus"), tmp_path_factory.mktemp("prometheus")
    server = HTTPServer(("127.0.0.1", 0), Exposition)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    with live.serve(folder, logistic.model.parent, MODEL_VERSION="fraud@v1.6.0") as service:
        config["global"]["scrape_interval"] = "250ms"
        config["global"]["scrape_timeout"] = "250ms"
        config["rule_files"] = [str(FOLDER / "alerts.yml")]
        jobs = [job for job in config["scrape_configs"] if job["job_name"] != "fraud-front"]  # has no chart
        config["scrape_configs"] = jobs
        for job, port in zip(jobs, (service.port, server.server_port), strict=True):
            job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        port = live.free_port()
        command = [binary, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output
            )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for_scrapes(url, service)
            yield url
        finally:
            process.terminate()
            process.wait(PATIENCE)
            server.shutdown()
            server.server_close()


def wait_for_scrapes(url: str, service: live.Service) -> None:
    """Send requests to the service until Prometheus has seen their counters grow."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        service.ask("POST", "/predict", GOOD)
        service.ask("GET", "/nowhere")
        try:
            if query(url, 'rate(mainline_requests_total{endpoint="/predict"}[30s]) > 0 and on() model_monitor_judged'):
                return
        except requests.ConnectionError:
            pass
        time.sleep(0.2)
    raise AssertionError("Prometheus has no two scrapes")


def query(url: str, expression: str) -> list[dict[str, Any]]:
    """The result of a query, with Grafana's variables filled in."""
    filled = expression.replace("$model_name", "fraud").replace("$__rate_interval", "1m")
    answer = requests.get(f"{url}/api/v1/query", {"query": filled}, timeout=PATIENCE).json()
    assert answer.get("status") == "success", (filled, answer)
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


@pytest.mark.parametrize("expression", QUERIES)
def test_the_query_of_each_panel_has_a_result(prometheus: str, expression: str) -> None:
    values = [float(series["value"][1]) for series in query(prometheus, expression)]
    assert values
    assert all(value == value for value in values), "NaN: a panel would be empty"


def test_the_variable_of_the_dashboard_finds_the_model(prometheus: str) -> None:
    (variable,) = [item for item in DASHBOARD["templating"]["list"] if item["type"] == "query"]
    assert variable["query"]["query"] == "label_values(model_monitor_alarms, model_name)"
    series = query(prometheus, "model_monitor_alarms")
    assert {item["metric"]["model_name"] for item in series} == {"fraud"}


def test_panels_have_a_title_a_place_of_their_own_and_the_data_source_of_the_variable() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells
        assert panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    sources = {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]}
    assert sources == {"${datasource}"}


def test_grafana_is_told_where_the_dashboard_and_prometheus_are() -> None:
    (provider,) = yaml.safe_load((FOLDER / "grafana/provisioning/dashboards/mainline.yml").read_text())["providers"]
    assert provider["type"] == "file" and provider["options"]["path"]
    (source,) = yaml.safe_load((FOLDER / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus" and source["isDefault"]
