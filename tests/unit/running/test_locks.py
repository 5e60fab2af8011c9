"""Who works on a results folder, and who may."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import snakemake_logger_plugin_recspectra as logger
from recspectra.running import interrupts, locks


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder below the working folder."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results")
    folder.mkdir()
    return folder


HOLD = """
import sys, time
from pathlib import Path
from recspectra.running import interrupts
from recspectra.running import locks
try:
    locks.hold(Path("results"))
except locks.Busy as error:
    sys.exit(str(error))
print("held", flush=True)
time.sleep(60)
"""


def holder() -> subprocess.Popen:
    """Start a process that holds the results folder of the working folder."""
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(
        [sys.executable, "-c", HOLD], env=os.environ | {"PYTHONPATH": paths}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def held(results: Path) -> Iterator[subprocess.Popen]:
    """A process that holds the results folder."""
    process = holder()
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_one_is_told_who_works_there(held: subprocess.Popen, results: Path) -> None:
    assert locks.busy(results)
    second = holder()
    said = second.communicate(timeout=30)[1]
    assert second.returncode == 1
    assert f"process {held.pid} on " in said and "wait until it has ended" in said


@pytest.fixture
def snakemakes(monkeypatch: pytest.MonkeyPatch) -> type:
    """Snakemake's class that locks, as it is before a workflow is read."""
    base = pytest.importorskip("snakemake.persistence").PersistenceBase
    monkeypatch.setattr(base, "lock", base.lock)
    return base


class Ending:
    """Snakemake's records while another workflow that ends removes its lock."""

    @property
    def locked(self) -> bool:
        raise FileNotFoundError(".snakemake/locks/0.input.lock")


def test_a_workflow_whose_end_removes_locks_is_waited_for(
    held: subprocess.Popen, results: Path, snakemakes: type
) -> None:
    locks.hold_before_snakemake(results, sys.exit)
    said = "error: another workflow works on results since .* wait until it has ended"
    with pytest.raises(SystemExit, match=said), snakemakes.lock(Ending()):
        pass


def test_ours_is_held_when_snakemake_has_removed_its_own(results: Path, snakemakes: type) -> None:
    class Records:
        locked = False

        def all_inputfiles(self) -> list[str]:
            return []

        all_outputfiles = all_inputfiles

        def _write_locks(self, *_: object) -> None:
            assert holder().wait(60) == 1  # another is refused before Snakemake's lock is there

        def unlock(self) -> None:
            assert holder().wait(60) == 1  # and while it is removed

    try:
        for _ in range(2):
            locks.hold_before_snakemake(results, sys.exit)
        with snakemakes.lock(Records()):
            locks.hold(results)  # as with every workflow, once more when it starts
        assert len(locks._held) == 1 and holder().wait(60) == 1
    finally:
        locks._release()


def test_a_kill_frees_the_folder(held: subprocess.Popen, results: Path) -> None:
    held.kill()
    held.wait()
    assert (results / locks.NAME).exists() and not locks.busy(results)
    assert "make unlock" in locks.explanation(results)
    second = holder()
    assert second.stdout.readline() == "held\n"
    second.kill()
    second.communicate()


def test_the_folder_is_free_when_the_holder_ends_by_itself(results: Path) -> None:
    # Snakemake goes back to where it came from before it ends.
    code = HOLD.replace("time.sleep(60)", "import os; os.chdir('/')")
    paths = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, check=True)
    assert not locks.busy(results)


def test_a_lock_that_is_a_link_is_refused(results: Path, tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.write_text("kept")
    (results / locks.NAME).symlink_to(private)
    with pytest.raises(locks.Busy, match="is a link; remove it"):
        locks.hold(results)
    assert not locks.busy(results)
    assert private.read_text() == "kept"


def test_the_folder_is_usable_where_the_file_system_knows_no_locks(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    locks.hold(results)
    assert locks._held == []


def test_jobs_of_a_killed_workflow_are_named(results: Path) -> None:
    """A stand-in for a job: a script of that name, started as a rule starts it, in this folder."""
    script = Path("workflow/scripts/fit.py")
    script.parent.mkdir(parents=True)
    script.write_text("print('here', flush=True)\nimport time; time.sleep(60)\n")
    # Started by a shell that is gone, as by a workflow that was killed: it is no child of this process.
    command = f"{interrupts.BY_A_RULE}=x {sys.executable} {script.resolve()} & echo $!"
    shell = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True)
    pid = int(shell.stdout.readline())
    try:
        assert shell.stdout.readline() == "here\n"
        assert [process.pid for process in locks.jobs()] == [pid] and locks.busy(results)
        words = locks.explanation(results)
        assert f"fit.py (process {pid})" in words and f"kill {pid}" in words
        with pytest.raises(locks.Busy, match="still run here"):
            locks.hold(results)
    finally:
        os.kill(pid, 9)
        shell.communicate()
    assert not locks.busy(results)


def test_the_holder_is_written_down(held: subprocess.Popen, results: Path) -> None:
    assert json.loads((results / locks.NAME).read_text())["pid"] == held.pid


def test_what_another_workflow_replaces_is_not_said_to_be_protected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two that start in one moment Snakemake may take a file that is being replaced for protected."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert "write-protected" in logger._explained("ProtectedOutputException")
    monkeypatch.setattr(locks, "workflows", lambda: [psutil.Process()])
    said = logger._explained("ProtectedOutputException")
    assert f"another workflow works in this folder (process {os.getpid()})" in said


def test_the_lock_that_this_process_holds_is_no_other_workflow(tmp_path: Path, monkeypatch) -> None:
    """Snakemake's lock of a killed workflow is found when ours is taken already."""
    monkeypatch.chdir(tmp_path)
    with locks.held(Path("results")):
        assert "make unlock" in locks.explanation(Path("results"))
