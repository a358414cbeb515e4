"""Plant a model in a clone: its bytes in DVC's cache, and its md5 in dvc.lock, as if the pipeline had written it."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml

from tests.engine.fixtures_repo import Repo


def plant(repo: Repo, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change an output of the pipeline, write it into the cache, name it in dvc.lock, and commit."""
    path = repo.path / name
    content = change(path.read_bytes())
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path.unlink()  # the file may be a link into the cache
    path.write_bytes(content)
    lock = yaml.safe_load((repo.path / "dvc.lock").read_text())
    entries = [entry for stage in lock["stages"].values() for part in ("deps", "outs") for entry in stage.get(part, [])]
    for entry in entries:
        if entry["path"] == name:
            entry |= {"md5": md5, "size": len(content)}
    (repo.path / "dvc.lock").write_text(yaml.safe_dump(lock, sort_keys=False))
    cached = repo.cache / "files/md5" / md5[:2] / md5[2:]
    cached.parent.mkdir(parents=True, exist_ok=True)
    if not cached.exists():
        cached.write_bytes(content)
    repo.commit(f"plant {name}")


def scaled(factor: float) -> Callable[[bytes], bytes]:
    """A model whose probabilities are multiplied by a factor."""

    def change(content: bytes) -> bytes:
        model: Any = onnx.load_from_string(content)
        output = model.graph.output[0].name
        last = next(node for node in model.graph.node if output in node.output)
        last.output[list(last.output).index(output)] = "unscaled"
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32([[factor]]), "factor"))
        model.graph.node.append(onnx.helper.make_node("Mul", ["unscaled", "factor"], [output]))
        result: bytes = model.SerializeToString(deterministic=True)
        return result

    return change


def in_cache(repo: Repo, md5: str) -> Path:
    """Where DVC's cache keeps the file with an md5."""
    return repo.cache / "files/md5" / md5[:2] / md5[2:]
