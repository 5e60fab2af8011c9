"""Ctrl-C: one line and exit status 130, in a workflow and in a script by hand.

A terminal sends the signal to all processes of a workflow at once. Snakemake, which takes the end of
its jobs for failures, would print the log of each and that a job did not complete.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, NoReturn

BY_A_RULE = "RECSPECTRA_ROOT"  # variable that rules set for their scripts
STATUS = 130  # what a shell says of a program that an interrupt ended
MESSAGE = "interrupted; the same command continues"
GRACEFUL = "stops when the jobs that run now have ended; the same command continues"
SECONDS_TO_STOP = 1.0  # for jobs that the terminal told, before they are told once more
SECONDS_TO_HEAR = 0.5  # for Snakemake, which may be told after a job is gone

_stopped: list[int] = []  # exit status of a workflow that was told to stop


def stopped() -> bool:
    """Return whether this workflow was told to stop."""
    return bool(_stopped)


def watch_workflow(logger: logging.Logger) -> None:
    """Make Snakemake's main process end an interrupt with one line instead of an error per job.

    The first interrupt ends the jobs in order, a second one at once.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    logger.addFilter(_lets_through)
    sys.excepthook = _no_traceback
    atexit.register(_exit_as_interrupted)
    signal.signal(signal.SIGINT, _interrupt)


def cancel_timers() -> None:
    """Cancel the timers that Snakemake's scheduler leaves: they hold a finished process for a second."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()


def watch_termination() -> None:
    """Say what Snakemake does at SIGTERM: it lets the running jobs end and starts no other.

    To be called when Snakemake has set its own handler.
    """
    before = signal.getsignal(signal.SIGTERM)
    if not callable(before):
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        if not stopped():
            _say(GRACEFUL)
            _stopped.append(128 + signal.SIGTERM)
        before(number, frame)

    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGTERM, terminate)


def _lets_through(record: logging.LogRecord) -> bool:
    """Return whether Snakemake may say something: nothing after an interrupt, nor of a job that one ended.

    A terminal tells jobs and Snakemake in one moment. The thread that watches a job may find it dead before
    the main thread, which handles signals, had its turn: a failure waits for that turn.
    """
    if record.levelno >= logging.ERROR and threading.current_thread() is not threading.main_thread():
        last = time.monotonic() + SECONDS_TO_HEAR
        while not stopped() and time.monotonic() < last:
            time.sleep(0.01)
    return not stopped()


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _stopped and _stopped[-1] == STATUS:
        _tell_jobs(signal.SIGTERM)
        return
    _stopped.append(STATUS)
    _say(MESSAGE)
    # `kill -INT` tells Snakemake alone; jobs that the terminal told are gone by then.
    timer = threading.Timer(SECONDS_TO_STOP, _tell_jobs, [signal.SIGINT])
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _tell_jobs(number: int) -> None:
    import psutil  # Snakemake has loaded it; a script, which has no jobs, never does

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)


def _say(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        start = "\r\033[K" if sys.stderr.isatty() else ""
        sys.stderr.write(f"{start}{text}\n")
        sys.stderr.flush()


def _exit_as_interrupted() -> None:
    """Give the exit status that Snakemake, which knows only 0 and 1, does not give."""
    if _stopped:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(_stopped[-1])


# ---------------------------------------------------------------------------- scripts


def watch_script() -> None:
    """Let a script clean up at the first interrupt, undisturbed by a second, and print no traceback."""
    if threading.current_thread() is not threading.main_thread():
        return
    sys.excepthook = _no_traceback
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt_once)


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_script() -> NoReturn:
    """End an interrupted script; one that a rule started says nothing, the workflow does."""
    if BY_A_RULE not in os.environ:
        _say(MESSAGE)
    sys.exit(STATUS)


def _no_traceback(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    elif not stopped() and BY_A_RULE not in os.environ:
        _say(MESSAGE)
