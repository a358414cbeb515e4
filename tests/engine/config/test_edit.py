"""Setting one value in the text of params.yaml."""

import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.config.edit import with_value

TEXT = """\
# the first line
candidates:
  trees:  # the winner
    estimator: some.Trees
    params: {depth: 3, rate: 0.1}  # found by hand
    before:
      - {estimator: some.Imputer, params: {strategy: median}}
  line:
    estimator: some.Line
    params:
      # how strong
      C: 0.5
      empty:
  bare: {estimator: some.Bare, params: {}}
"""


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("candidates.trees.params.depth", 5, "    params: {depth: 5, rate: 0.1}  # found by hand"),
        ("candidates.trees.params.rate", 0.00001, "    params: {depth: 3, rate: 1.0e-05}  # found by hand"),
        ("candidates.trees.params.leaves", 8, "    params: {leaves: 8, depth: 3, rate: 0.1}  # found by hand"),
        (
            "candidates.trees.before.0.params.strategy",
            "most_frequent",
            "      - {estimator: some.Imputer, params: {strategy: most_frequent}}",
        ),
        ("candidates.line.params.C", None, "      C: null"),
        ("candidates.line.params.empty", "yes", "      empty: 'yes'"),
        ("candidates.line.params.penalty", True, "      penalty: true"),
        ("candidates.bare.params.depth", 2, "  bare: {estimator: some.Bare, params: {depth: 2}}"),
        ("candidates.trees.other.deep", 2, "    other: {deep: 2}"),
    ],
)
def test_one_value_changes_and_all_other_lines_stay(path, value, line):
    edited = with_value(TEXT, path.split("."), value)
    assert line in edited.splitlines()
    assert len(set(TEXT.splitlines()) - set(edited.splitlines())) <= 1
    at = yaml.safe_load(edited)
    for key in path.split("."):
        at = at[int(key) if isinstance(at, list) else key]
    assert at == value and type(at) is type(value)


def test_a_value_that_stands_in_two_places_is_not_set():
    text = "one: &it {depth: 3}\nother: *it\n"
    with pytest.raises(InputError, match=r"one\.depth cannot be set"):
        with_value(text, ("one", "depth"), 4)
