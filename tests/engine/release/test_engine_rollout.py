"""A canary from the merge to its promotion, and one whose merge is reverted: git, Docker, front, watch, GTO."""

import json
import time

import pytest

from tests.engine.deployment.clients import load
from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository
from tests.engine.release.team_release import another, check, gto, info, revert

pytestmark = pytest.mark.engine
ROLLOUT = {"steps": [20], "min_requests": 200, "min_minutes": 1, "limits": {"errors": 0.05, "p99_ms": 1000.0}}


def rollout(shop: TeamRepository, *arguments: str) -> str:
    """`python -m pipelines rollout`; return what it printed."""
    return must(verb(shop.repo, "rollout", *arguments, **shop.environment)).out


def test_canary_is_judged_promoted_and_loses_no_request(shop: TeamRepository) -> None:
    name = shop.model_name
    shop.release()
    shop.repo.params(lambda document: document.update(rollout=ROLLOUT))
    row = json.dumps(info(shop)["signature"]["example"]).encode()
    another(shop)
    out = shop.release()
    assert f"{name}@v1.0.1 is a canary with 20 % of the requests as {name}#canary#2." in out
    assert gto(shop, "show", f"{name}#canary", "--ref") == f"{name}@v1.0.1"
    assert gto(shop, "show", f"{name}#production", "--ref") == f"{name}@v1.0.0"
    deadline = time.monotonic() + 240
    with load(int(shop.url.rpartition(":")[2]), row, clients=2, at_least=0) as failures:
        while "gets all requests" not in (out := rollout(shop)):
            assert time.monotonic() < deadline, out
            assert "Waiting" in out
            time.sleep(5)
    assert failures == []
    check(shop, f"{name}@v1.0.1", 3)
    assert gto(shop, "show", f"{name}#canary", "--ref") == ""
    assert "No rollout is under way" in rollout(shop)


def test_revert_during_a_canary_ends_it_at_once(shop: TeamRepository) -> None:
    name = shop.model_name
    shop.release()
    shop.repo.params(lambda document: document.update(rollout=ROLLOUT))
    another(shop)
    shop.release()
    revert(shop)
    assert f"Nothing to release: {name}@v1.0.0" in shop.release()
    check(shop, f"{name}@v1.0.0", 1)
    assert gto(shop, "show", f"{name}#canary", "--ref") == ""
