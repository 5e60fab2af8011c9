"""The user's own command, `snakemake --use-conda`, with a stand-in for conda (channels are not at hand)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from harness import REPO, TINY_FITS, Finished, Project, digests

from recspectra.running import locks

STAND_IN = Path(__file__).parent / "conda" / "stand_in.py"
ACTIVATE = 'export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"\n'


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `bin` of an installation of the stand-in."""
    tools = tmp_path_factory.mktemp("conda") / "bin"
    tools.mkdir()
    shutil.copy(STAND_IN, tools / "stand_in.py")
    command = tools / "conda"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tools}/stand_in.py" "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    (tools / "activate").write_text(ACTIVATE, encoding="utf-8")
    return tools


def snakemake(project: Project, folder: Path, path: str, *words: str) -> subprocess.CompletedProcess:
    """Run Snakemake with `--use-conda` and a search path, in the project's environment's own Python."""
    command = project.command(folder, "--use-conda", *words, cores=1)
    variables = {**os.environ, "PATH": path, "RECSPECTRA_ROOT": str(project.root), "OMP_NUM_THREADS": "1"}
    variables.pop("PYTHONPATH", None)
    if project.root != REPO.root:
        variables["PYTHONPATH"] = str(project.root / "workflow")
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def work(finished: Finished, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study's folder, run on one core in an environment of its own, where every job starts cold."""
    work = tmp_path_factory.mktemp("with-conda") / "work"
    done = snakemake(finished.project, work, f"{tools}:{os.environ['PATH']}", *finished.options)
    assert done.returncode == 0, done.stdout + done.stderr
    return work


@pytest.fixture(scope="module")
def environment(work: Path) -> Path:
    """The one environment that was made."""
    (flag,) = (work / ".snakemake" / "conda").glob("*/bin/python")
    return flag.parents[1]


def test_results_are_the_same_bytes(finished: Finished, work: Path) -> None:
    """With other cores, another interpreter and libraries that were loaded anew."""

    def same(name: str) -> bool:
        timed = ("fig-timing", "runs.csv", "standings.svg")
        left_out = (locks.NAME, "logs/", "report", "spectra/", *(f"studies/tiny-study/{n}" for n in timed))
        return not name.startswith(left_out) and not name.endswith(("run.json", "study.json"))

    two, one = (digests(folder / "results", same) for folder in (finished.folder, work))
    assert "studies/tiny-study/metrics.csv" in two and "studies/tiny-study/table-main.tex" in two
    assert sum(name.endswith("rankings.npz") for name in two) == TINY_FITS.total()
    assert one == two


def test_every_job_ran_in_the_environment(finished: Finished, environment: Path) -> None:
    lines = (environment / "used").read_text(encoding="utf-8").splitlines()
    scripts = Counter(Path(word).stem for line in lines for word in line.split()[:3] if word.endswith(".py"))
    assert scripts["fit"] == len(list((finished.folder / "results" / "runs").rglob("run.json")))
    assert {"prepare", "split", "evaluate", "collect", "draw", "report"} <= set(scripts)


def test_the_environment_has_the_project_and_nothing_that_its_file_lacks(
    finished: Finished, environment: Path
) -> None:
    code = "import recspectra; print(recspectra.__file__)"
    done = _python(environment, code)
    assert done.stdout.strip() == str(finished.project.root / "workflow" / "recspectra" / "__init__.py")
    for name in ("snakemake", "pytest", "hypothesis"):
        assert "ModuleNotFoundError" in _python(environment, f"import {name}").stderr


def _python(environment: Path, code: str) -> subprocess.CompletedProcess:
    command = [str(environment / "bin" / "python"), "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )


def test_a_pin_that_cannot_be_had_stops_before_any_job(
    finished: Finished, tools: Path, tmp_path: Path
) -> None:
    project = Project.copied(tmp_path / "checkout")
    shutil.copytree(finished.project.root / "config", project.root / "config", dirs_exist_ok=True)
    file = project.root / "envs" / "recspectra.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("numpy =", "numpy =9"), encoding="utf-8")
    path = f"{tools}:{os.environ['PATH']}"
    done = snakemake(project, tmp_path / "work", path, *finished.options)
    assert done.returncode != 0 and "PackagesNotFoundError: numpy =9" in done.stdout + done.stderr
    assert not (tmp_path / "work" / "results" / "interactions").exists()


def test_without_conda_the_message_says_what_to_install(finished: Finished, tmp_path: Path) -> None:
    bare = tmp_path / "bin"
    bare.mkdir()
    for name in ("bash", "sh", "git", "env", "uname"):
        if found := shutil.which(name):
            (bare / name).symlink_to(found)
    done = snakemake(finished.project, tmp_path / "work", str(bare), *finished.options)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in said
    assert "no `conda`" in said and "Miniforge" in said and "make quickstart" in said
