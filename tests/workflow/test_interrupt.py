"""Ctrl-C: one line, exit status 130, and the same command goes on."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from harness import (
    REPO,
    TINY,
    TINY_STUDY,
    Project,
    edited,
    files_below,
    finished_jobs,
    unfinished,
    wait_for,
    write_yaml,
)

from recspectra.running import interrupts

SAID = f"{interrupts.MESSAGE}\r\n"


@dataclass
class Terminal:
    """A command with a terminal of its own, and all that it shows."""

    process: subprocess.Popen
    screen: int
    shown: bytes = field(default=b"")

    @classmethod
    def start(cls, command: list[str], folder: Path, variables: dict[str, str]) -> Terminal:
        master, slave = pty.openpty()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        return cls(process, master)

    def wait_for(self, text: bytes) -> None:
        """Read until something is shown."""
        while text not in self.shown:
            self.shown += os.read(self.screen, 65536)

    def read(self, seconds: float = 120.0) -> str:
        """Return all that was shown until the command and its jobs ended."""
        signal.alarm(int(seconds))
        with contextlib.suppress(OSError):  # the terminal is closed by its last process
            while chunk := os.read(self.screen, 65536):
                self.shown += chunk
        signal.alarm(0)
        self.process.wait(timeout=20)
        os.close(self.screen)
        return self.shown.decode()


def fits(session: int) -> list[psutil.Process]:
    """Return the fits of a session."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            is_fit = any(word.endswith("/fit.py") for word in process.cmdline()[1:3])
            if is_fit and os.getsid(process.pid) == session:
                found.append(process)
    return found


@dataclass(frozen=True)
class Checkout:
    """A checkout, a study of one fit that takes some seconds, a folder where only that is left to do."""

    project: Project
    study: Path
    base: Path

    @property
    def arguments(self) -> list[str]:
        return ["results/studies/long/metrics.csv", "--config", f"study={self.study}", "scale=paper"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    place = tmp_path_factory.mktemp("interrupted")
    project = Project.copied(place / "checkout")
    shutil.copy(TINY / "dataset.yaml", project.root / "config" / "datasets" / "tiny.yaml")
    params = {"epochs": 150, "eval_every": 10, "patience": 1000, "batch_size": 10}
    models = [{"model": "sdiff", "params": TINY_STUDY["models"][4]["params"] | params}]
    study = {k: v for k, v in TINY_STUDY.items() if k not in ("tables", "figures", "claims")}
    file = write_yaml(place / "long.yaml", study | {"name": "long", "models": models})
    made = Checkout(project, file, place / "base")
    done = project.snakemake(made.base, *made.arguments, "--until", "split", "spectrum")
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture
def start(checkout: Checkout, tmp_path: Path) -> Iterator[Callable[..., tuple[Terminal, Path]]]:
    """Start the study in a terminal and return when its fit has started."""
    started = []

    def begin(profile: bool = True, learning: bool = True) -> tuple[Terminal, Path]:
        folder = Path(shutil.copytree(checkout.base, tmp_path / "work"))
        command = checkout.project.command(folder, *checkout.arguments, profile=profile)
        started.append(Terminal.start(command, folder, checkout.project.environment()))
        wait_for(lambda: fits(started[0].process.pid), started[0].process)
        if learning:
            started[0].wait_for(b"epoch")
        return started[0], folder

    yield begin
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started[0].process.pid, signal.SIGKILL)


def interrupted(terminal: Terminal, folder: Path, status: int = interrupts.STATUS) -> None:
    """Assert that one line was said, and that nothing runs or lies half-written."""
    shown = terminal.read()
    assert terminal.process.returncode == status
    before, after = shown.split(SAID)
    assert after == ""
    assert "Error" not in before and "Traceback" not in before
    assert fits(terminal.process.pid) == [] and unfinished(folder) == []
    assert "rankings.npz" not in str(files_below(folder))


@pytest.mark.parametrize("learning", [True, False], ids=["while it learns", "while it starts, no profile"])
def test_an_interrupt_says_one_line_and_the_same_command_continues(
    start: Callable, checkout: Checkout, learning: bool
) -> None:
    terminal, folder = start(profile=learning, learning=learning)
    os.killpg(terminal.process.pid, signal.SIGINT)
    interrupted(terminal, folder)
    if learning:
        done = checkout.project.snakemake(folder, *checkout.arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert (folder / "results/studies/long/metrics.csv").is_file()
        assert not any("split" in job for job in finished_jobs(done.stderr))


def test_an_interrupt_of_snakemake_alone_reaches_its_jobs(start: Callable) -> None:
    terminal, folder = start()
    os.kill(terminal.process.pid, signal.SIGINT)
    interrupted(terminal, folder)


def test_a_second_interrupt_ends_jobs_that_heard_no_first(start: Callable, checkout: Checkout) -> None:
    """As a fit deep in a library does."""
    script = checkout.project.root / "workflow" / "scripts" / "fit.py"
    deaf = (
        "import pathlib, signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "pathlib.Path('deaf').touch()\ntime.sleep(90)\nimport argparse\n"
    )
    with edited(script, "import argparse\n", deaf):
        terminal, folder = start(learning=False)
        wait_for((folder / "deaf").is_file, terminal.process)
        os.killpg(terminal.process.pid, signal.SIGINT)
        terminal.wait_for(SAID.encode())
        time.sleep(2 * interrupts.SECONDS_TO_STOP)
        assert fits(terminal.process.pid) and terminal.process.poll() is None
        os.killpg(terminal.process.pid, signal.SIGINT)
        interrupted(terminal, folder)


def test_sigterm_lets_the_fit_end_and_starts_no_other_job(start: Callable) -> None:
    terminal, folder = start()
    os.kill(terminal.process.pid, signal.SIGTERM)
    shown = terminal.read()
    assert terminal.process.returncode == 128 + signal.SIGTERM
    assert shown.endswith(f"{interrupts.GRACEFUL}\r\n")
    assert "Error" not in shown
    assert "rankings.npz" in str(files_below(folder))
    assert not (folder / "results/studies/long").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="`make` is not installed")
def test_an_interrupt_of_make_says_one_line(checkout: Checkout) -> None:
    """Make ends by the signal, as a shell expects of a program that was interrupted."""
    project = checkout.project
    command = ["make", "-o", ".venv/installed", f"BIN={Path(sys.executable).parent}", "study"]
    words = [*command, f"STUDY={checkout.study}", "SCALE=paper"]
    terminal = Terminal.start(words, project.root, project.environment())
    wait_for(lambda: fits(terminal.process.pid), terminal.process)
    os.killpg(terminal.process.pid, signal.SIGINT)
    interrupted(terminal, project.root, -signal.SIGINT)


@pytest.mark.parametrize("name", ["fit", "reference"])
def test_a_script_that_is_interrupted_prints_no_traceback(name: str, tmp_path: Path) -> None:
    """By hand it says one line, and nothing where a rule started it."""
    for variables, said in (({}, f"{interrupts.MESSAGE}\n"), ({"RECSPECTRA_ROOT": str(REPO.root)}, "")):
        wrapper = (
            "import os, runpy, signal, sys; from recspectra.running import cli\n"
            "def catalog(): os.kill(os.getpid(), signal.SIGINT)\n"
            "cli.catalog = catalog; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
        )
        script = REPO.root / "workflow" / "scripts" / f"{name}.py"
        options = ["--data", "d", "--run", "{}", "--folder", "f"] if name == "fit" else ["compare"]
        done = subprocess.run(
            [sys.executable, "-c", wrapper, str(script), *options],
            cwd=tmp_path, env=REPO.environment(**variables), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout, done.stderr) == (interrupts.STATUS, "", said)
