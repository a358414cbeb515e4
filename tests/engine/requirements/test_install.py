"""The environment is created by the real uv and the real pip, offline, from wheels that the tests build."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

pytestmark = pytest.mark.repository
SOURCE = Path(__file__).parents[3] / "requirements" / "install.py"


def wheel(folder: Path, name: str, version: str, scripts: dict[str, str] | None = None) -> str:
    """Build a wheel; returns its line in a lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = '{version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{f"{name}-{version}.data/scripts/{script}": text for script, text in (scripts or {}).items()},
    }
    record = "".join(f"{path},sha256={_digest(text)},{len(text)}\n" for path, text in files.items())
    path = folder / f"{name}-{version}-py3-none-any.whl"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in (files | {f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}).items():
            entry = zipfile.ZipInfo(inner)
            entry.external_attr = (0o100755 if ".data/scripts/" in inner else 0o100644) << 16
            archive.writestr(entry, text)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")


class Place:
    """A copy of install.py with its own lock, environment, cache and wheels."""

    def __init__(self, root: Path) -> None:
        self.venv, self.wheels = root / "venv", root / "wheels"
        self.cache = root / "cache"
        self.script = Path(shutil.copy(SOURCE, root))
        self.lock = root / "dev.txt"
        self.lock.write_text(wheel(self.wheels, "tiny", "1.0"))
        self.path = f"{Path(uv.find_uv_bin()).parent}{os.pathsep}{os.environ['PATH']}"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith(("UV_", "PIP_"))}
        env |= {"VENV": str(self.venv), "MAINLINE_CACHE": str(self.cache), "PATH": self.path}
        env |= {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(self.wheels), "UV_OFFLINE": "1", "UV_NO_CONFIG": "1"}
        env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": os.devnull}
        command = [sys.executable, str(self.script), *(arguments or ("env",))]
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=120)
        return process.returncode, out + err

    def installed(self) -> str:
        command = [str(self.venv / "bin" / "python"), "-c", "import tiny; print(tiny.VERSION)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def without_uv(self) -> None:
        self.path = "/nowhere"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path)


def test_an_environment_is_created_once(place):
    code, output = place.run()
    assert (code, place.installed()) == (0, "1.0"), output
    place.without_uv()
    assert place.run() == (0, "")


def test_a_changed_lock_updates_the_environment_in_place(place):
    place.run()
    (place.venv / "kept").touch()
    place.lock.write_text(wheel(place.wheels, "tiny", "2.0"))
    code, output = place.run()
    assert (code, place.installed()) == (0, "2.0"), output
    assert (place.venv / "kept").exists()


def test_an_unfinished_environment_is_created_anew(place):
    place.run()
    (place.venv / ".mainline-stamp").write_text("unfinished: in progress, or left by a process that was killed\n")
    (place.venv / "half-installed").mkdir()
    code, output = place.run()
    assert (code, place.installed()) == (0, "1.0"), output
    assert not (place.venv / "half-installed").exists()


def test_an_environment_without_its_python_is_created_anew(place):
    place.run()
    (place.venv / "bin" / "python").unlink()
    (place.venv / "bin" / "python").symlink_to("/nowhere/python")
    assert place.run()[0] == 0
    assert place.installed() == "1.0"


def test_two_processes_at_once_create_the_environment_once(place):
    processes = [place.start(), place.start()]
    output = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], output
    assert sum("creating" in text and "from dev.txt" in text for text in output) == 1
    assert place.installed() == "1.0"


def test_a_package_with_a_wrong_hash_is_refused(place):
    text = place.lock.read_text()
    place.lock.write_text(text[:-9] + "00000000\n")
    code, output = place.run()
    assert code == 3
    assert "hash" in output.lower()
    assert (place.venv / ".mainline-stamp").read_text().startswith("unfinished")
    place.lock.write_text(text)
    assert place.run()[0] == 0


def test_a_folder_that_is_not_an_environment_is_not_changed(place):
    place.venv.mkdir()
    (place.venv / "thesis.doc").write_text("all I have")
    code, output = place.run()
    assert code == 3
    assert "is not an environment" in output
    assert [item.name for item in place.venv.iterdir()] == ["thesis.doc"]


def test_a_private_uv_is_installed_once_if_the_uv_on_path_does_not_start(place, tmp_path):
    shim = tmp_path / "shims" / "uv"  # as other version managers leave on PATH
    shim.parent.mkdir()
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    stub = f'#!/bin/sh\nexec "{uv.find_uv_bin()}" "$@"\n'
    (place.script.parent / "uv.txt").write_text(wheel(place.wheels, "uv", "99.0", {"uv": stub}))
    place.path = str(shim.parent)
    code, output = place.run()
    assert code == 0, output
    assert place.installed() == "1.0"
    assert "installing a private one" in output
    code, output = place.run("uv")
    assert code == 0
    assert Path(output.strip()).read_text() == stub
    assert Path(output.strip()).parent.parent == place.cache


def test_a_private_uv_with_a_wrong_hash_is_refused(place):
    line = wheel(place.wheels, "uv", "99.0", {"uv": "#!/bin/sh\n"})
    (place.script.parent / "uv.txt").write_text(line[:-9] + "00000000\n")
    place.without_uv()
    code, output = place.run("uv")
    assert code == 3
    assert "pip could not install uv" in output
    assert [item for item in place.cache.rglob("*") if item.is_file()] == []
