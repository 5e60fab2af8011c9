"""One workflow at a time works on a results folder; what runs there, what a kill left behind.

Snakemake's lock is a list of files: it outlives a kill, looking for others' files and making its own
are two steps, and one workflow that ends takes the locks of all others away. The lock here is the
kernel's: it ends with its process, however that ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil  # Snakemake needs it too
from filelock import FileLock, Timeout

from recspectra.running import interrupts

NAME = ".workflow.lock"
SCRIPTS = "workflow/scripts/"
RECORDS = ("incomplete", "locks", "metadata")  # of Snakemake, in .snakemake


class Busy(Exception):
    """The results folder cannot be worked on; the message says why and what to do."""


_held: list[FileLock] = []  # a lock ends with its process


def check_folder(results: Path) -> None:
    """Refuse a results folder that is a file or a link to nothing, before anything is written.

    Raises
    ------
    Busy
        It is one of these.
    """
    if results.is_symlink() and not results.exists():
        raise Busy(
            f"'{results}' is a link to '{results.readlink()}', where nothing is; make that folder (is its "
            "disk there?) or remove the link"
        )
    if results.exists() and not results.is_dir():
        raise Busy(f"'{results}' is a file, not a folder; move it away and run again")


def check_links(results: Path, records: Path) -> None:
    """Refuse links and pipes where files are written in place: what they lead to would be overwritten.

    All else in a results folder is replaced by a new file, which leaves the goal of a link as it is.

    Parameters
    ----------
    results, records : Path
        The results folder, and Snakemake's own (`.snakemake`).

    Raises
    ------
    Busy
        There is one; they come with results that somebody else packed.
    """
    places = [p for name in RECORDS for p in (records / name, *(records / name).rglob("*"))]
    for path in [*places, *results.glob("tuning/*/*/*/*.sqlite*")]:
        if path.is_symlink() or (path.exists() and not (path.is_file() or path.is_dir())):
            raise Busy(f"'{path}' is a link or no regular file; remove it and run again")


def hold_before_snakemake(results: Path, refuse: Callable[[str], NoReturn]) -> None:
    """Take the lock before Snakemake reads its own.

    Snakemake reads the files of all locks, and a workflow that ends removes them: one that started in that
    moment died of a file that was gone. The kernel's lock is held until the process has ended, so whoever has
    it finds no other that removes files. A dry run takes no lock of Snakemake's, and none of these.

    Parameters
    ----------
    results : Path
        The results folder.
    refuse : callable
        Ends the workflow with a message, where another has the folder.
    """
    base = getattr(sys.modules.get("snakemake.persistence"), "PersistenceBase", None)
    plain = getattr(base, "lock", None)
    if plain is None or hasattr(plain, "holds_results"):
        return

    @contextlib.contextmanager
    def lock(self: Any) -> Iterator[None]:
        try:
            hold(results)
        except Busy as error:
            refuse(f"error: {error}")
        with plain(self):
            yield

    lock.holds_results = True  # type: ignore[attr-defined]
    base.lock = lock


def hold(results: Path) -> None:
    """Keep all other workflows from a results folder until this process ends; a second call does nothing.

    Raises
    ------
    Busy
        Another workflow has it, or jobs of one that was killed still run.
    """
    results.mkdir(parents=True, exist_ok=True)
    path = results.absolute() / NAME  # Snakemake leaves the folder before it ends
    if str(path) in [one.lock_file for one in _held]:
        return
    if path.is_symlink():
        raise Busy(f"'{results / NAME}' is a link; remove it and run again")
    lock = _lock(path)
    try:
        lock.acquire()
    except Timeout:
        raise Busy(explanation(results)) from None
    except (OSError, NotImplementedError):  # the file system has no such locks: Snakemake's own is all
        pass
    else:
        _held.append(lock)
    if jobs():
        _release()
        raise Busy(explanation(results))


def _lock(path: Path) -> FileLock:
    """Return a lock that is tried once, held for all threads, and has in its file who holds it."""
    return FileLock(
        path, blocking=False, thread_local=False, fallback_to_soft=False, on_acquired=_write_down_who
    )


def _write_down_who(handle: int) -> None:
    me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(me).encode(), 0)


def _release() -> None:
    while _held:
        _held.pop().release()


@contextlib.contextmanager
def held(results: Path) -> Iterator[None]:
    """Keep all workflows from a results folder within a block; raise `Busy` as `hold` does."""
    hold(results)
    try:
        yield
    finally:
        _release()


def busy(results: Path) -> bool:
    """Return whether a workflow or a job of one works on a results folder now."""
    return bool(workflows() or jobs() or _holder(results / NAME))


def explanation(results: Path) -> str:
    """Say whether something works on a results folder now, and what to do."""
    running = workflows()
    if running:
        word = ", ".join(f"process {process.pid}" for process in running)
        return f"another workflow works in this folder ({word}); wait until it has ended, then run again"
    if orphans := jobs():
        return _of_orphans(orphans)
    ours = str(results.absolute() / NAME) in [one.lock_file for one in _held]
    if not ours and (holder := _holder(results / NAME)):
        return (
            f"another workflow works on {results} since {holder['since']} (process {holder['pid']} on "
            f"{holder['host']}); wait until it has ended, then run again"
        )
    return (
        "no workflow and no job of one runs here (on this machine): the lock is left from one that was "
        "killed. `make unlock` removes it, then run again; what is finished is kept"
    )


def unwritable(results: Path) -> str:
    """Say why files in a results folder cannot be written, and what to do."""
    reason = "files in it are write-protected"
    try:
        with tempfile.TemporaryFile(dir=results):
            pass
    except OSError as error:
        reason = str(error.strerror)
    return (
        f"the folder '{results}' cannot be written: {reason}; nothing in it was changed. Make it "
        "writable and run again"
    )


def _of_orphans(orphans: list[psutil.Process]) -> str:
    names = []
    for process in orphans:
        with contextlib.suppress(psutil.Error):
            names.append(f"{Path(_script(process)).name} (process {process.pid})")
    pids = " ".join(str(process.pid) for process in orphans)
    return (
        f"jobs of a workflow that was killed still run here: {', '.join(names)}; wait until they have "
        f"ended or end them (kill {pids}), then run again"
    )


def _holder(path: Path) -> dict | None:
    """Return who has a lock, if someone has it."""
    if not path.is_file():
        return None
    try:
        with FileLock(path, blocking=False, fallback_to_soft=False):
            return None
    except Timeout:
        unknown = {"pid": "?", "host": "?", "since": "?"}
        with contextlib.suppress(ValueError, OSError):
            return unknown | json.loads(path.read_text(encoding="utf-8") or "{}")
        return unknown
    except (OSError, NotImplementedError):
        return None


def workflows() -> list[psutil.Process]:
    """Return the other Snakemake processes that work in this folder, on this machine."""
    return [process for process in _others() if _is_snakemake(process)]


def jobs() -> list[psutil.Process]:
    """Return the jobs that work in this folder on this machine and were not started by this process."""
    return [process for process in _others() if _script(process)]


def _others() -> Iterator[psutil.Process]:
    folder, me = Path.cwd(), psutil.Process()
    family = {me.pid, *(p.pid for p in me.parents()), *(p.pid for p in me.children(recursive=True))}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid not in family and Path(process.cwd()) == folder:
                yield process


def _is_snakemake(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(Path(word).name == "snakemake" for word in process.cmdline()[:5])
    return False


def _script(process: psutil.Process) -> str:
    """Return the script that a process runs for a rule; an empty text if it does not."""
    with contextlib.suppress(psutil.Error):
        found = [word for word in process.cmdline()[:3] if word.endswith(".py") and SCRIPTS in word]
        if found and interrupts.BY_A_RULE in process.environ():
            return found[0]
    return ""
