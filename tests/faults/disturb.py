"""What disturbs a running workflow, and what must hold after it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
from harness import Finished, Project, files_below

from recspectra.files import read_npz, sha256_of_arrays
from recspectra.running import damage

# They hold seconds, versions or the place of a run; all else has the same bytes every time.
TIMED = ("run.json", "study.json", "runs.csv", "tuning.csv", "trials.csv", "standings.svg", ".sqlite", ".zip")
TIMED_FOLDERS = ("logs/", "checkpoints/", "report/")


def started(project: Project, folder: Path, *args: str, cores: int = 2) -> subprocess.Popen:
    """Start Snakemake as a process group of its own; what it prints goes to a file beside the folder."""
    printed = folder.with_name(f"{folder.name}.printed").open("a", encoding="utf-8")
    with printed:
        return subprocess.Popen(
            project.command(folder, *args, cores=cores), env=project.environment(), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT,
        )  # fmt: skip


def printed(folder: Path) -> str:
    """Return what the processes that were `started` in a folder have printed."""
    return folder.with_name(f"{folder.name}.printed").read_text(encoding="utf-8")


def jobs(group: int) -> dict[int, str]:
    """Return the script, such as `fit`, of every living job of a process group by process id."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                for word in process.cmdline()[1:3]:
                    if "/workflow/scripts/" in word and word.endswith(".py"):  # not the shell around it
                        found[process.pid] = Path(word).stem
    return found


def kill(pid: int) -> bool:
    """Kill one process; return whether it was there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        return True
    return False


def kill_group(process: subprocess.Popen) -> None:
    """Kill a process and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until_gone(process.pid)


def wait_until_gone(group: int, seconds: float = 30.0) -> None:
    """Wait until no job of a process group lives."""
    end = time.monotonic() + seconds
    while jobs(group):
        assert time.monotonic() < end, "a killed job lives on"
        time.sleep(0.02)


def unlock(project: Project, folder: Path, *args: str) -> subprocess.CompletedProcess:
    """Do what `make unlock` does."""
    return project.script("unlock", folder, *project.command(folder, *args))


def check(project: Project, folder: Path) -> subprocess.CompletedProcess:
    """Do what `make check` does."""
    return project.script("check", folder)


def repaired(finished: Finished, folder: Path) -> subprocess.CompletedProcess:
    """Do what `make redo WHAT=damaged` does, for a study outside the project."""
    words = ["--what", "damaged", "--study", finished.study]
    return finished.project.script("redo", folder, *words, "--command", *finished.project.command(folder))


def unmake(results: Path) -> None:
    """Take the numbers of the study away, and one drawn file: else Snakemake would not miss them."""
    for name in ("audit.csv", "metrics.csv", "parts/tiny.csv"):
        (results / "studies" / "whole" / name).unlink()


# ----------------------------------------------------------------------- what must hold


def same_every_time(results: Path) -> dict[str, str]:
    """Return a digest of everything in a results folder that two runs must agree on, by name."""
    found = {}
    for name, path in files_below(results).items():
        timed = name.endswith(TIMED) or "/fig-timing" in name or name.startswith(TIMED_FOLDERS)
        if timed or path.name.startswith("."):
            continue
        if path.suffix == ".npz":  # a spectrum holds its seconds
            found[name] = sha256_of_arrays(read_npz(path))
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def nothing_half_written(results: Path, whole: dict[str, str]) -> None:
    """Assert that every file that stands under its name is sound and is what it is in the end."""
    assert list(damage.damaged(results)) == []
    found = same_every_time(results)
    assert {name: digest for name, digest in found.items() if digest != whole.get(name)} == {}
