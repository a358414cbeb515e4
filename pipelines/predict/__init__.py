"""Verb `predict`: score every row of a table with the model.

OUT has all columns of IN (the columns of a CSV are text), followed by `probability` and `decision` (true from the
threshold on) for a classification, or `value` for a regression. If the model reads prepared columns and IN has none of
them, features/prepare.py makes them, and OUT has them after those of IN. Rows that do not fit the signature go to the
rejects file instead (`scored.rejects.csv` for `scored.csv`), unchanged and with a `reason`; the exit code is then 1. If
every row was scored, there is no rejects file, and the exit code is 0.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("input", metavar="IN", help="CSV or Parquet: path or URL of a file, folder or pattern")
    parser.add_argument("output", metavar="OUT", help="path or URL of a .csv or .parquet file to write")
    parser.add_argument("--history", metavar="HISTORY", help="table of earlier rows for features/prepare.py")
    parser.add_argument("--model", type=Path, default=Path("models/model.onnx"), help="(default: %(default)s)")
    parser.add_argument(
        "--signature", type=Path, help="signature of the model (default: signature.json beside the model)"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads for scoring (default: all cores)")


def run(arguments: argparse.Namespace) -> int:
    """Score the table and print the number of rows; raises Refused if some rows were rejected."""
    from pipelines.cli.errors import InputError, Refused
    from pipelines.model.scorer import Scorer
    from pipelines.predict.score import score_table

    if arguments.threads < 0:
        raise InputError("--threads is below 0", "Give a number of threads, or 0 for all cores.")
    signature = arguments.signature or arguments.model.with_name("signature.json")
    scorer = Scorer(arguments.model, signature, arguments.threads)
    result = score_table(scorer, arguments.input, arguments.output, arguments.history)
    print(f"{arguments.output}: {result.rows - result.rejected:,} rows scored")
    if result.rejected:
        fields = ", ".join(f"{field} {count:,}" for field, count in result.rejections.most_common(5) if count)
        raise Refused(
            f"{result.rejected:,} of {result.rows:,} rows were rejected ({fields}); each is in {result.rejects}",
            f"Read the column reason of {result.rejects}, fix the rows, and score them again.",
        )
    return 0
