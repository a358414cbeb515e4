"""The front's files and roles, without a front."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli.errors import InputError
from pipelines.config.serving import Serving
from pipelines.deployment import front_config
from pipelines.deployment.front import Front
from pipelines.deployment.front_config import SHARE_SECONDS
from pipelines.deployment.host import Host
from pipelines.deployment.roles import Roles

IMAGE = f"example.org/image@sha256:{'0' * 64}"
DIGEST = "ab" * 32


def make_host(**settings: Any) -> Host:
    values: dict[str, Any] = {
        "base_image": IMAGE, "front_image": IMAGE, "max_batch_rows": 1, "max_body_mb": 1.0, "timeout_seconds": 1.0,
    }  # fmt: skip
    serving = Serving.model_validate({**values, **settings})
    return Host("fraud", serving, "http://127.0.0.1:3000", "http://127.0.0.1:3001", Path("/nowhere"))


@pytest.mark.parametrize("roles", [Roles(), Roles("a"), Roles("b", "a"), Roles("a", None, "c"), Roles("d", "a", "b")])
def test_roles_survive_being_written(roles: Roles) -> None:
    assert Roles.from_map(roles.to_map()) == roles


@pytest.mark.parametrize("text", ["", "production slot_z\n", "production\n\n# nothing", "share 1 2\nx y"])
def test_roles_of_a_damaged_file_are_none(text: str) -> None:
    assert Roles.from_map(text) == Roles()


def test_a_version_that_production_went_back_from_is_no_reserve() -> None:
    first = Roles("a").promote("b", keep_previous=True)
    assert first == Roles("b", "a")
    assert first.promote("c", keep_previous=True) == Roles("c", "b")
    assert first.promote("a", keep_previous=True) == Roles("a")
    assert first.promote("b", keep_previous=True) == first
    assert first.promote("b", keep_previous=False) == Roles("b")
    assert first.promote("c", keep_previous=False) == Roles("c")
    assert Roles("a", None, "b").promote("b", keep_previous=False) == Roles("b")


@pytest.mark.parametrize(("seconds", "percent"), [(30, 5.0), (-1, 0.0), (SHARE_SECONDS + 5, 0.0)])
def test_a_share_ends_also_for_a_clock_that_was_set_back(tmp_path: Path, seconds: int, percent: float) -> None:
    (tmp_path / "share.map").write_text(f"share 500\nuntil {int(time.time()) + seconds}\n")
    assert Front(dataclasses.replace(make_host(), folder=tmp_path)).read_share() == percent


@pytest.mark.parametrize("change", [{"replicas": 3}, {"fallback": {"decision": True}}, {"timeout_seconds": 2.0}])
def test_configuration_names_a_hash_of_itself(change: dict[str, Any]) -> None:
    host = make_host(replicas=2)
    digest = front_config.digest_of(front_config.render(host))
    assert digest == front_config.digest_of(front_config.render(host))
    changed = dataclasses.replace(host, serving=host.serving.model_copy(update=change))
    assert digest != front_config.digest_of(front_config.render(changed))


def test_another_certificate_is_another_configuration(tmp_path: Path) -> None:
    certificate = tmp_path / "tls.pem"
    digests = set()
    for text in ("one", "two"):
        certificate.write_text(text)
        files = front_config.render(make_host(tls=str(certificate)))
        assert files["tls.pem"] == text
        digests.add(front_config.digest_of(files))
    assert len(digests) == 2
    with pytest.raises(InputError, match=r"serving\.tls"):
        front_config.render(make_host(tls=str(tmp_path / "missing.pem")))


def test_keys_are_read_and_an_invalid_line_is_named_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    host = make_host(keys=str(path))
    path.write_text(f"# of the shop\n{DIGEST}  shop\n\n{DIGEST[::-1]} app.v2 # until May\n")
    assert front_config.read_keys(host) == f"{DIGEST} shop\n{DIGEST[::-1]} app.v2\n"
    for line in ("secret shop", DIGEST, f"{DIGEST} two names", f"{DIGEST.upper()} shop", f"{DIGEST} {'x' * 65}"):
        path.write_text(f"{DIGEST[::-1]} app\n{line}\n")
        with pytest.raises(InputError, match="line 2") as error:
            front_config.read_keys(host)
        assert line not in str(error.value)
    path.write_text(f"{DIGEST} app\n{DIGEST} shop\n")
    with pytest.raises(InputError, match="repeats a key"):
        front_config.read_keys(host)
    assert front_config.read_keys(make_host()) == ""


def test_a_front_without_an_image_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.config.params import parse
    from tests.engine.fixtures_model import SMALL

    params = parse(SMALL, "params.yaml")
    with pytest.raises(InputError, match=r"serving\.front_image"):
        Host.from_params(params)
    monkeypatch.setenv("SERVICE_URL", "https://fraud.example.org")
    monkeypatch.delenv("OPERATIONS_URL", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    serving = params.serving.model_copy(update={"front_image": IMAGE})
    host = Host.from_params(params.model_copy(update={"serving": serving}))
    assert (host.operations_url, host.folder) == ("http://127.0.0.1:444", Path("/state/mainline") / params.model_name)
