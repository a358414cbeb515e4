"""What every test can use."""

pytest_plugins = ("pytester", "tests.fixtures_model", "tests.fixtures_repo", "tests.plugins.strict")
