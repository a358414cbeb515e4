"""What every test can use."""

pytest_plugins = ("pytester", "tests.fixtures_model", "tests.plugins.strict")
