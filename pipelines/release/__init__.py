"""Verb `release`: put a commit of main into production, and print what is in production."""

import argparse

_ACTIONS = {
    "id": "print the release id of a commit",
    "image": "build and push the image of a commit, unless it exists",
    "run": "put a commit into production: image, smoke test, deployment, tags",
    "status": "print what is in production, since when and approved by whom, and the history",
    "show": "print where a version comes from: data, code, settings, metrics, approval, assignments, image",
    "check": "start the workflow release.yml if GitHub skipped it for this commit of main",
    "reconcile": "make image registry, MLflow and service equal to the newest assignment; rebuild what was lost",
    "retention": "list the images and DVC objects that must be kept",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the verb."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    parsers = {name: actions.add_parser(name, help=help_, description=help_) for name, help_ in _ACTIONS.items()}
    for name in ("id", "image", "run", "check"):
        parsers[name].add_argument("--rev", default="HEAD", help="the commit (default: HEAD)")
    parsers["run"].add_argument("--retry", action="store_true", help="begin a rollout again whose canary was aborted")
    parsers["status"].add_argument("--at", metavar="DATE", help="a date or time in the past, such as 2026-11-01")
    parsers["show"].add_argument("version", metavar="VERSION", help="such as fraud@v1.4.0")
    parsers["status"].add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the chosen action."""
    if arguments.action == "id":
        from pipelines.repository.git import resolve_commit
        from pipelines.repository.release_id import release_id

        print(release_id(resolve_commit(arguments.rev)))
        return 0
    if arguments.action == "run":
        from pipelines.release.flow import release

        return release(arguments.rev, arguments.retry)
    if arguments.action == "image":
        from pipelines.release.ensure_image import build_ahead

        return build_ahead(arguments.rev)
    if arguments.action == "check":
        from pipelines.release.missed import start_missed_release

        return start_missed_release(arguments.rev)
    from pipelines.config.params import load

    params = load()
    if arguments.action == "status":
        from pipelines.deployment.host import Host
        from pipelines.release.status import print_status

        return print_status(params.model_name, arguments.at, arguments.json, Host.of_rollout(params))
    if arguments.action == "show":
        from pipelines.release.show import print_version

        return print_version(params.model_name, arguments.version)
    if arguments.action == "retention":
        from pipelines.release.retention import print_retention

        return print_retention(params)
    from pipelines.release.reconcile import reconcile

    return reconcile(params)
