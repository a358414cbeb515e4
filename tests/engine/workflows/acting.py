"""Run a workflow file by act in host mode against a bare origin and a made-up GitHub, and say what came out.

Needs act, git and Node (both come with the environment) and bash. Third-party actions are replaced by the stand-ins of
standins/, at whatever commit the files pin; checkout is one of them, so that what a job sees came through git.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.engine.workflows.github_accounts import REPOSITORY, TOKEN
from tests.engine.workflows.github_fake import GitHubFake
from tests.engine.workflows.install import NODE
from tests.engine.workflows.lint import NEW_KEY

STANDINS = Path(__file__).with_name("standins")
ACT = Path(sys.executable).parent / "act"
URL = f"https://github.com/{REPOSITORY}.git"
USES = re.compile(r"(?m)^\s*(?:- )?uses:\s*['\"]?([\w.-]+/[\w./-]+)@([^\s'\"#]+)")
LONGEST = 300  # seconds


@dataclass
class Step:
    """A step that ran. An unnamed one is named by its action, or by the first line of its script."""

    name: str
    conclusion: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    log: str = ""


@dataclass
class Job:
    """A job that ran."""

    conclusion: str = ""
    steps: dict[str, Step] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""

    @property
    def ran(self) -> list[str]:
        """The names of its steps, in order."""
        return [step.name for step in self.steps.values()]

    @property
    def failed(self) -> list[str]:
        """The names of the steps that failed."""
        return [step.name for step in self.steps.values() if step.conclusion == "failure"]

    @property
    def log(self) -> str:
        """All that its steps printed."""
        return "".join(step.log for step in self.steps.values())

    def step(self, name: str) -> Step:
        """A step by its name."""
        return next(step for step in self.steps.values() if step.name == name)


@dataclass(frozen=True)
class Run:
    """How a workflow run ended: its jobs by id (those that were skipped are not there) and artifacts by name."""

    code: int
    jobs: dict[str, Job]
    artifacts: dict[str, Path]
    log: str

    def ran(self, job: str) -> list[str]:
        """The steps of a job that ran."""
        assert job in self.jobs, f"{job} did not run\n{self.log}"
        return self.jobs[job].ran

    @property
    def conclusions(self) -> dict[str, str]:
        """Job -> success or failure."""
        return {name: job.conclusion for name, job in self.jobs.items()}


@dataclass
class Runner:
    """What all runs of one test share.

    Attributes:
        bare: the repository that https://github.com/acme/fraud.git leads to.
        folder: where everything is written; one a test.
        github: the API, or the address of one that does not answer.
        variables: of Actions (`vars`).
        environment: more variables of the environment of every step.
        cml: "present", or "absent", which is that it cannot be installed.
    """

    bare: Path
    folder: Path
    github: GitHubFake
    variables: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    cml: str = "present"
    _attempts: int = 0

    def act(
        self,
        workflow: str,
        kind: str,
        event: dict[str, Any],
        *,
        run: int,
        ref: str,
        finished: Set[str] = frozenset(),
    ) -> Run:
        """Run a workflow file for an event.

        Args:
            workflow: the file's name in .github/workflows/, as it is at `ref`.
            kind: name of the event.
            event: its payload.
            run: the run's id.
            ref: full name of the ref that GITHUB_REF names; the workflow file is read there.
            finished: jobs that succeeded before and are not run again, as in GitHub's "re-run failed jobs"; their
                artifacts are those that the run has.
        """
        self._attempts += 1
        attempt = self._attempts
        clone = self.folder / f"clone-{attempt}"
        git = ["git", "-c", "advice.detachedHead=false"]
        subprocess.run([*git, "clone", "--quiet", "--no-checkout", str(self.bare), clone], check=True)
        subprocess.run([*git, "fetch", "--quiet", "origin", ref], cwd=clone, check=True)
        subprocess.run([*git, "checkout", "--quiet", "FETCH_HEAD"], cwd=clone, check=True)
        subprocess.run(["git", "remote", "set-url", "origin", URL], cwd=clone, check=True)
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=clone, capture_output=True, text=True, check=True)
        # act reads .git for the ref where an event names none.
        subprocess.run(["git", "update-ref", ref, head.stdout.strip()], cwd=clone, check=True)
        for path in (clone / ".github/workflows").glob("*.yml"):
            path.write_text(NEW_KEY.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
        if finished:
            _finish_jobs(clone / ".github/workflows" / workflow, finished)
        payload = self.folder / f"event-{attempt}.json"
        payload.write_text(json.dumps(event))
        own = {"GITHUB_RUN_ID": str(run), "GITHUB_REF": ref, "GITHUB_SHA": head.stdout.strip()}
        command = [
            *(str(ACT), kind, "--platform", "ubuntu-latest=-self-hosted", "--json"),
            *("--workflows", f".github/workflows/{workflow}", "--eventpath", str(payload)),
            *("--no-cache-server", "--no-skip-checkout", "--defaultbranch", "main"),
            *("--action-cache-path", str(self._made(f"act-{attempt}")), "--secret", f"GITHUB_TOKEN={TOKEN}"),
            *_each("--local-repository", standins(clone)),
            *_each("--env", {**self._environment(), **own}),
            *_each("--var", self.variables),
        ]
        code, lines = self._finish(command, clone)
        artifacts = self._made("artifacts") / str(run)
        jobs, log = parse(lines)
        uploaded = {path.name: path for path in artifacts.iterdir()} if artifacts.exists() else {}
        return Run(code, jobs, uploaded, log)

    def _finish(self, command: list[str], clone: Path) -> tuple[int, list[str]]:
        path = os.pathsep.join([str(NODE.parent), os.environ["PATH"]])
        # Nothing of the caller's environment but this: a real GITHUB_TOKEN or a proxy must not get in.
        env = {"PATH": path, "HOME": str(self._made("home")), "TMPDIR": str(self._made("tmp")), "LANG": "C.UTF-8"}
        # A logistic regression's last digits depend on the kernels that OpenBLAS takes; those of the small problem.
        env |= {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS_")}
        env["TERM"] = "dumb"  # act gives steps a terminal, GitHub does not
        process = subprocess.Popen(
            command,
            cwd=clone,
            env=env,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            out, _ = process.communicate(timeout=LONGEST)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode, out.splitlines()

    def _environment(self) -> dict[str, str]:
        return {
            "VENV": str(environment_like(self.folder / "venv", self.folder)),
            "MAINLINE_CACHE": str(self._made("cache")),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_REPOSITORY": REPOSITORY,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.{self.bare.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": URL,
            "GIT_PAGER": "cat",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "passive",
            "HARNESS_STANDINS": str(STANDINS),
            "HARNESS_ARTIFACTS": str(self._made("artifacts")),
            "HARNESS_CACHES": str(self._made("caches")),
            "HARNESS_CML": self.cml,
            **self.environment,
        }

    def _made(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path


def _finish_jobs(path: Path, finished: Set[str]) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["on"] = document.pop(True)  # YAML 1.1 takes `on` for true
    for job in finished:
        kept = {key: value for key, value in document["jobs"][job].items() if key in ("if", "needs", "runs-on")}
        outputs = dict.fromkeys(document["jobs"][job].get("outputs", {}), "success")
        document["jobs"][job] = {**kept, "outputs": outputs, "steps": [{"run": "true"}]}
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=10_000), encoding="utf-8")


def environment_like(path: Path, folder: Path) -> Path:
    """This interpreter's environment under another name, with a stamp of its own: no run may mend the real one."""
    real = Path(sys.prefix)
    if not path.exists():
        path.mkdir(parents=True)
        for name in ("bin", "lib", "pyvenv.cfg"):
            (path / name).symlink_to(real / name)
        lock = next(folder.glob("clone-*/requirements/dev.txt"), None)
        if lock:
            (path / ".mainline-stamp").write_bytes(lock.read_bytes())
    return path


def standins(clone: Path) -> dict[str, str]:
    """OWNER/REPO@COMMIT -> folder, for each third-party action that the clone's workflows and actions name.

    Raises:
        AssertionError: if one has no stand-in.
    """
    found: dict[str, str] = {}
    for path in sorted((clone / ".github").rglob("*.yml")):
        for name, commit in USES.findall(path.read_text(encoding="utf-8")):
            owner, repository = name.split("/")[:2]
            folder = STANDINS / repository
            assert folder.is_dir(), f"{path.name} uses {name}: it has no stand-in in {STANDINS.name}/"
            found[f"{owner}/{repository}@{commit}"] = str(folder)
    return found


def parse(lines: list[str]) -> tuple[dict[str, Job], str]:
    """Jobs from act's JSON lines, and the whole as text."""
    jobs: dict[str, Job] = {}
    log: list[str] = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            log.append(line)
            continue
        log.append(f"[{entry.get('jobID', '')}] {entry['msg'].rstrip()}")
        if "jobID" in entry:
            _note(jobs.setdefault(entry["jobID"], Job()), entry)
    return jobs, "\n".join(log)


def _note(job: Job, entry: dict[str, Any]) -> None:
    job.conclusion = entry.get("jobResult", job.conclusion)
    path = entry.get("stepID")
    if entry.get("stage") != "Main" or not path:
        return
    # Steps inside a composite action have longer ids, and are part of its step.
    step = job.steps.setdefault(path[0], Step(""))
    if len(path) == 1:
        step.name = step.name or _name(entry["step"])
        step.conclusion = entry.get("stepResult", step.conclusion)
        if entry.get("command") == "set-output":
            step.outputs[entry["name"]] = entry["arg"]
    if entry.get("command") == "summary":
        job.summary += entry["content"]
    if entry.get("raw_output") or entry.get("command") in ("error", "warning", "notice"):
        step.log += entry["msg"]


def _name(text: str) -> str:
    return text.strip().splitlines()[0].split("@")[0] if text.strip() else text


def _each(option: str, pairs: dict[str, str]) -> list[str]:
    return [word for key, value in pairs.items() for word in (option, f"{key}={value}")]
