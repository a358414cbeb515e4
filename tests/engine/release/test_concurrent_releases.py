"""Releases that run at the same time, with a Docker engine and a registry."""

import subprocess
import threading
from pathlib import Path

import pytest

from pipelines.release import deploy
from tests.engine.fixtures_repo import Repo, point_at_cache
from tests.engine.in_process import must, verb
from tests.engine.release.engine import TeamRepository
from tests.engine.release.release_world import act_after_call
from tests.engine.release.team_release import LIMIT, another, check, read_status, revert

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("image_name", ["concurrent"])
def test_concurrent_releases_of_one_commit_make_one_assignment(shop: TeamRepository, tmp_path: Path) -> None:
    outs = release_concurrently(shop, shop, clone(shop, tmp_path / "other"))
    assert all(code == 0 for code, _ in outs), outs
    check(shop, f"{shop.model_name}@v1.0.0", 1)


def test_later_of_two_concurrently_released_commits_is_in_production(shop: TeamRepository, tmp_path: Path) -> None:
    shop.release()
    earlier = another(shop)
    other = clone(shop, tmp_path / "other")
    other.repo.git("checkout", "--quiet", earlier)
    another(shop, LIMIT - 1)
    outs = release_concurrently(shop, other)
    assert all(code == 0 for code, _ in outs), outs
    shop.repo.git("fetch", "--quiet", "--tags", "origin")
    assert read_status(shop)[0]["main_commit"] == shop.repo.git("rev-parse", "HEAD")
    history = read_status(shop)
    check(shop, history[0]["version"], len(history))


def test_release_is_superseded_by_a_revert_during_its_deployment(
    shop: TeamRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.release()
    another(shop)
    other = clone(shop, tmp_path / "other")

    def release_revert() -> None:
        revert(other)
        assert "Nothing to release" in other.release()
        check(shop, f"{shop.model_name}@v1.0.0", 1)

    act_after_call(monkeypatch, deploy, "deploy", release_revert)
    out = must(verb(shop.repo, "release", "run", **shop.environment)).out
    assert f"Superseded: main went back to {shop.model_name}@v1.0.0" in out
    check(shop, f"{shop.model_name}@v1.0.0", 1)


def clone(shop: TeamRepository, path: Path) -> TeamRepository:
    """Clone the repository again."""
    subprocess.run(["git", "clone", "--quiet", str(shop.origin), str(path)], check=True)
    repo = Repo(path, shop.repo.cache)
    point_at_cache(repo)
    return TeamRepository(repo, shop.origin, shop.hub, shop.image_name, shop.model_name, shop.url, shop.operations_url)


def release_concurrently(*shops: TeamRepository) -> list[tuple[int, str]]:
    """Release in several processes at the same time; return their exit codes and output."""
    found: list[tuple[int, str]] = []

    def one(shop: TeamRepository) -> None:
        done = shop.repo.verb("release", "run", **shop.environment)
        found.append((done.code, done.out))

    threads = [threading.Thread(target=one, args=(shop,)) for shop in shops]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
