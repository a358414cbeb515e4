"""Verb `verify`: train a commit's model again in a scratch worktree, and compare the outputs with its dvc.lock.

A review runs no stage whose inputs are those of dvc.lock, so it cannot tell whether they give the bytes that dvc.lock
names.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.cli.errors import AlreadyPrinted, InputError, MainlineError, Refused
from pipelines.cli.progress import Progress, write_for_job
from pipelines.cli.verbs import run_verb
from pipelines.config.params import Params, parse
from pipelines.config.paths import PREPARED, SIGNATURE, SPLIT
from pipelines.model.encoding import Columns
from pipelines.model.scorer import Scorer
from pipelines.model.signature import load_signature
from pipelines.repository import base_model, dvc_lock
from pipelines.repository.dvc import fetch_folder
from pipelines.repository.dvc_remote import set_remote_from_environment
from pipelines.repository.git import commit_of, dirty, git, resolve_commit, text_at
from pipelines.repository.release_id import registered_version, release_id
from pipelines.repository.worktree import temporary_worktree
from pipelines.tables.data import connect, read_rows
from pipelines.tables.rows import load_rows
from pipelines.tables.split import load_split, rows_on_side

LIMIT = 1e-6
_DECIMAL = re.compile(r"-?\d+(?:\.\d+(?:[eE][-+]?\d+)?|[eE][-+]?\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--rev", default="HEAD", help="the commit (default: HEAD)")
    parser.add_argument(
        "--unreleased", action="store_true", help="do nothing if the release id was registered as a version on main"
    )
    parser.add_argument(
        "--before-release", action="store_true", help="the same, and do nothing unless release.rebuild is true"
    )


def run(arguments: argparse.Namespace) -> int:
    """Verify a commit.

    Raises:
        Refused: naming the outputs that differ.
        InputError: if there is no such commit, or it has no model.
        AlreadyPrinted: if a stage fails.
    """
    commit = resolve_commit(arguments.rev)
    params = parse(text_at(commit, "params.yaml") or "", f"params.yaml of {commit[:12]}")
    expected = release_id(commit)
    if arguments.before_release and not params.release.rebuild:
        print("Not trained again: release.rebuild in params.yaml is false.")
    elif (arguments.unreleased or arguments.before_release) and (
        version := registered_version(params.model_name, expected, dvc_lock.data_md5(text_at(commit, "dvc.lock")))
    ):
        print(f"Not trained again: release id {expected} is registered as {version}.")
    else:
        _verify(commit, params)
    return 0


def _verify(commit: str, params: Params) -> None:
    progress = Progress()
    set_remote_from_environment(Path())
    locked = dvc_lock.outputs(text_at(commit, "dvc.lock"))
    if commit == commit_of("HEAD") and (paths := dirty()):
        names = ", ".join(paths[:6]) + (f" and {len(paths) - 6} more" if len(paths) > 6 else "")
        progress.print(f"Uncommitted changes are not verified, only the commit is: {names}")
    progress.print(f"Training the model of {commit[:12]} again")
    with temporary_worktree(commit, "verify") as tree:
        if code := run_verb("repro", "--anew", "--exact-data", cwd=tree).returncode:
            raise AlreadyPrinted(code)
        rebuilt = dvc_lock.outputs(dvc_lock.read(tree))
        other = sorted(name for name in locked.keys() | rebuilt.keys() if locked.get(name) != rebuilt.get(name))
        comparison = Comparison(commit, tree, params, locked, progress)
        differences = {name: comparison.describe(name) for name in other}
    lines = [f"  {name}: {words}" for name, (words, _) in differences.items()]
    if not all(agrees for _, agrees in differences.values()):
        raise Refused(
            f"training {commit[:12]} again gives other outputs than its dvc.lock names:\n" + "\n".join(lines),
            "Run `python -m pipelines repro --anew` on the branch and commit dvc.lock and reports/. If it differs each "
            "time, fix every random seed in candidates.",
        )
    equal = f"{len(rebuilt) - len(other)} of {len(rebuilt)} outputs of {commit[:12]} have the md5 of dvc.lock"
    text = "\n".join([f"Verified: {equal}{', the others agree:' if lines else ''}", *lines])
    print(text)
    write_for_job("GITHUB_STEP_SUMMARY", f"```text\n{text}\n```")


@dataclass(frozen=True)
class Comparison:
    """Compares the outputs of a commit's dvc.lock with those of a worktree that was trained again."""

    commit: str
    tree: Path
    params: Params
    locked: dict[str, str]
    progress: Progress

    def describe(self, name: str) -> tuple[str, bool]:
        """Return in words how an output with other bytes differs, and whether the two agree within LIMIT."""
        try:
            largest = self._largest_difference(name)
        except MainlineError as error:
            return f"has other bytes, which cannot be compared: {error}", False
        if largest is None:
            return "has another content, or is an output on one side only", False
        what = "scores of the validation and test rows" if name.endswith(".onnx") else "numbers"
        if largest <= LIMIT:
            return f"other bytes; {what} agree (largest difference {largest:.3g})", True
        return f"{what} differ by up to {largest:.3g}; the limit is {LIMIT:g}", False

    def _largest_difference(self, name: str) -> float | None:
        """Compare a model by its scores, any other file or table by its numbers; None if anything else differs."""
        if name not in self.locked or not (self.tree / name).exists():
            return None
        if name == str(PREPARED):
            return rows_difference(self._fetch_rows(name), sorted((self.tree / name).glob("*.parquet")))
        return self._of_scores(name) if name.endswith(".onnx") else self._of_texts(name)

    def _of_scores(self, name: str) -> float:
        """The largest difference of two scores; for a regression, as a share of the largest score."""
        signature = load_signature(self.tree / SIGNATURE)
        before, after = (Scorer(path, signature).score(self._rows) for path in (self._fetch(name), self.tree / name))
        scale = 1.0 if self.params.task == "classification" else float(np.abs(after).max(initial=0.0)) or 1.0
        return float(np.abs(before - after).max(initial=0.0)) / scale

    def _of_texts(self, name: str) -> float | None:
        """The largest difference of two numbers in the files of an output; None if anything else differs."""
        place = self.tree / name
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        after = {str(path.relative_to(self.tree)): path.read_text("utf-8", errors="replace") for path in files}
        tracked = [path for path in git("ls-tree", "-r", "-z", "--name-only", self.commit, name).split("\0") if path]
        before = {path: text_at(self.commit, path) or "" for path in tracked}
        if not tracked:
            before = {name: self._fetch(name).read_text("utf-8", errors="replace")}
        if before.keys() != after.keys():
            return None
        largest = [number_difference(before[path].rstrip("\n"), after[path].rstrip("\n")) for path in after]
        return None if None in largest else max(filter(None, largest), default=0.0)

    def _fetch(self, name: str) -> Path:
        """The file of an output as dvc.lock names it."""
        md5 = self.locked[name]
        folder = Path(".mainline/verified") / md5
        if base_model.fetch_outputs(self.commit, {name: md5}, folder, self.progress) is None:
            raise InputError(f"the file that dvc.lock names ({md5}) is in no cache and no remote", "Push it.")
        return folder / Path(name).name

    def _fetch_rows(self, name: str) -> tuple[Path, ...]:
        """The Parquet files of a folder as dvc.lock names it."""
        md5 = self.locked[name]
        files = fetch_folder(md5, self.progress)
        if not files:
            raise InputError(f"the folder that dvc.lock names ({md5}) is in no cache and no remote", "Push it.")
        return files

    @cached_property
    def _rows(self) -> Columns:
        """The encoded inputs of all validation and test rows."""
        inputs = load_signature(self.tree / SIGNATURE).inputs
        table, split = read_rows(connect(), self.tree / PREPARED), load_split(self.tree / SPLIT)
        sides = [rows_on_side(table, self.params, split, side) for side in ("validation", "test")]
        loaded = [load_rows(side, self.params, inputs).inputs for side in sides]
        return {item.name: np.concatenate([columns[item.name] for columns in loaded]) for item in inputs}


def rows_difference(before: Sequence[Path], after: Sequence[Path]) -> float | None:
    """The largest difference of the decimals of two tables in Parquet files, as a share where they are above 1.

    Returns:
        None if anything else differs.
    """
    old, new = (pa.concat_tables([pq.read_table(path) for path in paths]) for paths in (before, after))
    decimals = [field.name for field in old.schema if pa.types.is_floating(field.type)]
    if old.schema != new.schema or not old.drop_columns(decimals).equals(new.drop_columns(decimals)):
        return None
    first, second = (table.select(decimals).to_pandas().to_numpy() for table in (old, new))
    if first.shape != second.shape or not np.array_equal(np.isnan(first), np.isnan(second)):
        return None
    return float(np.nanmax(np.abs(first - second) / np.maximum(1.0, np.abs(second)), initial=0.0))


def number_difference(before: str, after: str) -> float | None:
    """The largest difference of the decimals of two texts, as a share where they are above 1.

    Returns:
        None if anything else differs, whole numbers included.
    """
    if _DECIMAL.sub("0", before) != _DECIMAL.sub("0", after):
        return None
    pairs = zip(_DECIMAL.findall(before), _DECIMAL.findall(after), strict=True)
    numbers = [(float(old), float(new)) for old, new in pairs]
    return max((abs(old - new) / max(1.0, abs(new)) for old, new in numbers if old != new), default=0.0)
