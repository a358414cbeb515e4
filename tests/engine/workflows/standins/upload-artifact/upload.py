"""Copy the files of an artifact by the rules of actions/upload-artifact's README."""

import glob
import os
import shutil
import sys
from pathlib import Path


def files(patterns: list[str], hidden: bool) -> list[Path]:
    """The files that patterns name: folders with all in them, globs, and lines with ! that take away."""
    found: set[Path] = set()
    for pattern in patterns:
        matches = map(Path, glob.glob(pattern.lstrip("!"), recursive=True, include_hidden=hidden))  # noqa: PTH207 - Path.glob takes no absolute pattern
        below = {file for match in matches for file in (match.rglob("*") if match.is_dir() else [match])}
        plain = {file for file in below if file.is_file() and (hidden or not any(p[0] == "." for p in file.parts))}
        found = found - plain if pattern.startswith("!") else found | plain
    return sorted(found)


def root(patterns: list[str]) -> Path:
    """What is cut from the files' names: the folder given, or the least common one of several paths."""
    starts = [Path(glob.escape(pattern) if Path(pattern).exists() else pattern) for pattern in patterns]
    if len(starts) == 1:
        return starts[0] if starts[0].is_dir() else starts[0].parent
    return Path(os.path.commonpath([start.absolute() for start in starts])).relative_to(Path.cwd())


def main() -> int:
    """Copy, and say how many."""
    name, run = os.environ["NAME"], os.environ["GITHUB_RUN_ID"]
    target = Path(os.environ["HARNESS_ARTIFACTS"]) / run / name
    patterns = [line.strip() for line in os.environ["PATHS"].splitlines() if line.strip()]
    found = files(patterns, os.environ["HIDDEN"] == "true")
    if not found:
        print(f"No files were found with the provided path: {patterns}")
        return int(os.environ["IF_NONE"] == "error")
    if target.exists():
        if os.environ["OVERWRITE"] != "true":
            print("::error::Failed to CreateArtifact: (409) Conflict: an artifact with this name already exists")
            return 1
        shutil.rmtree(target)
    cut = root([pattern for pattern in patterns if not pattern.startswith("!")])
    for file in found:
        copy = target / file.relative_to(cut)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    with Path(os.environ["GITHUB_OUTPUT"]).open("a") as output:
        print(f"artifact-id=1\nartifact-url=https://github.com/artifacts/{run}/{name}", file=output)
    print(f"{len(found)} files uploaded as {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
