"""Tables as teams have them: each has what makes one of them hard to adopt."""

import csv
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np


def write_csv(
    path: Path, columns: dict[str, Sequence[Any]], separator: str = ",", encoding: str = "utf-8", decimal: str = "."
) -> Path:
    """Write columns as a CSV; None is an empty cell."""
    rows: Iterable[tuple[Any, ...]] = zip(*columns.values(), strict=True)
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(columns)
        writer.writerows([_cell(value, decimal) for value in row] for row in rows)
    return path


def _cell(value: Any, decimal: str) -> Any:
    if isinstance(value, float | np.floating):
        return str(round(float(value), 3)).replace(".", decimal)
    return value


def churn(rows: int = 3000) -> dict[str, Sequence[Any]]:
    """Customers of a telephone company, with a key, blanks among numbers, a sensitive column and a leak by name."""
    draw = np.random.default_rng(5)
    months = draw.integers(0, 72, rows)
    monthly = draw.uniform(18, 120, rows).round(2)
    contract = draw.choice(["Month-to-month", "One year", "Two year"], rows, p=[0.55, 0.25, 0.2])
    risk = 1.2 * (contract == "Month-to-month") - 0.05 * months + 0.02 * monthly - 0.8
    churned = draw.random(rows) < 1 / (1 + np.exp(-risk))
    return {
        "customerID": [f"{n:04d}-{'ABCDEFGHIJ'[n % 10]}" for n in draw.permutation(rows)],
        "gender": draw.choice(["Female", "Male"], rows).tolist(),
        "tenure": months.tolist(),
        "Contract": contract.tolist(),
        "PaperlessBilling": draw.choice(["Yes", "No"], rows).tolist(),
        "MonthlyCharges": monthly.tolist(),
        "TotalCharges": [" " if n == 0 else round(float(n * m), 2) for n, m in zip(months, monthly, strict=True)],
        "ChurnReason": ["moved" if c else None for c in churned],
        "Churn": ["Yes" if c else "No" for c in churned],
    }


def rents(rows: int = 1500) -> dict[str, Sequence[Any]]:
    """German flats: decimal commas, dates with points, umlauts and units in names, no key, a sum that is the target."""
    draw = np.random.default_rng(6)
    size = draw.uniform(20, 140, rows)
    district = draw.choice(["Mitte", "Süd", "Nord-Ost", "Würm"], rows)
    cold = 8 * size + 90 * (district == "Mitte") + draw.normal(0, 60, rows)
    extra = draw.uniform(40, 220, rows)
    first = datetime(2025, 1, 1)
    listed = [first + timedelta(days=int(day)) for day in np.sort(draw.integers(0, 200, rows))]
    return {
        "Eingestellt am": [day.strftime("%d.%m.%Y") for day in listed],
        "Größe (m²)": size.tolist(),
        "Stadtteil": district.tolist(),
        "Zimmer": np.maximum(1, (size / 25).round()).astype(int).tolist(),
        "Baujahr": [str(year) if year > 1905 else "?" for year in draw.integers(1900, 2024, rows)],
        "Kaltmiete": cold.tolist(),
        "Nebenkosten": extra.tolist(),
        "Warmmiete": (cold + extra).tolist(),
    }


def visits(rows: int = 4000) -> dict[str, Sequence[Any]]:
    """Several visits of each patient, without a time, but with a key; cells and names are as people write them.

    One column is sensitive, and one leaks by its name.
    """
    draw = np.random.default_rng(7)
    patient = draw.integers(0, 700, rows)
    frailty = draw.normal(size=700)
    pressure = (125 + 10 * frailty[patient] + draw.normal(0, 8, rows)).round(1)
    readmitted = draw.random(rows) < 1 / (1 + np.exp(1.5 - 2 * frailty[patient]))
    return {
        "visit_id": list(range(1, rows + 1)),
        "patient_id": [f"P{n:05d}" for n in patient],
        "Blutdruck (mmHg), 血圧": ["n/a" if n % 50 == 0 else value for n, value in enumerate(pressure.tolist())],
        "value": ["12 kg", "-", *draw.normal(5, 1, rows - 2).round(3).tolist()],
        "ward": draw.choice(["north", "south", "west"], rows).tolist(),
        "sex": draw.choice(["f", "m"], rows).tolist(),
        "readmission reason": ["pain" if again else None for again in readmitted],
        "readmitted": readmitted.astype(int).tolist(),
    }


def small(rows: int = 300) -> dict[str, Sequence[Any]]:
    """A table of few rows, with American dates and a time each."""
    draw = np.random.default_rng(8)
    dose, age = draw.uniform(0, 10, rows), draw.integers(20, 80, rows)
    start = datetime(2025, 1, 6, 8, 30)
    return {
        "sample": [f"S-{n}" for n in range(rows)],
        "taken": [(start + timedelta(hours=7 * n)).strftime("%m/%d/%Y %I:%M %p") for n in range(rows)],
        "dose": dose.tolist(),
        "age": age.tolist(),
        "lab": draw.choice(["A", "B"], rows).tolist(),
        "response": np.where(draw.random(rows) < 1 / (1 + np.exp(4 - dose)), "good", "none").tolist(),
    }


def wide(rows: int = 2000, width: int = 150) -> dict[str, Sequence[Any]]:
    """Many columns: numbers, codes with leading zeros, constant and empty ones, free text, repeated rows."""
    draw = np.random.default_rng(9)
    numbers = {f"sensor {n}": draw.normal(size=rows).round(3) for n in range(width)}
    alarm = numbers["sensor 3"] + numbers["sensor 4"] + draw.normal(0, 0.5, rows) > 1.5
    columns: dict[str, Sequence[Any]] = {name: values.tolist() for name, values in numbers.items()}
    columns |= {
        "plant": draw.choice(["007", "012", "120"], rows).tolist(),
        "empty": [None] * rows,
        "firmware": ["1.0"] * rows,
        "remark": [f"seen by operator {n} in the morning shift" for n in draw.integers(0, rows, rows)],
        'odd "name"': draw.choice(["x", "NA"], rows).tolist(),
        "alarm": np.where(alarm, "TRUE", "FALSE").tolist(),
    }
    return {name: [*values[:-20], *values[:20]] for name, values in columns.items()}
