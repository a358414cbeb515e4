import re

import pytest

SKIPPING = """
    import pytest
    def test_skips(): pytest.skip("no docker here")
    @pytest.mark.skipif(True, reason="not on this machine")
    def test_is_marked(): pass
    @pytest.mark.xfail(reason="known bug")
    def test_is_known_to_fail(): assert False
    @pytest.mark.xfail(reason="was a bug", strict=False)
    def test_passes_unexpectedly(): pass
    def test_passes(): pass
"""


@pytest.fixture(autouse=True)
def without_other_plugins(monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(pytester, monkeypatch):
    def run(source, ci, *arguments):
        monkeypatch.setenv("CI", "true") if ci else monkeypatch.delenv("CI", raising=False)
        pytester.makepyfile(source)
        return pytester.runpytest_inprocess("-p", "tests.engine.plugins.strict", "-p", "no:cacheprovider", *arguments)

    return run


def test_skips_and_expected_failures_fail_in_ci(run):
    result = run(SKIPPING, True)
    result.assert_outcomes(passed=1, failed=3, errors=1)  # a mark skips in setup
    result.stdout.fnmatch_lines(["*CI allows no skip*no docker here*", "*CI allows no skip*known bug*"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_skipped_module_fails_in_ci(run):
    result = run("import pytest; pytest.importorskip('no_such_module')", True)
    result.assert_outcomes(errors=1)
    assert result.ret != pytest.ExitCode.OK


def test_skips_are_allowed_outside_ci(run):
    result = run(SKIPPING, False)
    result.assert_outcomes(passed=1, skipped=2, xfailed=1, xpassed=1)
    assert result.ret == pytest.ExitCode.OK


def test_skips_fail_in_workers_of_xdist(run):
    result = run(SKIPPING, True, "-p", "xdist", "-n", "1")
    result.assert_outcomes(passed=1, failed=3, errors=1)  # a mark skips in setup


def test_the_seconds_of_each_group_are_printed(pytester):
    for folder, name in (
        ("engine/ingest", "ingest"),
        ("engine/review", "review"),
        ("engine", "hooks"),
        ("team", "own"),
    ):
        module = pytester.path / "tests" / folder / f"test_{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text("def test_one(): pass")
    result = pytester.runpytest_inprocess("-p", "tests.engine.plugins.strict", "-p", "no:cacheprovider")
    start = next(i for i, line in enumerate(result.stdout.lines) if "seconds by group" in line)
    groups = {line.split()[0] for line in result.stdout.lines[start + 1 : start + 5]}
    assert groups == {"ingest", "review", "engine", "team"}
    assert re.fullmatch(r"\w+ +\d+\.\d s", result.stdout.lines[start + 1])
    assert "4 passed" in result.stdout.lines[-1]
