"""Verb `release`: put a commit of main into production, and print what is in production."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, summary in (
        ("id", "print the release id of a commit"),
        ("image", "build and push the image of a commit, unless it exists"),
        ("run", "put a commit into production: image, smoke test, deployment, tags"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument("--rev", default="HEAD", help="the commit (default: HEAD)")
    summary = "print what is in production, since when and approved by whom, and the history"
    status = actions.add_parser("status", help=summary, description=summary)
    status.add_argument("--at", metavar="DATE", help="a date or time in the past, such as 2026-11-01")
    status.add_argument("--json", action="store_true", help="print JSON")
    summary = "make image registry, MLflow and service equal to the newest assignment; rebuild what was lost"
    actions.add_parser("reconcile", help=summary, description=summary)
    summary = "list the images and DVC objects that must be kept"
    actions.add_parser("retention", help=summary, description=summary)


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen action."""
    if arguments.action == "id":
        return _print_release_id(arguments.rev)
    if arguments.action == "run":
        from pipelines.release.flow import release

        return release(arguments.rev)
    if arguments.action == "image":
        from pipelines.release.build_ahead import build_ahead

        return build_ahead(arguments.rev)
    from pipelines.config.params import load

    params = load()
    if arguments.action == "status":
        from pipelines.release import status

        return status.print_status(params.model_name, arguments.at, arguments.json)
    if arguments.action == "retention":
        from pipelines.release import retention

        return retention.print_retention(params)
    from pipelines.cli.progress import Progress
    from pipelines.release.reconcile import reconcile

    return reconcile(params, Progress())


def _print_release_id(revision: str) -> int:
    from pipelines.cli.errors import InputError
    from pipelines.repository.git import commit_of
    from pipelines.repository.release_id import release_id

    commit = commit_of(revision)
    if commit is None:
        raise InputError(f"there is no commit {revision!r}", "Name a commit that `git log` shows.")
    print(release_id(commit))
    return 0
