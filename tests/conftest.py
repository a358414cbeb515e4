"""What every test can use."""

pytest_plugins = (
    "pytester",
    "tests.fixtures_model",
    "tests.fixtures_repo",
    "tests.fixtures_s3",
    "tests.release.engine",
    "tests.release.lines",
    "tests.plugins.own_files",
    "tests.plugins.strict",
)
