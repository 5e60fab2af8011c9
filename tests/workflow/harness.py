"""What the workflow tests share: Snakemake as a subprocess, copies of the project, a tiny study."""

from __future__ import annotations

import compileall
import contextlib
import copy
import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = Path(__file__).resolve().parent / "plugins"
COPIED = (
    "Snakefile", "rules", "envs", "config", "workflow", "pyproject.toml", "constraints.txt", "locks",
    "Makefile",
)  # fmt: skip
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MAKE_VARIABLES = re.findall(r"^GIVEN := (.*)$", MAKEFILE, re.MULTILINE)[0].split()
SECONDS = 600.0  # that a call may take; on a busy machine it takes ten times as long


def cold_python() -> str:
    """Return the path of Python; conftest.py exchanges it for `warm_python` in the tests of this folder."""
    return sys.executable


interpreter: Callable[[], str] = cold_python

COLUMNS = "dataset,model,variant,key,seed,protocol,fit,history,mask,users,metric,k,value,status"

TINY = Path(__file__).resolve().parent / "tiny"
TINY_STUDY = yaml.safe_load((TINY / "study.yaml").read_text(encoding="utf-8"))
TINY_FITS = Counter(popularity=1, ease=2, gfcf=1, gsprec=2, sdiff=1)


@dataclass(frozen=True)
class Job:
    """One job of a dry run."""

    rule: str
    inputs: list[str]
    outputs: list[str]
    wildcards: dict[str, str]
    reason: str
    command: str


@dataclass(frozen=True)
class Project:
    """A checkout: the repository itself, or a copy that may be edited."""

    root: Path

    @classmethod
    def copied(cls, target: Path) -> Project:
        """Copy what a run needs to an empty folder, compiled modules among it; of the studies one.

        Every call of Snakemake reads and resolves all studies that are there.
        """
        compileall.compile_dir(ROOT / "workflow", quiet=2)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target / name)
        for study in (target / "config" / "studies").glob("*.yaml"):
            if study.stem != "quickstart":
                study.unlink()
        return cls(target)

    def environment(self, *paths: Path, **extra: str) -> dict[str, str]:
        """Return the variables of a subprocess; a copy's scripts must import the copy."""
        # Of `make test` nothing is handed down to a make that a test calls: it exports what users may give.
        left_out = ("RECSPECTRA_", "SNAKEMAKE_", "MAKE", "MFLAGS")
        names = {*MAKE_VARIABLES, "PYTHONPATH"}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(left_out) and k not in names}
        places = [*paths] if self.root == ROOT else [self.root / "workflow", *paths]
        if places:
            kept["PYTHONPATH"] = os.pathsep.join(str(p) for p in places)
        return {**kept, "PYTHONDONTWRITEBYTECODE": "1", **extra}

    def command(
        self, folder: Path, *args: str, cores: int = 2, profile: bool = True, python: str = sys.executable
    ) -> list[str]:
        """Return a Snakemake command line that works in `folder`; targets go first in `args`."""
        shown = ["--profile", str(self.root / "workflow" / "profiles" / "default")] if profile else []
        where = ["-s", str(self.root / "Snakefile"), "--directory", str(folder), "--cores", str(cores)]
        return [python, "-m", "snakemake", *where, *shown, *args]

    def snakemake(
        self, folder: Path, *args: str, cores: int = 2, profile: bool = True, **extra: str
    ) -> subprocess.CompletedProcess:
        """Run Snakemake in `folder`; its output is text, the exit status is not checked."""
        command = self.command(folder, *args, cores=cores, profile=profile, python=interpreter())
        return _run(command, None, self.environment(**extra))

    def planned(self, folder: Path, *args: str, **extra: str) -> list[Job]:
        """Return the jobs of a dry run."""
        with tempfile.TemporaryDirectory() as place:
            file = Path(place) / "jobs"
            words = [*args, "--dry-run", "--logger", "jobs"]
            command = self.command(folder, *words, profile=False, python=interpreter())
            variables = self.environment(PLUGINS, RECSPECTRA_TEST_JOBS=str(file), **extra)
            done = _run(command, None, variables)
            assert done.returncode == 0, done.stdout + done.stderr
            lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        assert lines or "Nothing to be done" in done.stdout + done.stderr
        return [Job(**json.loads(line)) for line in lines]

    def script(self, name: str, folder: Path, *args: Any, **extra: str) -> subprocess.CompletedProcess:
        """Run one of workflow/scripts in `folder`."""
        script = self.root / "workflow" / "scripts" / f"{name}.py"
        command = [interpreter(), str(script), *map(str, args)]
        return _run(command, folder, self.environment(OMP_NUM_THREADS="1", **extra))


def _run(command: list[str], folder: Path | None, variables: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=SECONDS
    )


@dataclass(frozen=True)
class Finished:
    """A study that has been run: the checkout, the study file, the working folder, what was printed."""

    project: Project
    study: Path
    folder: Path
    printed: str

    @property
    def options(self) -> list[str]:
        """Return the options that name the study."""
        return ["--config", f"study={self.study}"]

    @classmethod
    def run(cls, project: Project, place: Path, study: Path, content: dict[str, Any]) -> Finished:
        """Write a study to `study` and run it to its report in the folder `work` of a place."""
        write_yaml(study, content)
        done = project.snakemake(place / "work", "--config", f"study={study}")
        assert done.returncode == 0, done.stdout + done.stderr
        return cls(project, study, place / "work", done.stderr)

    def copy(self, target: Path) -> Path:
        """Copy the working folder, times and Snakemake's records included."""
        shutil.copytree(self.folder, target)
        return target


REPO = Project(ROOT)


# ----------------------------------------------------------------------------- studies


def write_yaml(path: Path, value: Any) -> Path:
    """Write a YAML file and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    return path


def changed(study: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return a changed copy of a study."""
    new = copy.deepcopy(study)
    change(new)
    return new


@contextlib.contextmanager
def edited(path: Path, old: str, new: str) -> Iterator[None]:
    """Replace text in a file of a copied checkout, and put it back."""
    before = path.read_text(encoding="utf-8")
    assert old in before, f"{path} does not hold {old!r}"
    path.write_text(before.replace(old, new, 1), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(before, encoding="utf-8")


# ----------------------------------------------------------------------------- reading


def by_rule(jobs: list[Job]) -> Counter[str]:
    """Count jobs by rule."""
    return Counter(job.rule for job in jobs)


def fitted(jobs: list[Job]) -> Counter[str]:
    """Count fits by model."""
    return Counter(job.wildcards["model"] for job in jobs if job.rule == "fit")


def rows(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def files_below(folder: Path) -> dict[str, Path]:
    """Return all files below a folder by relative path."""
    return {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}


def digests(folder: Path, keep: Callable[[str], bool] = lambda name: True) -> dict[str, str]:
    """Return the sha256 of the files below a folder by relative path."""
    found = files_below(folder)
    return {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in found.items() if keep(name)}


def snapshot(folder: Path) -> dict[str, tuple[int, str]]:
    """Return time of change and content of all files below a folder."""
    return {name: (files_below(folder)[name].stat().st_mtime_ns, d) for name, d in digests(folder).items()}


def unfinished(folder: Path) -> list[str]:
    """Return the temporary files that writers left below a folder."""
    return [name for name in files_below(folder) if name.endswith(".tmp")]


def finished_jobs(printed: str) -> list[str]:
    """Return the messages of the jobs that the project's logger says are done."""
    return re.findall(r"^\[\d+(?:/\d+)?\] (.*) \([\d.]+ s\)$", printed, flags=re.MULTILINE)


def wait_for(condition: Callable[[], Any], process: subprocess.Popen, seconds: float = 300.0) -> Any:
    """Wait until a condition holds while a process runs, and return what it gave."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        assert process.poll() is None, "the process ended before the condition held"
        time.sleep(0.02)
    raise AssertionError("the condition did not come to hold")


def one_error(done: subprocess.CompletedProcess, *parts: str) -> None:
    """Assert that a script failed with one message that says all of `parts`."""
    assert done.returncode == 1, done.stdout
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr
