"""Stage `validate`: every fault of the rows in one report, reports/validation.json; the pipeline stops on any."""

from __future__ import annotations

import sys

from pipelines import config, tables
from pipelines.cli import end_with_code
from pipelines.errors import Refused
from pipelines.files import write_json
from pipelines.training.faults import find_faults
from pipelines.training.paths import VALIDATION


def main() -> None:
    """Validate data/ against params.yaml.

    Raises:
        Refused: if there is a fault; all of them are in the report by then.
    """
    params = config.load()
    table = tables.read_data(tables.connect())
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
