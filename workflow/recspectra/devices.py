"""Which GPU a job may use: two fits never share one unless they are told to.

Snakemake gives a job no device number. So every job takes the first free device by a file lock that
lives as long as its process: one that is killed frees its device, nothing has to be cleaned up.
Inside a Slurm job nothing is chosen, because Slurm has done so.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recspectra.files import ArtifactError

if TYPE_CHECKING:  # who finds no GPU does not wait for it
    from filelock import FileLock

PER_GPU = "RECSPECTRA_FITS_PER_GPU"
LOCKS = "RECSPECTRA_LOCKS"
VISIBLE = "CUDA_VISIBLE_DEVICES"
SCORES = 100_000_000  # of all users; a closed form has fewer before a device is ready
NODES = 4_000  # of a graph; LAPACK finds the pairs of a smaller one exactly

_held: list[FileLock] = []  # a lock ends with its process


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


def given(environment: Mapping[str, str]) -> bool:
    """Return whether this process has a device to use; inside a Slurm job, whether Slurm gave it one."""
    if "SLURM_JOB_ID" in environment and VISIBLE not in environment:
        return False
    return bool(devices(environment))


def lock_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder of the locks and make it if need be.

    By default it is the user's own: in a folder that all may write to, one user could plant files for
    another. Where several users share the GPUs of a machine, `RECSPECTRA_LOCKS` names a common folder.

    Raises
    ------
    ArtifactError
        The user's own folder is a link or somebody else's.
    """
    if given := environment.get(LOCKS):
        folder = Path(given)
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    folder = Path(tempfile.gettempdir()) / f"recspectra-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ArtifactError(f"{folder}: is not your own folder; remove it or set {LOCKS} to another")
    return folder


def _first_free(folder: Path, found: list[str], slots: int) -> str | None:
    """Lock the first free place: every device once, then every device a second time, and so on."""
    for slot in range(slots):
        for device in found:
            if _locked(folder / f"{device.replace('/', '-')}.{slot}"):
                return device
    return None


def _locked(path: Path) -> bool:
    """Try to lock a file until this process ends; programs that it starts do not inherit it."""
    from filelock import FileLock, Timeout

    lock = FileLock(path, blocking=False, thread_local=False, mode=0o666)  # others may share the folder
    try:
        lock.acquire()
    except Timeout:
        return False
    _held.append(lock)
    return True
