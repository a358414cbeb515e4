"""The committed locks: complete, free of addresses, and in agreement with each other."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "requirements"
NAMES = ("serving", "pipelines", "dev", "uv")
PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)==([^ ;]+)(?: ; (.+?))?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
Pins = dict[str, set[tuple[str, str]]]


def text_of(name: str) -> str:
    return (FOLDER / f"{name}.txt").read_text(encoding="utf-8")


def pins_of(name: str) -> Pins:
    """Per package its versions, each with the marker under which it is meant."""
    pins: Pins = {}
    for line in text_of(name).splitlines():
        if found := PIN.match(line):
            pins.setdefault(found[1], set()).add((found[2], found[3] or ""))
    return pins


def versions(name: str, package: str) -> set[str]:
    return {version for version, _ in pins_of(name)[package]}


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_a_pin_a_hash_or_a_comment(name):
    lines = [line for line in text_of(name).splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in lines if not PIN.match(line) and not HASH.match(line)] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_pin_has_a_hash(name):
    lines = text_of(name).splitlines()
    pins = [number for number, line in enumerate(lines) if PIN.match(line)]
    assert len(pins) > 0
    assert [lines[number] for number in pins if not HASH.match(lines[number + 1])] == []


@pytest.mark.parametrize("name", [f"{name}.{kind}" for name in NAMES for kind in ("in", "txt")])
def test_no_address_of_an_index_is_in_a_requirements_file(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert re.findall(r"(?i)\w+://\S*|--(?:extra-)?index-url|--find-links|(?m:^-[if] )| @ ", text) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_locked(name):
    asked = re.findall(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)", (FOLDER / f"{name}.in").read_text(encoding="utf-8"))
    assert [package for package in asked if package.lower() not in pins_of(name)] == []


@pytest.mark.parametrize("package", ["numpy", "onnxruntime", "protobuf", "pydantic"])
def test_the_service_scores_with_what_the_review_scored_with(package):
    assert versions("serving", package) == versions("pipelines", package) == versions("dev", package)


def test_what_lints_and_tests_is_what_reproduces():
    pipelines, dev = pins_of("pipelines"), pins_of("dev")
    differing = {package for package in pipelines if {v for v, _ in pipelines[package]} != {v for v, _ in dev[package]}}
    assert differing == set()


def test_the_private_uv_is_the_one_of_the_environment():
    assert versions("uv", "uv") == versions("dev", "uv")


def test_the_image_gets_nothing_that_only_training_needs():
    unwanted = {
        "pandas",
        "scikit-learn",
        "scipy",
        "mlflow",
        "mlflow-skinny",
        "dvc",
        "evidently",
        "skl2onnx",
        "matplotlib",
    }
    assert unwanted & pins_of("serving").keys() == set()
