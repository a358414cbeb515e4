"""Verb `data`: fill data/ with the rows that params.yaml names, and point data.dvc to them."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--keep-pointer", action="store_true", help="fill an empty data/ and leave data.dvc as it is")


def run(arguments: argparse.Namespace) -> int:
    """Ingest into data/ and print what was done."""
    from pathlib import Path

    from pipelines.config.params import load
    from pipelines.ingest.data import fill_data, make_data
    from pipelines.repository.dvc_remote import set_remote_from_environment

    root, params = Path.cwd(), load()
    set_remote_from_environment(root)
    print((fill_data if arguments.keep_pointer else make_data)(params, root, print))
    return 0
