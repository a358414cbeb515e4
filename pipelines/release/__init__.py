"""Verb `release`: put a commit of main into production, and tell what is there."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, what in (
        ("id", "print the release identity of a commit"),
        ("image", "build and push the image of a commit, if it is nowhere"),
        ("run", "put a commit into production: image, smoke test, deployment, tags"),
    ):
        action = actions.add_parser(name, help=what, description=what)
        action.add_argument("--rev", default="HEAD", help="the commit (default: HEAD)")
    what = "what is in production, since when and by whom, and the history"
    status = actions.add_parser("status", help=what, description=what)
    status.add_argument("--at", metavar="DATE", help="a day or time of the past, such as 2026-11-01")
    status.add_argument("--json", action="store_true", help="for programs")
    what = "lead registry, MLflow and service back to the newest assignment; rebuild what was lost"
    actions.add_parser("reconcile", help=what, description=what)
    what = "list the images and DVC objects that must be kept"
    actions.add_parser("retention", help=what, description=what)


def run(arguments: argparse.Namespace) -> int:
    """Do one of the actions."""
    if arguments.action == "id":
        return _id(arguments.rev)
    if arguments.action == "run":
        from pipelines.release.flow import release

        return release(arguments.rev)
    if arguments.action == "image":
        from pipelines.release.build_ahead import image

        return image(arguments.rev)
    from pipelines.config.params import load

    params = load()
    if arguments.action == "status":
        from pipelines.release import status

        return status.show(params.model_name, arguments.at, arguments.json)
    if arguments.action == "retention":
        from pipelines.release import retention

        return retention.show(params)
    from pipelines.cli.progress import Progress
    from pipelines.release.image_registry import Registry
    from pipelines.release.reconcile import reconcile

    return reconcile(params, Registry.from_environment(), Progress())


def _id(revision: str) -> int:
    from pipelines.cli.errors import InputError
    from pipelines.repository.git import commit_of
    from pipelines.repository.release_id import release_id

    commit = commit_of(revision)
    if commit is None:
        raise InputError(f"there is no commit {revision!r}", "Name one that `git log` shows.")
    print(release_id(commit))
    return 0
