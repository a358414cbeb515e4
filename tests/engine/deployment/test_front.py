"""What the front does with requests: keys, TLS, broken replicas, no replica, bad clients, a canary's share."""

import hashlib
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from pipelines.cli.errors import InputError, Refused
from pipelines.deployment import replicas
from pipelines.deployment.front import Front
from pipelines.deployment.front_config import SHARE_SECONDS
from pipelines.deployment.roles import Roles
from testing.docker import docker, remove_containers
from tests.engine.deployment.stub_host import StubHost
from tests.engine.deployment.stub_host import stub_host as stub_host
from tests.engine.deployment.stub_host import stub_images as stub_images

pytestmark = pytest.mark.engine
KEY, REVOKED, UNKNOWN = "key-of-the-shop-0123456789", "key-of-the-app-0123456789", "key-of-none-0123456789"


@pytest.fixture(scope="module")
def asked(stub_images: None, base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StubHost]:
    """A host with a version in production, for the tests that change nothing."""
    made = StubHost(f"stub-asked-{os.getpid()}", base_image, tmp_path_factory.mktemp("state"))
    made.deploy("one")
    yield made
    remove_containers(made.model_name)


def write_keys(path: Path, **names: str) -> None:
    path.write_text("".join(f"{hashlib.sha256(key.encode()).hexdigest()}  {name}\n" for name, key in names.items()))


def logs(stub_host: StubHost) -> str:
    """Return everything that the model's containers printed."""
    names = stub_host.containers()
    done = [subprocess.run(["docker", "logs", name], capture_output=True, text=True) for name in names]
    return "".join(one.stdout + one.stderr for one in done)


def test_only_a_valid_key_in_its_header_gets_a_response(stub_host: StubHost, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    write_keys(keys, shop=KEY, app=REVOKED)
    stub_host.settings["keys"] = str(keys)
    stub_host.deploy("one")
    refused: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": f"Bearer {UNKNOWN}"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {KEY} {KEY}"},
        {"X-Api-Key": KEY},
        {"X-Key-Name": "shop"},
        {"Cookie": f"key={KEY}"},
    )
    for headers in refused:
        response = stub_host.predict(headers=headers)
        assert (response.status_code, list(response.json())) == (401, ["error"]), headers
        assert response.headers["www-authenticate"] == "Bearer"
    for path in (f"/info?key={KEY}", f"/info?access_token={KEY}", "/openapi.json", "/metrics", f"/{KEY}"):
        assert stub_host.get(path).status_code == 401
    for key, name in ((KEY, "shop"), (REVOKED, "app")):
        headers = {"Authorization": f"Bearer {key}", "X-Key-Name": "somebody-else"}
        response = stub_host.predict(headers=headers)
        assert response.json()["headers"]["x-key-name"] == name
        assert "authorization" not in response.json()["headers"]
    assert stub_host.operations("/info").json()["release"] == "one"

    started = docker("inspect", "--format", "{{.State.StartedAt}}", *stub_host.containers())
    write_keys(keys, shop=KEY)
    stub_host.deploy("one")
    assert stub_host.predict(headers={"Authorization": f"Bearer {REVOKED}"}).status_code == 401
    assert stub_host.predict(headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    keys.write_text("")
    stub_host.deploy("one")
    assert stub_host.predict(headers={"Authorization": f"Bearer {KEY}"}).status_code == 401
    keys.write_text(KEY)
    with pytest.raises(InputError) as error:
        stub_host.deploy("one")
    assert KEY not in str(error.value)
    assert docker("inspect", "--format", "{{.State.StartedAt}}", *stub_host.containers()) == started
    assert not {key for key in (KEY, REVOKED, UNKNOWN) if key in logs(stub_host)}


def test_name_of_a_key_cannot_be_sent_by_a_client_without_keys(asked: StubHost) -> None:
    headers = asked.predict(headers={"X-Key-Name": "boss", "Authorization": f"Bearer {KEY}"}).json()["headers"]
    assert not {"x-key-name", "authorization"} & headers.keys()


def test_tls_ends_at_the_front_and_a_new_certificate_loses_no_request(stub_host: StubHost, tmp_path: Path) -> None:
    certificate = tmp_path / "tls.pem"
    stub_host.settings["tls"] = str(certificate)
    seen = []
    for name in ("first", "second"):
        subject = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-x509", "-subj", f"/CN={name}"]
        subject += ["-addext", "subjectAltName=IP:127.0.0.1"]
        files = ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "certificate")]
        subprocess.run(["openssl", "req", *subject, *files], check=True, capture_output=True)
        certificate.write_text((tmp_path / "certificate").read_text() + (tmp_path / "key").read_text())
        stub_host.deploy("one")
        seen.append(ssl.get_server_certificate(("127.0.0.1", stub_host.port)))
        assert stub_host.get(verify=str(tmp_path / "certificate")).json()["release"] == "one"
    assert seen[0] != seen[1]
    certificate.write_text("no certificate")
    with pytest.raises(Refused, match="configuration is invalid"):
        stub_host.deploy("one")
    assert ssl.get_server_certificate(("127.0.0.1", stub_host.port)) == seen[1]
    assert requests.get(f"http://127.0.0.1:{stub_host.operations_port}/readyz", timeout=5).ok


def test_changed_settings_lose_no_request(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    with stub_host.load(at_least=1_000) as failures:
        stub_host.settings["fallback"] = {"decision": False}
        stub_host.deploy("one")
    assert failures == []


def test_replica_with_errors_in_a_row_gets_no_requests(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    stub_host.predict({"break": True})
    statuses = [stub_host.predict().status_code for _ in range(60)]
    assert statuses.count(500) < 12 and set(statuses[-20:]) == {200}


def test_previous_version_responds_while_all_of_production_is_broken(stub_host: StubHost) -> None:
    stub_host.settings["keep_previous"] = True
    stub_host.deploy("one")
    stub_host.deploy("two")
    assert len(stub_host.containers()) == 5
    for _ in range(4):  # to both replicas
        assert stub_host.predict({"break": True}).json()["release"] == "two"
    responses = [stub_host.predict() for _ in range(100)]
    answered = [response for response in responses if response.ok]
    assert {response.json()["release"] for response in answered} == {"one"} and len(answered) > 70
    assert stub_host.operations("/readyz").ok
    docker("kill", *(name for name in stub_host.containers() if not name.endswith("-front")))
    deadline = time.monotonic() + 20
    while stub_host.operations("/readyz").ok and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stub_host.operations("/readyz").status_code == 503


def test_fallback_answers_while_no_replica_can(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    docker("kill", *(name for name in stub_host.containers() if not name.endswith("-front")))
    wait_for(lambda: stub_host.predict().status_code == 503)
    response = stub_host.predict()
    assert (response.headers["retry-after"], list(response.json())) == ("5", ["error"])

    stub_host.settings["fallback"] = {"decision": False, "note": "it's the fallback"}
    Front(stub_host.host).ensure()
    wait_for(lambda: stub_host.predict().status_code == 200)
    assert stub_host.predict().json() == {"decision": False, "note": "it's the fallback", "fallback": True}
    batch = requests.post(f"{stub_host.host.service_url}/predict_batch", json=[{}], timeout=10)
    assert batch.status_code == 503
    counted = re.findall(
        r'(?m)^haproxy_backend_http_requests_total\{proxy="fallback"\} (\d+)', stub_host.operations("/metrics").text
    )
    assert int(counted[0]) >= 2
    stub_host.deploy("one")
    assert stub_host.predict().json()["release"] == "one"


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_public_port_has_only_the_paths_of_users(asked: StubHost) -> None:
    for path in ("/metrics", "/livez", "/readyz", "/docs", "/metrics/production/1", "//metrics"):
        response = asked.get(path)
        assert (response.status_code, list(response.json())) == (404, ["error"])
    assert asked.operations("/livez").ok and asked.operations("/readyz").ok
    hosts = {asked.operations(f"/metrics/production/{number}").text for number in (1, 2)}
    assert len(hosts) == 2 and all("stub_info" in host for host in hosts)
    for path in ("/metrics/production/3", "/metrics/production/0", "/predict"):
        assert asked.operations(path).status_code == 404
    assert asked.operations("/metrics/canary/1").status_code == 503


@pytest.fixture
def raw(asked: StubHost) -> Callable[..., bytes]:
    """Send bytes to the front and close the sending side; return all that comes back."""

    def send(content: bytes, half_close: bool = True) -> bytes:
        with socket.create_connection(("127.0.0.1", asked.port), timeout=10) as connection:
            connection.sendall(content)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while part := connection.recv(65_536):
                    received += part
            except ConnectionResetError:
                pass
            return received

    return send


HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"


def test_half_closed_malformed_and_oversized_requests(asked: StubHost, raw: Callable[..., bytes]) -> None:
    assert raw(HEAD + b"Content-Length: 2\r\n\r\n{}").startswith(b"HTTP/1.1 200")  # half-closed
    for broken in (
        b"\x16\x03\x01nonsense\r\n\r\n",
        HEAD + b"Content-Length: x\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        HEAD + b"Content-Length: -2\r\n\r\n{}",
        HEAD + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
    ):
        assert re.match(rb"HTTP/1.1 4\d\d ", raw(broken)), broken[:60]
    assert raw(HEAD + b"Content-Length: 2000000\r\n\r\n{}", False).startswith(b"HTTP/1.1 413")
    # A body that ends too early, or never: the client gets an error in time, and no other client notices.
    started = time.monotonic()
    assert not raw(HEAD + b"Content-Length: 9\r\n\r\n{}").startswith(b"HTTP/1.1 200")
    assert raw(HEAD + b"Content-Length: 9\r\n\r\n{}", False).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - started < 10
    asked.check("one")


def test_a_hundred_slow_clients_slow_nobody_down(asked: StubHost) -> None:
    slow = [socket.create_connection(("127.0.0.1", asked.port)) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(HEAD + b"Content-Length: 500\r\n\r\n{")
        with asked.load(clients=2, at_least=200) as failures:
            started = time.monotonic()
            asked.predict()
            assert time.monotonic() - started < 2
        assert failures == []
        for connection in slow:
            connection.settimeout(10)
            assert connection.recv(100).startswith(b"HTTP/1.1 408")
    finally:
        for connection in slow:
            connection.close()


def test_canary_gets_its_share_and_a_customer_stays_on_one_side(
    stub_host: StubHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_host.sticky_header = "X-Customer-Id"
    stub_host.deploy("one")
    host, front = stub_host.host, Front(stub_host.host)
    replicas.ensure_started(host, "d", stub_host.version("two"))
    front.wait_until_up("d")
    production = str(front.read_roles().production)

    front.apply(Roles(production, canary="d"))
    front.set_share(25)
    session = requests.Session()
    url = f"{host.service_url}/predict"
    releases = [session.post(url, json={}, timeout=10).json()["release"] for _ in range(400)]
    assert 60 <= releases.count("two") <= 145  # 25 % of 400 with five standard deviations

    def customers_of_the_canary() -> set[int]:
        responses = {
            number: session.post(url, json={}, headers={"X-Customer-Id": f"customer-{number}"}, timeout=10).json()
            for number in range(200)
        }
        return {number for number, response in responses.items() if response["release"] == "two"}

    customers = customers_of_the_canary()
    assert 20 <= len(customers) <= 85 and customers_of_the_canary() == customers
    front.set_share(50)
    assert customers < customers_of_the_canary()
    for moment in (time.time() - SHARE_SECONDS - 1, time.time() + 3600):
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda moment=moment: moment)
            front.set_share(50)
        assert customers_of_the_canary() == set()  # no watch renewed its share, or the clock was set back since
    front.set_share(0)
    assert {session.post(url, json={}, timeout=10).json()["release"] for _ in range(50)} == {"one"}
    stub_host.deploy("one")
    assert front.read_roles().canary == "d"  # another release of production does not end it


def test_requests_under_way_get_their_responses_in_an_exchange(stub_host: StubHost) -> None:
    stub_host.deploy("one")
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(stub_host.predict({"seconds": 4}).status_code))
    thread.start()
    time.sleep(0.3)
    stub_host.deploy("two")
    thread.join()
    assert statuses == [200]
    stub_host.check("two")
