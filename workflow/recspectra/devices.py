"""Which GPU a job may use: two fits never share one unless they are told to.

Snakemake gives a job no device number. So every job takes the first free device by a file lock that
lives as long as its process: one that is killed frees its device, nothing has to be cleaned up.
Inside a Slurm job nothing is chosen, because Slurm has done so.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

PER_GPU = "RECSPECTRA_FITS_PER_GPU"
LOCKS = "RECSPECTRA_LOCKS"
VISIBLE = "CUDA_VISIBLE_DEVICES"

# Locks end when their file is closed: these stay open until the process ends.
_held: list[int] = []


def take(environment: Mapping[str, str] | None = None, wait_seconds: float = 0.5) -> str | None:
    """Reserve a device for the rest of this process and make it the only visible one.

    Waits as long as all are taken. A second call keeps the first one's device.

    Parameters
    ----------
    environment : mapping, optional
        The variables of the process; `CUDA_VISIBLE_DEVICES`, if set, names the devices to choose from.
    wait_seconds : float
        Time between two looks for a free device.

    Returns
    -------
    str or None
        The device; None if there is none or Slurm has chosen.
    """
    given = os.environ if environment is None else environment
    if _held:
        return given.get(VISIBLE)
    found = [] if "SLURM_JOB_ID" in given else devices(given)
    if not found:
        return None
    folder, slots = lock_folder(given), int(given.get(PER_GPU, "1"))
    waited = False
    while (device := _first_free(folder, found, slots)) is None:
        if not waited:
            print(f"waiting for one of the devices {', '.join(found)}", file=sys.stderr, flush=True)
        waited = True
        time.sleep(wait_seconds)
    os.environ[VISIBLE] = device
    return device


def devices(environment: Mapping[str, str]) -> list[str]:
    """Return the devices that may be used, as `CUDA_VISIBLE_DEVICES` names them.

    Those that the variable lists; without it, those that `nvidia-smi` knows. CUDA itself is not
    asked: that would fix what is visible.
    """
    if VISIBLE in environment:
        listed = [name.strip() for name in environment[VISIBLE].split(",")]
        # As CUDA reads it: from an empty or negative entry on nothing counts.
        return list(itertools.takewhile(lambda name: name and not name.startswith("-"), listed))
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return done.stdout.split()


def lock_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the locks, which all users of this machine share; make it if need be."""
    folder = Path(environment.get(LOCKS) or Path(tempfile.gettempdir()) / "recspectra-devices")
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)
    return folder


def _first_free(folder: Path, found: list[str], slots: int) -> str | None:
    """Lock the first free place: every device once, then every device a second time, and so on."""
    for slot in range(slots):
        for device in found:
            if _locked(folder / f"{device.replace('/', '-')}.{slot}"):
                return device
    return None


def _locked(path: Path) -> bool:
    """Try to lock a file until this process ends."""
    file = _opened(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _held.append(file)
    return True


def _opened(path: Path) -> int:
    """Open a lock file; programs that this process starts do not inherit it."""
    # Another user's file may be opened in a shared folder, but not with O_CREAT.
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CREAT, 0o666)
    with contextlib.suppress(OSError):
        os.fchmod(file, 0o666)
    return file
