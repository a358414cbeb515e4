"""Verb `data`: make the rows that params.yaml names, in data/, and point data.dvc to them."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--keep-pointer", action="store_true", help="fill an empty data/ and leave data.dvc as it is")


def run(arguments: argparse.Namespace) -> int:
    """Ingest into data/."""
    from pathlib import Path

    from pipelines.config.params import load
    from pipelines.ingest import data
    from pipelines.repository.dvc_remote import set_remote_from_environment

    root, params = Path.cwd(), load()
    set_remote_from_environment(root)
    print((data.fill if arguments.keep_pointer else data.make)(params, root, print))
    return 0
