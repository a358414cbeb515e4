"""Verb `predict`: every row of a table through the model that ships, table in and table out.

OUT has all columns of IN as they are there (a CSV's are text), and behind them `probability` and `decision` (true from
the threshold on) for a classification, or `value` for a regression. Rows that break the signature are not in OUT, but
in OUT's rejects file (`scored.csv` has `scored.rejects.csv`), as they came and with a `reason`; where there are none,
there is no such file. The exit code is then 1, and 0 where every row was scored.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("input", metavar="IN", help="CSV or Parquet: a file, a folder or a pattern; a path or a URL")
    parser.add_argument("output", metavar="OUT", help="a .csv or .parquet file to write; a path or a URL")
    parser.add_argument("--model", type=Path, default=Path("models/model.onnx"), help="(default: %(default)s)")
    parser.add_argument(
        "--signature", type=Path, help="what the model takes and gives (default: signature.json beside the model)"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads that score (default: all cores)")


def run(arguments: argparse.Namespace) -> int:
    """Score the table and say how many rows.

    Raises:
        Refused: if some rows were rejected.
        InputError: if the table or the model cannot be used.
        Unreachable: if a store does not answer or a disk is full.
    """
    from pipelines.cli.errors import InputError, Refused
    from pipelines.model.scorer import Scorer
    from pipelines.predict.score import score_table

    if arguments.threads < 0:
        raise InputError("--threads is below 0", "Give a number of threads, or 0 for all cores.")
    signature = arguments.signature or arguments.model.with_name("signature.json")
    scorer = Scorer(arguments.model, signature, arguments.threads)
    done = score_table(scorer, arguments.input, arguments.output)
    print(f"{arguments.output}: {done.rows - done.rejected:,} rows scored")
    if done.rejected:
        fields = ", ".join(f"{field} {count:,}" for field, count in done.fields.most_common(5))
        raise Refused(
            f"{done.rejected:,} of {done.rows:,} rows were rejected ({fields}); each is in {done.rejects}",
            f"Read the column reason of {done.rejects}, mend the rows, and score them.",
        )
    return 0
