"""Where a version comes from and what became of it, from git; metrics seen in production from the monitor's passes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipelines.cli.errors import InputError
from pipelines.repository import dvc_lock, tags
from pipelines.repository.git import text_at, try_git
from pipelines.repository.leaves import leaves
from pipelines.repository.tags import Version


def describe_version(model_name: str, tag: str, qualities: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """Return everything that git and the monitor know about a version; None where something is not known.

    Args:
        qualities: `quality` of the version's passes in the monitor's history, the oldest first.

    Raises:
        InputError: if there is no such version, or its dvc.lock cannot be read.
    """
    versions = tags.list_versions(model_name)
    index = next((i for i, version in enumerate(versions) if version.tag == tag), None)
    if index is None:
        known = ", ".join(version.tag for version in versions[-5:])
        newest = f"Name a registered one (the newest: {known})."
        raise InputError(
            f"there is no version {tag}", newest if known else "Nothing is registered yet: release a model first."
        )
    version, before = versions[index], versions[index - 1] if index else None
    annotation, commit = version.annotation, version.commit
    assignments = list(_assignments(model_name, tag))
    merge = assignments[0] if assignments else {}
    return {
        "version": tag,
        "release id": version.release_id,
        "commit": commit,
        "committed at": try_git("show", "--no-patch", "--format=%cI", commit),
        "data": _describe_data(version),
        "settings changed since": before and before.tag,
        "changed settings": _changed_settings(before.commit, commit) if before else {},
        "metrics promised": json_at(commit, "reports/metrics.json").get("test") or dict(annotation.metrics),
        "metrics seen": _metrics_seen(qualities),
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
        "rows": json_at(commit, "reports/validation.json").get("rows"),
        "from": json.loads(settings.get("ingest.start", "null")),
        "until": json.loads(settings.get("ingest.until", "null")),
        "training rows until": contract.get("trained_until"),
        "test rows": json_at(commit, "reports/metrics.json").get("rows"),
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


def _metrics_seen(qualities: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the metrics of the newest pass with labels."""
    newest = [quality["metrics"] for quality in qualities if quality["metrics"]][-1:]
    return {item["name"]: _with_interval(item) for metrics in newest for item in metrics if item["slice"] is None}


def _with_interval(metric: Mapping[str, Any]) -> str:
    if metric["value"] is None or metric["low"] is None:
        return _plain(metric["value"])
    return f"{metric['value']:.4g} (95 % CI {metric['low']:.4g} to {metric['high']:.4g})"


def _changed_settings(before: str, after: str) -> dict[str, str]:
    """Return path -> old and new value of the settings of params.yaml that differ between two commits."""
    old, new = (dict(leaves(text_at(commit, "params.yaml"))) for commit in (before, after))
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    return {name: f"{old.get(name, 'not set')} -> {new.get(name, 'not set')}" for name in sorted(names)}


def json_at(commit: str, path: str) -> dict[str, Any]:
    """Return a JSON document of a commit; empty if it is not there, or none."""
    try:
        document = json.loads(text_at(commit, path) or "{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _plain(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "not known", True: "yes", False: "no"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def as_texts(document: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the lines that show each part of a description to people; one line for a part that is a single value."""
    return {name: list(_lines(value)) for name, value in document.items()}


def _lines(value: Any) -> Iterator[str]:
    if not value and isinstance(value, dict | list):
        yield "none"
    elif isinstance(value, dict):
        yield from (f"{name}: {_plain(item)}" for name, item in value.items())
    elif isinstance(value, list):
        parts = (item.items() if isinstance(item, dict) else [(item,)] for item in value)
        yield from (", ".join(" ".join(pair) for pair in part) for part in parts)
    else:
        yield _plain(value)
