"""Stage `validate`: write all data errors to reports/validation.json; any of them stops the pipeline."""

from __future__ import annotations

import sys

from pipelines.cli.errors import Refused
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_json
from pipelines.config.paths import VALIDATION
from pipelines.config.read import read_sections
from pipelines.tables.data import connect, read_rows
from pipelines.training.data_checks import ValidateParams, find_data_errors


def main() -> None:
    """Validate data/ against params.yaml.

    Raises:
        Refused: if there is a data error; the report is written before.
    """
    params = read_sections(ValidateParams)
    table = read_rows(connect())
    rows = int(table.count().execute())
    errors = find_data_errors(table, params, rows)
    document = {"rows": rows, "passed": not errors, "errors": [error.to_json() for error in errors]}
    write_json(VALIDATION, document)
    if errors:
        lines = "\n".join(f"  {error.column}: {error.why}" for error in errors)
        raise Refused(
            f"data/ has {len(errors)} data error(s) in {rows:,} rows:\n{lines}",
            "Fix the data, or the schema in params.yaml.",
        )
    print(f"{rows:,} rows without a data error")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
