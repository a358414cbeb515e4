"""Verb `adopt`: make this copy of the template the repository of a team's own table."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("table", help="CSV or Parquet: a file, folder, pattern or URL; or the address of a database")
    parser.add_argument("target", help="the column to predict")
    parser.add_argument("--query", help="the SELECT that gives the rows of a database")
    parser.add_argument("--positive", help="the class whose probability is predicted; the others are one class")
    parser.add_argument("--task", choices=("classification", "regression"), help="where the target leaves it open")
    parser.add_argument("--dry-run", action="store_true", help="print params.yaml and the decisions; change nothing")


def run(arguments: argparse.Namespace) -> int:
    """Adopt the table on the branch `adopt`."""
    from pipelines.adopt.draft import Request
    from pipelines.adopt.flow import adopt

    request = Request(arguments.target, arguments.positive, arguments.task, arguments.query)
    return adopt(arguments.table, request, arguments.dry_run)
