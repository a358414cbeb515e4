"""The image's recipe; tests/engine/release builds and runs it where there is a Docker engine."""

import re
import subprocess
import sys
from pathlib import Path

from serving import settings
from serving.settings import ROOT

RECIPE = Path(ROOT / "serving/Dockerfile.j2").read_text()


def test_the_default_folder_of_the_log_belongs_to_the_images_user(tmp_path):
    (user,) = re.findall(r"^USER (\S+)$", RECIPE, re.MULTILINE)
    (owner, folder) = re.findall(r"^COPY --from=packages --chown=(\S+) \S+ (\S+)$", RECIPE, re.MULTILINE)[0]
    variables = dict(re.findall(r"(\S+)=(\S+)", "".join(re.findall(r"^ENV .*$", RECIPE, re.MULTILINE))))
    path = tmp_path / "serving.json"
    path.write_text('{"release": "0123456789ab", "max_batch_rows": 1, "max_body_mb": 1, "timeout_seconds": 1}')
    assert owner == user
    assert settings.load({**variables, "SERVING_JSON": str(path)}).prediction_log == folder


def test_the_service_imports_no_bentoml():
    code = "import serving.imports, sys; print({'bentoml', 'serving.app', 'uvicorn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert sorted(re.findall(r"'(\S+)'", done.stdout)) == ["serving.app", "uvicorn"]
