"""The verb `data`: bring the rows that params.yaml names into data/."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument(
        "--bring",
        action="store_true",
        help="bring what data.dvc names (cache, remote, or ingest again) instead of ingesting anew",
    )


def run(args: argparse.Namespace) -> int:
    """Ingest into data/ and point data.dvc to it; or bring what data.dvc names."""
    from pathlib import Path

    from pipelines import config
    from pipelines.ingest import data, remote

    root = Path.cwd()
    params = config.load()
    remote.from_environment(root)
    if args.bring:
        data.check_ingest(params, root)
        print(data.bring(params, root, print).note)
    else:
        print(data.make(params, root, print))
    return 0
