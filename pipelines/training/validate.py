"""Stage `validate`: every fault of the rows in one report, reports/validation.json; the pipeline stops on any."""

from __future__ import annotations

import sys

from pipelines.cli.errors import Refused
from pipelines.cli.exit_codes import end_with_code
from pipelines.cli.files import write_json
from pipelines.config.paths import VALIDATION
from pipelines.config.read import read_sections
from pipelines.tables.data import connect, read_data
from pipelines.training.data_checks import ValidateParams, find_faults


def main() -> None:
    """Validate data/ against params.yaml.

    Raises:
        Refused: if there is a fault; all of them are in the report by then.
    """
    params = read_sections(ValidateParams)
    table = read_data(connect())
    rows = int(table.count().execute())
    faults = find_faults(table, params, rows)
    document = {"rows": rows, "passed": not faults, "faults": [fault.to_json() for fault in faults]}
    write_json(VALIDATION, document)
    if faults:
        lines = "\n".join(f"  {fault.column}: {fault.why}" for fault in faults)
        raise Refused(
            f"data/ has {len(faults)} fault(s) in {rows:,} rows:\n{lines}",
            "Mend the data, or the schema in params.yaml.",
        )
    print(f"{rows:,} rows without a fault")


if __name__ == "__main__":
    sys.exit(end_with_code(main))
