"""Python imports this at its start where PYTHONPATH names this folder: the root of the repository is searched last.

With `python -P` (or PYTHONSAFEPATH) the folder in which a verb or a stage runs is not searched, so that a file in it,
such as yaml.py, cannot replace a library. This adds it again, after the libraries: `pipelines` is there.
"""

import sys
from pathlib import Path

# The folder in which this process runs, which may be a scratch worktree with other code; then this repository.
sys.path += [str(Path.cwd()), str(Path(__file__).resolve().parents[3])]
