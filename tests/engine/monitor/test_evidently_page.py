"""Evidently pages of a pass, on the small problem's own rows as if they came from the log."""

from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pytest

from pipelines.cli.progress import Progress
from pipelines.config.params import load
from pipelines.monitor import evidently_page
from pipelines.monitor.evidently_page import LABEL, SCORE, load_reference, write_pages
from pipelines.predictions import window
from pipelines.predictions.labels import TARGET
from pipelines.predictions.window import REQUEST_ID
from pipelines.repository import git
from pipelines.tables.data import connect, read_rows, target_value
from tests.engine.fixtures_repo import Repo

ALL = ("DataDriftPreset", "DataSummaryPreset", "ClassificationPreset")


@pytest.fixture
def predictions(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> ir.Table:
    """The newest rows as a window of the log, with labels; the working directory is the repository."""
    monkeypatch.chdir(repo.path)
    params = load()
    table = read_rows(connect())
    table = table.filter(table[params.table.target].notnull())
    columns = {REQUEST_ID: table[params.table.key], window.SCORE: ibis.random() / 2}
    table = table.mutate(**columns, **{TARGET: target_value(table, params)})
    return table.order_by(ibis.desc(params.table.key)).limit(2_000)


def test_pages_are_drawn_from_a_sample_of_the_window_and_of_the_training_rows(
    predictions: ir.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.pages.evidently_sample.SAMPLE", 500)
    unlabelled = predictions.drop(TARGET)
    data, quality = write_pages(tmp_path, ALL, git.commit_of("HEAD"), unlabelled, predictions, Progress())
    assert data == "evidently.html: 500 predictions beside 500 training rows"
    assert quality == "evidently_quality.html: 500 predictions beside 500 training rows"
    drawn = (tmp_path / "evidently.html").read_text()
    assert SCORE in drawn and LABEL not in drawn
    sensitive = [name for name, column in load().table.columns.items() if column.sensitive]
    assert sensitive and not [name for name in sensitive if f'"{name}"' in drawn]
    assert "Precision" in (tmp_path / "evidently_quality.html").read_text()


def test_the_reference_is_the_training_rows_with_the_scores_of_the_version(predictions: ir.Table) -> None:
    params = load()
    signature, frame = load_reference(git.commit_of("HEAD"), Progress())
    shown = {item.name for item in signature.inputs if not item.sensitive}
    assert set(frame.columns) == {*shown, SCORE, LABEL}
    assert frame[SCORE].between(0, 1).all() and set(frame[LABEL]) == {0.0, 1.0}
    assert frame[SCORE][frame[LABEL] == 1].mean() > frame[SCORE][frame[LABEL] == 0].mean()
    assert params.table.event_time
    if params.table.event_time in frame:
        newest = predictions[params.table.event_time].max().execute()
        assert frame[params.table.event_time].max() < newest


def test_without_labels_only_the_page_of_the_data_is_drawn(
    predictions: ir.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidently_page, "_draw", lambda *_: "a page")
    sentences = write_pages(tmp_path, ALL, git.commit_of("HEAD"), predictions, None, Progress())
    assert sentences[1] == "no evidently_quality.html: no label of this pass has arrived"
    assert [path.name for path in tmp_path.glob("*.html")] == ["evidently.html"]


def test_what_cannot_be_drawn_is_said_and_raises_nothing(predictions: ir.Table, tmp_path: Path) -> None:
    (sentence,) = write_pages(
        tmp_path, ("RegressionPreset",), git.commit_of("HEAD"), predictions, predictions, Progress()
    )
    assert sentence.startswith("no evidently_quality.html: ")
    broken = predictions.select(REQUEST_ID, window.SCORE)
    (sentence,) = write_pages(tmp_path, ("DataDriftPreset",), git.commit_of("HEAD"), broken, None, Progress())
    assert sentence.startswith("no evidently.html: it cannot be drawn")
    assert not list(tmp_path.glob("*.html"))


def test_a_commit_without_rows_gives_a_sentence(predictions: ir.Table, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(evidently_page, "fetch_folder", lambda *_: ())
    (sentence,) = write_pages(tmp_path, ALL, git.commit_of("HEAD"), predictions, predictions, Progress())
    assert sentence.startswith("no Evidently page: the training rows")


def test_without_presets_nothing_is_fetched_or_drawn(tmp_path: Path) -> None:
    nothing: Any = None
    assert write_pages(tmp_path, (), "a commit that is not there", nothing, nothing, nothing) == []
