"""docs/features.md line by line: its functions run on payments, its refusals happen, its operations are complete."""

import re
import textwrap
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipelines.cli.errors import InputError
from pipelines.cli.files import write_text
from pipelines.config.features import Derived
from pipelines.config.params import parse
from pipelines.config.paths import PREPARED
from pipelines.config.read import PATH
from pipelines.model import features
from pipelines.tables.preparation import FUNCTION
from pipelines.training import prepare
from tests.engine.fixtures_dvc import payments_table
from tests.engine.fixtures_repo import PARAMS, ROOT, merge

PAGE = (ROOT / "docs/features.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", PAGE, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


DERIVED, *COLUMNS = blocks("yaml")
FUNCTIONS = blocks("python")
REFUSED = re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)
NUMBER = {"type": "number", "nullable": True, "prepared": True}


def document(*changes: dict[str, Any]) -> dict[str, Any]:
    """The params.yaml of the tests without its prepared columns, with changes."""
    content = yaml.safe_load(PARAMS.read_text(encoding="utf-8"))
    columns = content["schema"]["columns"]
    content["schema"]["columns"] = {name: column for name, column in columns.items() if "prepared" not in column}
    content["features"] = {"use": ["amount"], "derive": {}}
    for change in changes:
        merge(content, change)
    return content


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the stage on payments."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    pq.write_table(payments_table(2_000), "data/payments.parquet")

    def run(function: str, *changes: dict[str, Any]) -> pa.Table:
        write_text(FUNCTION, function)
        write_text(PATH, yaml.safe_dump(document(*changes), sort_keys=False))
        prepare.main()
        return pq.read_table(PREPARED / "payments.parquet")

    return run


@pytest.mark.parametrize("example", range(len(FUNCTIONS)))
def test_a_function_of_the_page_makes_the_columns_below_it(run: Any, example: int) -> None:
    assert len(FUNCTIONS) == len(COLUMNS) == 2
    changes = yaml.safe_load(COLUMNS[example])
    rows = run(FUNCTIONS[example], changes)
    params = parse(yaml.safe_dump(document(changes)))
    assert set(changes["features"]["use"]) == set(params.table.prepared) < set(rows.column_names)
    for name in params.table.prepared:
        column, values = params.table.columns[name], rows[name].drop_null().to_pylist()
        assert column.nullable or len(values) == len(rows)
        assert values and (column.min is None or min(values) >= column.min)


def test_the_page_has_the_refusals() -> None:
    assert len(REFUSED) == 12


@pytest.mark.parametrize(("line", "message"), REFUSED)
def test_a_line_that_the_page_names_is_refused_as_it_says(run: Any, line: str, message: str) -> None:
    made = {} if "not in schema" in message else dict.fromkeys(re.findall(r'^frame\["(\w+)"\] =', line), NUMBER)
    prepared = {name: column for name, column in made.items() if name not in document()["schema"]["columns"]}
    text = f"import numpy as np\n\n\ndef prepare(frame):\n    {line}\n    return frame\n"
    with pytest.raises(InputError) as caught:
        run(text, {"schema": {"columns": prepared}})
    assert message in str(caught.value)


def test_every_operation_is_on_the_page_and_can_be_built() -> None:
    opened = {"schema": {"columns": {"opened_at": {"type": "timestamp"}}}}
    params = parse(yaml.safe_dump(document(opened, yaml.safe_load(DERIVED))))
    operations = set(get_args(Derived.model_fields["op"].annotation))
    assert {derived.op for derived in params.features.derive.values()} == operations
    table = PAGE[PAGE.index("| operation |") : PAGE.index("A number that is made")]
    described = re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)
    assert {name for cell in described for name in re.findall(r"\w+", cell)} == operations
    assert features.graph(params, {}).names == ("amount", *params.features.derive)
