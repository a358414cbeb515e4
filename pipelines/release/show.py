"""Print where a version comes from and what became of it."""

import json
import os
import sys
from typing import Any

from pipelines.cli.errors import Unreachable
from pipelines.cli.verbs import run_verb
from pipelines.repository import tags
from pipelines.repository.lineage import as_texts, describe_version


def print_version(model_name: str, tag: str) -> int:
    """Print the lineage of a version, by the tags of the last fetch if origin does not respond.

    Raises:
        InputError: if there is no such version.
    """
    try:
        tags.fetch_tags(model_name)
    except Unreachable as error:
        print(error, file=sys.stderr)
    document = describe_version(model_name, tag, _qualities(tag))
    for name, lines in as_texts(document).items():
        is_single = not isinstance(document[name], dict | list) or not document[name]
        print(f"{name}: {lines[0]}" if is_single else "\n  ".join([f"{name}:", *lines]))
    return 0


def _qualities(tag: str) -> list[dict[str, Any]]:
    """Return what the monitor's passes found of a version; none without a log or if it does not respond."""
    if os.environ.get("PREDICTION_LOG", "off") in ("", "off"):
        return []
    done = run_verb("monitor", "--history", tag, capture=True)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return []
    return [record["quality"] for record in json.loads(done.stdout) if record["quality"]]
