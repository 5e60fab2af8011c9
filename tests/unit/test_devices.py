"""Devices are given out one fit at a time; the devices here are names only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recspectra import devices
from recspectra.files import ArtifactError

ROOT = Path(__file__).resolve().parents[2]
TAKE = """
import os, sys
from recspectra import devices, runtime
print(devices.take(wait_seconds=0.02), os.environ.get("CUDA_VISIBLE_DEVICES"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a process that takes a device and keeps it until its input ends."""
    started = []

    def begin(**variables: str) -> subprocess.Popen:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "CUDA_", "RECSPECTRA_"))}
        kept |= {"PYTHONPATH": str(ROOT / "workflow"), devices.LOCKS: str(tmp_path / "locks"), **variables}
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE], env=kept, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def taken(process: subprocess.Popen) -> list[str]:
    """Return what a process printed: its device and what it lets CUDA see."""
    return process.stdout.readline().split()


def test_fits_at_the_same_time_get_different_devices(start: Callable) -> None:
    running = [start(CUDA_VISIBLE_DEVICES="0,1,2") for _ in range(3)]
    assert sorted(taken(p) for p in running) == [["0", "0"], ["1", "1"], ["2", "2"]]


def test_one_too_many_waits_until_a_device_is_free(start: Callable) -> None:
    first = start(CUDA_VISIBLE_DEVICES="3")
    assert taken(first) == ["3", "3"]
    second = start(CUDA_VISIBLE_DEVICES="3")
    assert second.stderr.readline() == "waiting for one of the devices 3\n"
    first.communicate("")
    assert taken(second) == ["3", "3"]


def test_a_killed_fit_frees_its_device(start: Callable) -> None:
    first = start(CUDA_VISIBLE_DEVICES="0")
    taken(first)
    second = start(CUDA_VISIBLE_DEVICES="0")
    second.stderr.readline()
    first.send_signal(signal.SIGKILL)
    assert taken(second) == ["0", "0"]


def test_fits_share_a_device_when_told_to_and_spread_first(start: Callable) -> None:
    given = []
    for _ in range(4):
        given.append(taken(start(CUDA_VISIBLE_DEVICES="0,1", RECSPECTRA_FITS_PER_GPU="2"))[0])
    assert given == ["0", "1", "0", "1"]
    late = start(CUDA_VISIBLE_DEVICES="0,1", RECSPECTRA_FITS_PER_GPU="2")
    assert late.stderr.readline().startswith("waiting for")


def test_the_children_of_a_fit_do_not_keep_its_device(start: Callable, tmp_path: Path) -> None:
    """A program that a fit left behind must not block the device."""
    code = TAKE.replace("import os, sys", "import os, subprocess, sys").replace(
        "sys.stdin.read()", "print(subprocess.Popen(['sleep', '60']).pid, flush=True)"
    )
    kept = {**os.environ, "PYTHONPATH": str(ROOT / "workflow"), devices.LOCKS: str(tmp_path / "locks")}
    done = subprocess.Popen(
        [sys.executable, "-c", code], env=kept | {"CUDA_VISIBLE_DEVICES": "0"}, text=True,
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert taken(done) == ["0", "0"]
    child = int(done.stdout.readline())
    done.wait()
    try:
        assert taken(start(CUDA_VISIBLE_DEVICES="0")) == ["0", "0"]
    finally:
        os.kill(child, signal.SIGKILL)
        done.stdout.close()


def test_in_a_slurm_job_slurm_has_chosen(start: Callable) -> None:
    running = [start(CUDA_VISIBLE_DEVICES="0", SLURM_JOB_ID="7") for _ in range(2)]
    assert [taken(p) for p in running] == [["None", "0"], ["None", "0"]]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0,1", ["0", "1"]), ("", []), ("-1", []), ("2,-1,3", ["2"]), (" 1 , GPU-8a ", ["1", "GPU-8a"])],
)
def test_visible_devices_are_read_as_cuda_reads_them(value: str, expected: list[str]) -> None:
    assert devices.devices({"CUDA_VISIBLE_DEVICES": value}) == expected


def test_devices_are_counted_without_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 0\necho 1\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert devices.devices({}) == ["0", "1"]


def test_without_devices_nothing_is_reserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices.take({devices.LOCKS: str(tmp_path / "locks")}) is None
    assert not (tmp_path / "locks").exists() and "CUDA_VISIBLE_DEVICES" not in os.environ


def test_a_second_call_keeps_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_held", [])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setenv(devices.LOCKS, str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert [devices.take(), devices.take(), os.environ["CUDA_VISIBLE_DEVICES"]] == ["4", "4", "4"]
    for lock in devices._held:
        lock.release()


def test_the_folder_of_locks_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = devices.lock_folder({})
    assert folder.name.endswith(str(os.getuid())) and folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="not your own folder"):
        devices.lock_folder({})
    assert devices.lock_folder({devices.LOCKS: str(tmp_path / "shared")}) == tmp_path / "shared"
