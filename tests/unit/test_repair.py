"""Finding damaged files, giving times back, and who works on a results folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from recspectra.files import Checksum, read_npz, write_json, write_npz
from recspectra.running import interrupts, locks, repair
from recspectra.running.command import Workflow

OLD = 10**18  # a time long past, in nanoseconds


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder below the working folder, with three files from long ago."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results")
    write_npz(folder / "data" / "train.npz", x=np.arange(50))
    write_npz(folder / "spectra" / "s.npz", values=np.linspace(0, 1, 9), seconds=np.float64(1.5))
    write_json(folder / "runs" / "run.json", {"status": "ok"})
    for path in (p for p in folder.rglob("*") if p.is_file()):
        os.utime(path, ns=(OLD, OLD))
    return folder


def listed(results: Path) -> list[str]:
    return [str(path.relative_to(results)) for path, _ in repair.damaged(results)]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


# A stand-in for Snakemake: writes again what it is told to make.
AGAIN = """
import sys
import numpy as np
from recspectra.files import write_json, write_npz
for name in sys.argv[1:]:
    if name.endswith("s.npz"):
        write_npz(name, values=np.linspace(0, 1, 9), seconds=np.float64(2.5))
        write_npz("results/data/train.npz", x=np.arange(50))
    elif name.endswith("train.npz"):
        write_npz(name, x=np.arange(60))
    elif name.endswith("run.json"):
        write_json(name, {"status": "ok"})
"""


@pytest.fixture
def again(tmp_path: Path) -> Callable[[list[str]], int]:
    """What makes files again."""
    script = tmp_path / "again.py"
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path[:0] = {sys.path!r}\n{AGAIN}")
    script.chmod(0o755)
    return Workflow([str(script)]).build


def test_sound_files_are_not_listed(results: Path) -> None:
    assert listed(results) == []


@pytest.mark.parametrize("name", ["data/train.npz", "spectra/s.npz", "runs/run.json"])
def test_a_truncated_file_is_listed_alone_with_what_to_do(results: Path, name: str) -> None:
    truncate(results / name)
    ((path, reason),) = repair.damaged(results)
    assert path == results / name
    assert reason.startswith(f"results/{name}: truncated or corrupted") and "make redo WHAT=damaged" in reason


def test_a_file_of_an_earlier_version_is_read_to_its_end(results: Path) -> None:
    Checksum.place(results / "data/train.npz").unlink()
    assert listed(results) == []
    truncate(results / "data/train.npz")
    assert listed(results) == ["data/train.npz"]


def test_raw_and_reference_files_and_unfinished_ones_are_left_alone(results: Path) -> None:
    for name in ("raw/source/reviews.json", "reference/run.json", "runs/.run.json.abc.tmp", "runs/.x.json"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("{")
    assert listed(results) == []


def test_what_killed_writers_left_is_found(results: Path) -> None:
    for name in ("runs/.run.json.abc.tmp", "data/.train.npz.damaged", "runs/a.tmp", "runs/.hidden"):
        (results / name).write_text("x")
    found = [str(path.relative_to(results)) for path in repair.half_written(results)]
    assert found == ["data/.train.npz.damaged", "runs/.run.json.abc.tmp"]


def test_what_comes_back_with_its_numbers_keeps_its_time(
    results: Path, again: Callable[[list[str]], int]
) -> None:
    """The spectrum took another second this time, and its job wrote the sound file beside it too."""
    truncate(results / "spectra/s.npz")
    repair.rebuild(results, [results / "spectra/s.npz"], again)
    assert listed(results) == []
    for name in ("spectra/s.npz", "data/train.npz"):
        for path in (results / name, Checksum.place(results / name)):
            assert path.stat().st_mtime_ns == OLD, path
    assert read_npz(results / "spectra/s.npz")["seconds"] == 2.5


def test_what_comes_back_with_other_numbers_is_new(results: Path, again: Callable[[list[str]], int]) -> None:
    truncate(results / "data/train.npz")
    repair.rebuild(results, [results / "data/train.npz"], again)
    assert listed(results) == []
    assert (results / "data/train.npz").stat().st_mtime_ns > OLD


def test_a_file_that_cannot_be_rebuilt_stays_listed(results: Path) -> None:
    truncate(results / "runs/run.json")
    before = (results / "runs/run.json").read_bytes()
    repair.rebuild(results, [results / "runs/run.json"], Workflow(["false"]).build)
    assert (results / "runs/run.json").read_bytes() == before
    assert listed(results) == ["runs/run.json"]
    assert [p.name for p in (results / "runs").iterdir()] == ["run.json"]


# -------------------------------------------------------------------------------- locks

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


def test_a_kill_frees_the_folder(held: subprocess.Popen, results: Path) -> None:
    held.kill()
    held.wait()
    assert (results / locks.NAME).exists() and not locks.busy(results)
    assert "make unlock" in locks.explanation(results)
    second = holder()
    assert second.stdout.readline() == "held\n"
    second.kill()
    second.communicate()


def test_nothing_is_left_when_the_holder_ends_by_itself(results: Path) -> None:
    # Snakemake goes back to where it came from before it ends.
    code = HOLD.replace("time.sleep(60)", "import os; os.chdir('/')")
    paths = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}, check=True)
    assert not (results / locks.NAME).exists()


def test_the_folder_is_usable_where_the_file_system_knows_no_locks(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no locks here")

    monkeypatch.setattr(locks.fcntl, "flock", refuse)
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
