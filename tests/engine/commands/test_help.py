"""Docs and `--help` name the same options."""

import re

import pytest

from pipelines.__main__ import VERBS, main
from testing.repository import ROOT

ROWS = [line for line in (ROOT / "docs/commands.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")]


def help_of(capsys: pytest.CaptureFixture[str], *verb: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*verb, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", VERBS)
def test_the_commands_page_names_every_option_of_a_verb(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    actions = re.findall(r"^    ([a-z]+)\b", help_of(capsys, verb), re.MULTILINE) if verb == "release" else [""]
    for words in ([verb, action] if action else [verb] for action in actions):
        (row,) = [row for row in ROWS if re.match(rf"\| `python -m pipelines {' '.join(words)}\b[^-]", row)]
        options = set(re.findall(r"--[a-z-]+", help_of(capsys, *words))) - {"--help"}
        assert {option for option in options if option not in row} == set()


def test_the_help_tells_a_user_what_the_verbs_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(help_of(capsys).split())
    assert "`make help` lists the commands for people" in text and "imported" not in text
