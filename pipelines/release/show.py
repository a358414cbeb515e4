"""Print where a version comes from and what became of it, from git; metrics seen in production from the monitor."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.cli.errors import InputError, Unreachable
from pipelines.cli.verbs import run_verb
from pipelines.config.leaves import leaves
from pipelines.repository import dvc_lock, tags
from pipelines.repository.git import git, text_at
from pipelines.repository.tags import Version
from pipelines.tables.locations import prediction_log


def print_version(model_name: str, tag: str, as_json: bool) -> int:
    """Print the lineage of a version, by the tags of the last fetch if origin does not respond.

    Raises:
        InputError: if there is no such version.
    """
    try:
        tags.fetch_tags(model_name)
    except Unreachable as error:
        print(error, file=sys.stderr)
    document = describe_version(model_name, tag)
    if as_json:
        print(json.dumps(_with_identifiers(document), indent=2))
        return 0
    for name, value in document.items():
        if isinstance(value, dict | list) and value:
            print(f"{name}:")
            lines = value.items() if isinstance(value, dict) else ((None, item) for item in value)
            for key, item in lines:
                shown = ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else _plain(item)
                print(f"  {shown}" if key is None else f"  {key}: {shown}")
        else:
            print(f"{name}: {_plain(value) if value != {} else 'none'}")
    return 0


def _with_identifiers(document: Any) -> Any:
    """Return a document with `release_id` for `release id`, for programs: no name has a blank."""
    if isinstance(document, dict):
        return {name.replace(" ", "_"): _with_identifiers(value) for name, value in document.items()}
    return [_with_identifiers(item) for item in document] if isinstance(document, list) else document


def describe_version(model_name: str, tag: str) -> dict[str, Any]:
    """Return everything that git and the monitor know about a version; None where something is not known.

    Raises:
        InputError: if there is no such version.
    """
    versions = tags.list_versions(model_name)
    index = next((i for i, version in enumerate(versions) if version.tag == tag), None)
    if index is None:
        known = ", ".join(version.tag for version in versions[-5:]) or "none"
        raise InputError(f"there is no version {tag}", f"Name a registered one (the newest: {known}).")
    version, before = versions[index], versions[index - 1] if index else None
    annotation, commit = version.annotation, version.commit
    assignments = list(_assignments(model_name, tag))
    merge = assignments[0] if assignments else {}
    return {
        "version": tag,
        "release id": version.release_id,
        "commit": commit,
        "committed at": git("show", "--no-patch", "--format=%cI", commit),
        "data": _describe_data(version),
        "settings changed since": before and before.tag,
        "changed settings": _changed_settings(before.commit, commit) if before else {},
        "metrics promised": _json_at(commit, "reports/metrics.json").get("test") or dict(annotation.metrics),
        "metrics seen": _metrics_seen(tag),
        "pull request": merge.get("pull request"),
        "approved by": merge.get("approved by"),
        "rules bypassed": merge.get("rules bypassed"),
        "assignments": [{key: item[key] for key in ("tag", "from", "to")} for item in assignments],
        "image": annotation.image,
        "model md5": annotation.model,
        "signature md5": annotation.signature,
    }


def _describe_data(version: Version) -> dict[str, Any]:
    """Return the rows that a version was trained and tested on."""
    commit = version.commit
    contract = json.loads(version.annotation.contract or "{}")
    settings = dict(leaves(text_at(commit, "params.yaml")))
    return {
        "md5": dvc_lock.data_md5(text_at(commit, "dvc.lock")),
        "rows": _json_at(commit, "reports/validation.json").get("rows"),
        "from": json.loads(settings.get("ingest.start", "null")),
        "until": json.loads(settings.get("ingest.until", "null")),
        "training rows until": contract.get("trained_until"),
        "test rows": _json_at(commit, "reports/metrics.json").get("rows"),
    }


def _assignments(model_name: str, tag: str) -> Iterator[dict[str, Any]]:
    """Yield the assignments of a version, the oldest first, each with the end that the next assignment made."""
    history = tags.list_assignments(model_name)
    for item, later in zip(history, [*history[1:], None], strict=False):
        if item.version == tag:
            yield {
                "tag": item.tag,
                "from": f"{item.assigned_at:%Y-%m-%d %H:%M:%S} UTC",
                "to": f"{later.assigned_at:%Y-%m-%d %H:%M:%S} UTC" if later else "now",
                "pull request": item.annotation.pull_request,
                "approved by": list(item.annotation.approved_by),
                "rules bypassed": item.annotation.bypassed,
            }


def _metrics_seen(tag: str) -> dict[str, str]:
    """Return the metrics of the newest pass with labels; none without a log or if it does not respond."""
    if prediction_log() is None:
        return {}
    done = run_verb("monitor", "--history", tag, capture=True)
    if done.returncode:
        print(done.stderr.strip(), file=sys.stderr)
        return {}
    qualities = [record["quality"] for record in json.loads(done.stdout) if record["quality"]]
    metrics: list[dict[str, Any]] = next(
        (quality["metrics"] for quality in reversed(qualities) if quality["metrics"]), []
    )
    return {item["name"]: _with_interval(item) for item in metrics if item["slice"] is None}


def _with_interval(metric: Mapping[str, Any]) -> str:
    if metric["value"] is None or metric["low"] is None:
        return _plain(metric["value"])
    return f"{metric['value']:.4g} (95 % CI {metric['low']:.4g} to {metric['high']:.4g})"


def _changed_settings(before: str, after: str) -> dict[str, str]:
    """Return path -> old and new value of the settings of params.yaml that differ between two commits."""
    old, new = (dict(leaves(text_at(commit, "params.yaml"))) for commit in (before, after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: f"{old.get(name, 'not set')} -> {new.get(name, 'not set')}" for name in sorted(names)}


def _json_at(commit: str, path: str) -> dict[str, Any]:
    try:
        document = json.loads(text_at(commit, path) or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _plain(value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
