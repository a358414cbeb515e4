"""Reasons in params.yaml that confirm a change: each counts once."""

from __future__ import annotations

import json
import re

from pipelines.config.read import PATH
from pipelines.repository import git
from pipelines.repository.leaves import leaves

VERSIONS = 500  # of params.yaml that are read


def is_new_reason(setting: str, reason: str | None, base_sha: str) -> bool:
    """Whether no params.yaml that the base's branch ever had gives the same reason.

    Blanks, case and punctuation make no other reason.

    Args:
        setting: in section `gates`.
    """
    words = _words(reason or "")
    if not words:
        return False
    for text in git.past_texts(base_sha, str(PATH), VERSIONS):
        # Few texts contain the words; reading YAML is slow.
        if words in _words(text):
            value = dict(leaves(text)).get(f"gates.{setting}", '""')
            if words == _words(str(json.loads(value))):
                return False
    return True


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
