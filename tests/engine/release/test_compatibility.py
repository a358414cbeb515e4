"""What breaks a client of the service."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.model.signature import Signature
from pipelines.release import compatibility
from tests.engine.release.tag_repository import CONTRACT


def changed(change: Callable[[dict[str, Any]], Any]) -> str:
    document = copy.deepcopy(CONTRACT)
    change(document)
    return json.dumps(document)


def field(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "number", "nullable": True, **more}


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(threshold=0.9, candidate="forest"),
        lambda d: d["inputs"].append(field("more")),
        lambda d: d["inputs"].reverse(),
        lambda d: d["inputs"][0].update(max=1000.0, min=-1.0),
        lambda d: d["inputs"][0].pop("min"),
        lambda d: d["inputs"][0].update(nullable=True),
        lambda d: d["inputs"][1].update(allowed=["chip", "online", "stripe"]),
        lambda d: d["inputs"][1].pop("allowed"),
    ],
)
def test_accepting_more_is_not_breaking(change: Callable[[dict[str, Any]], Any]) -> None:
    assert compatibility.find_breaking_change(json.dumps(CONTRACT), changed(change)) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d["inputs"].pop(), "channel is rejected now"),
        (lambda d: d["inputs"].append(field("more", nullable=False)), "more is required now"),
        (lambda d: d["inputs"][0].update(type="integer"), "changed its type from number to integer"),
        (lambda d: d["inputs"][1].update(nullable=False), "is required now"),
        (lambda d: d["inputs"][0].update(min=1.0), "must be at least 1 now"),
        (lambda d: d["inputs"][0].update(max=10.0), "must be at most 10 now"),
        (lambda d: d["inputs"][1].update(allowed=["chip"]), "allows fewer values now"),
        (lambda d: d.update(classes=["no", "yes"]), "task, output or classes changed"),
        (lambda d: d.update(output="score"), "task, output or classes changed"),
        (lambda d: d.clear(), "cannot be read"),
    ],
)
def test_accepting_less_or_responding_differently_is_breaking(
    change: Callable[[dict[str, Any]], Any], why: str
) -> None:
    assert why in str(compatibility.find_breaking_change(json.dumps(CONTRACT), changed(change)))


@pytest.mark.parametrize("old", [None, "", "no json"])
def test_unreadable_contract_is_breaking(old: str | None) -> None:
    assert compatibility.find_breaking_change(old, json.dumps(CONTRACT)) == "the contract cannot be read"


def test_widening_an_integer_to_a_number_is_not_breaking() -> None:
    old = changed(lambda d: d["inputs"][0].update(type="integer"))
    assert compatibility.find_breaking_change(old, json.dumps(CONTRACT)) is None


def test_contract_is_the_signature_without_its_example() -> None:
    signature = Signature.from_json({"example": {"amount": 1.0}, **CONTRACT})
    text = compatibility.format_contract(signature)
    assert "example" not in json.loads(text)
    assert compatibility.find_breaking_change(text, text) is None
