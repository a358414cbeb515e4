"""The fixtures of all tests, and the layer of each test (tests/README.md)."""

import gc
import os
import tempfile

import hypothesis
import pytest
import yaml

# Waiting threads of OpenMP spin otherwise, on cores that other tests use: a fit with two threads takes up to ten times
# as long. OpenMP reads this when it is loaded; processes that tests start inherit it.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Looking again and again through the million objects of DVC, MLflow and pandas took a tenth of a run.
gc.set_threshold(50_000, 20, 50)

# YAML is read in C: half of the tests read a params.yaml, which takes 20 ms otherwise.
yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc, assignment, unused-ignore]

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("mainline", deadline=None)
hypothesis.settings.load_profile("mainline")

pytest_plugins = (
    "pytester",
    "tests.engine.plugins.own_files",
    "tests.engine.fixtures_repo",
    "tests.engine.fixtures_dvc",
    "tests.engine.fixtures_github",
    "tests.engine.fixtures_model",
    "tests.engine.fixtures_postgres",
    "tests.engine.fixtures_s3",
    "tests.engine.release.engine",
    "tests.engine.release.tag_repository",
    "tests.engine.plugins.strict",
)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """One worker more than cores, since tests wait for processes that they start; with containers, as many as cores."""
    return None if config.option.markexpr == "engine" else (os.cpu_count() or 1) + 1


# A test is of the layer of the costliest fixture that it uses; a module with a setup of its own sets `pytestmark`.
LAYERS = {
    "workflow": {"shared_github"},
    "server": {"postgres", "s3"},
    "repository": {"small_problem", "empty_repository", "regression_repo"},
}
ORDER = ("server", "workflow", "engine", "repository")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        used = set(getattr(item, "fixturenames", ()))
        if layer := next((name for name, fixtures in LAYERS.items() if fixtures & used), None):
            item.add_marker(layer)
    # Workers end at the same time if the short tests are the last. One builds the small problem at the beginning; the
    # others meanwhile run tests that do not wait for it.
    first = next((item for item in items if "small_problem" in getattr(item, "fixturenames", ())), None)
    items.sort(key=lambda item: (item is not first, _rank(item)))


def _rank(item: pytest.Item) -> int:
    return next((rank for rank, name in enumerate(ORDER) if item.get_closest_marker(name)), len(ORDER))


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a killed process leaves in the temporary folder, and DVC in /var/tmp, goes with the run's own folder."""
    os.environ["TMPDIR"] = tempfile.tempdir = str(tmp_path_factory.mktemp("tmp"))
    os.environ["DVC_SITE_CACHE_DIR"] = str(tmp_path_factory.mktemp("dvc"))
