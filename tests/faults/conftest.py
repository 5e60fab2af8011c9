"""A finished tiny study, figures for a note, and an end in time; helpers are in disturb.py."""

from __future__ import annotations

import compileall
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "workflow"))

import harness
from harness import TINY, TINY_STUDY, Finished, Project

MINUTES = float(os.environ.get("RECSPECTRA_FAULTS_MINUTES", "75"))
harness.SECONDS = 900.0  # a busy machine is no fault
FIGURES = pytest.StashKey[list[str]]()
SDIFF = {"rank": 16, "hidden": 32, "batch_size": 50, "epochs": 4, "eval_every": 2, "learning_rate": 0.001}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.stash[FIGURES]:
        terminalreporter.section("figures")
        for line in config.stash[FIGURES]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def end_in_time() -> Iterator[None]:
    """End the session after MINUTES, wherever it is."""

    def expire(*_: object) -> None:
        pytest.exit(f"not finished after {MINUTES:g} minutes (RECSPECTRA_FAULTS_MINUTES)", returncode=1)

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(int(60 * MINUTES))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """A function that takes a sentence with figures; the summary prints it with the test's seconds."""
    started = time.monotonic()

    def add(text: str) -> None:
        name, seconds = request.node.name, time.monotonic() - started
        request.config.stash[FIGURES].append(f"{name}: {text} ({seconds:.0f} s)")

    return add


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A checkout that knows the tiny data set."""
    made = Project.copied(tmp_path_factory.mktemp("checkout") / "main")
    shutil.copy(TINY / "dataset.yaml", made.root / "config" / "datasets" / "tiny.yaml")
    compileall.compile_dir(made.root / "workflow", quiet=1)  # nothing below writes byte code
    return made


@pytest.fixture(scope="session")
def finished(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny study with a tuned model, run to its report; not to be changed."""
    place = tmp_path_factory.mktemp("finished")
    models = [*TINY_STUDY["models"], {"model": "gsprec", "tune": True, "variant": "tuned"}]
    content = TINY_STUDY | {"name": "whole", "models": models, "tuning": {"trials": 3}}
    return Finished.run(project, place, place / "whole.yaml", content)


@pytest.fixture
def work(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the finished working folder that a test may damage."""
    return finished.copy(tmp_path / "work")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A function that mounts a small file system with some options, or mounts it anew with others."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small file system needs root and `mount`")
    folder = tmp_path / "disk"
    folder.mkdir()
    there = False

    def mount(options: str) -> Path:
        nonlocal there
        options = f"remount,{options}" if there else options
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
        there = True
        return folder

    yield mount
    if there:
        subprocess.run(["umount", str(folder)], check=True)
