"""The passes that are due: fetch the model of each, open its window, judge it, and add its record to the history."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import ibis

from pipelines.cli.errors import Unreachable
from pipelines.cli.progress import Progress
from pipelines.config.params import Params
from pipelines.model.profile import Profile, load_profile
from pipelines.model.signature import Signature, load_signature
from pipelines.monitor.actions import find_previous
from pipelines.monitor.compaction import compact
from pipelines.monitor.evidently_page import write_pages
from pipelines.monitor.history import History
from pipelines.monitor.judge import Before, judge_pass
from pipelines.monitor.pass_record import PassRecord
from pipelines.monitor.quality import OpenWindow, judge_quality
from pipelines.monitor.schedule import DuePass
from pipelines.predictions.labels import open_labels
from pipelines.predictions.window import open_connection, open_window
from pipelines.repository import base_model
from pipelines.repository.base_model import Base
from pipelines.repository.tags import Assignment
from pipelines.tables.locations import Location

MONITOR = Path("reports/monitor")


@dataclass(frozen=True)
class Judge:
    """What the passes of a run share; `assignments` are those to production, the oldest first."""

    params: Params
    log: Location
    history: History
    assignments: Sequence[Assignment]
    progress: Progress

    @cached_property
    def _connection(self) -> ibis.BaseBackend:
        return open_connection()

    def do_passes(self, due: Sequence[DuePass]) -> None:
        """Judge every pass, in order, and add it to the history."""
        records, acknowledgements = self.history.passes(), self.history.acknowledgements()
        models: dict[str, tuple[Signature, Profile] | None] = {}
        for item in due:
            release_id = item.assignment.release_id
            if release_id not in models:
                models[release_id] = self._fetch_model(item.assignment)
            model = models[release_id]
            if model is None:
                continue
            self._compact(item, model[0])
            before = Before([record for record in records if record.end <= item.start], acknowledgements)
            with self.progress.step(
                f"Judging {item.start:%Y-%m-%d} to {item.end:%Y-%m-%d} of {item.assignment.version}"
            ):
                record = self.history.add_pass(self._judge(item, *model, before))
            records.append(record)
            if item == due[-1] and record.judged and self.params.monitor.evidently:
                with self.progress.step("Drawing the Evidently pages"):
                    self._draw_evidently(item, model[0], record)

    def _compact(self, due: DuePass, signature: Signature) -> None:
        """Merge the lines of the log. A log that may not be written is read as it is."""
        with self.progress.step("Merging the files of the prediction log"):
            try:
                compact(self.log, due.start, due.end, signature, due.assignment.release_id)
            except Unreachable as error:
                self.progress.print(f"The files of the prediction log are read as they are: {error}")

    def _open_rows(self, due: DuePass, signature: Signature) -> OpenWindow:
        return partial(open_window, self._connection, self.log, signature, due.assignment.release_id)

    def _judge(self, due: DuePass, signature: Signature, profile: Profile, before: Before) -> PassRecord:
        open_rows, assignment = self._open_rows(due, signature), due.assignment
        fetch_previous = partial(self._fetch_previous, assignment.release_id)
        quality = judge_quality(
            self._connection, open_rows, self.params, due, signature, profile, before.passes, fetch_previous
        )
        with open_rows(due.start, due.end) as window:
            return judge_pass(window, assignment.version, signature, profile, self.params.monitor, before, quality)

    def _draw_evidently(self, due: DuePass, signature: Signature, record: PassRecord) -> None:
        """Draw the pages of a pass, of its predictions and of those whose labels it judged."""
        quality, settings, open_rows = record.quality, self.params.monitor, self._open_rows(due, signature)
        with ExitStack() as stack:
            predictions, labelled = stack.enter_context(open_rows(due.start, due.end)).table, None
            if quality and quality.labelled and settings.labels:
                labels = stack.enter_context(open_labels(self._connection, settings.labels, signature))
                matured = stack.enter_context(open_rows(quality.matured_from, quality.matured_to))
                labelled = labels.join(matured.table, due.end)
            commit = due.assignment.commit
            for sentence in write_pages(MONITOR, settings.evidently, commit, predictions, labelled, self.progress):
                self.progress.print(sentence)

    def _fetch_model(self, assignment: Assignment) -> tuple[Signature, Profile] | None:
        """Return signature and profile of a version; None if an earlier version's are in no cache and no remote.

        Raises:
            Unreachable: if those of the version in production are not.
        """
        reason = ""
        try:
            base = base_model.fetch_stored(assignment.commit, self.progress)
        except Unreachable as error:
            base, reason = None, f": {error}"
        if base is None:
            message = f"the model of {assignment.version} is in no cache and no remote{reason}"
            if assignment.release_id == self.assignments[-1].release_id:
                raise Unreachable(message, "Run `make push` where the model is in the cache, or check the DVC remote.")
            self.progress.print(f"{message}; its passes are not judged")
            return None
        profile = load_profile(base.profile) if base.profile else Profile(rows=0, inputs={})
        return load_signature(base.signature), profile

    def _fetch_previous(self, release_id: str) -> tuple[str, Base] | None:
        """Return the version before a release with its files; None without one, or if they cannot be fetched."""
        assignment = find_previous(self.assignments, release_id, self.params.model_name)
        try:
            base = assignment and base_model.fetch_stored(assignment.commit, self.progress)
        except Unreachable as error:
            self.progress.print(f"the previous version is not scored: {error}")
            return None
        return (assignment.version, base) if assignment and base else None
