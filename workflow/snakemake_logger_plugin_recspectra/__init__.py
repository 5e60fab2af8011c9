"""A Snakemake logger that shows the whole workflow in one live line.

On a terminal the line says how many jobs are done, what is running and how far the
longest fit is; without a terminal one plain line is printed per finished job. Errors
are shown in full either way. Snakemake's own log file is not touched.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from logging import WARNING, LogRecord
from pathlib import Path

from snakemake.logging import DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from recspectra.running.terminal import visible

REFRESH_SECONDS = 0.5
SHOWN = ("Nothing to be done",)


class LogHandler(LogHandlerBase):
    """Keeps the line up to date from Snakemake's events."""

    def __post_init__(self) -> None:
        self.names: dict[int, str] = {}
        self.running: dict[int, float] = {}
        self.done, self.total, self.started = 0, 0, time.monotonic()
        self.live = sys.stderr.isatty() and not self.common_settings.dryrun
        self.formatter_ = DefaultFormatter(self.common_settings.quiet, self.common_settings.show_failed_logs)
        self.folder = Path(tempfile.mkdtemp(prefix="recspectra-"))
        os.environ["RECSPECTRA_PROGRESS"] = str(self.folder)
        self.closed = threading.Event()
        if self.live:
            threading.Thread(target=self._refresh, daemon=True).start()

    @property
    def writes_to_stream(self) -> bool:
        """The line goes to standard error."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """Nothing is written to a file."""
        return False

    @property
    def has_filter(self) -> bool:
        """All events are wanted."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Messages are formatted here."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """The graph is not needed."""
        return False

    def emit(self, record: LogRecord) -> None:
        """Take in one event."""
        event = getattr(record, "event", None)
        if self.common_settings.dryrun and Quietness.ALL in (self.common_settings.quiet or ()):
            self._print(self._counted(event, record))
        elif self.common_settings.dryrun:
            self._print(self._formatted(record))
        elif event == LogEvent.JOB_INFO:
            self.names[record.jobid] = record.rule_msg or record.rule_name
        elif event == LogEvent.JOB_STARTED:
            self.running.update(dict.fromkeys(_jobs(record), time.monotonic()))
        elif event == LogEvent.JOB_FINISHED:
            self._finished(record.job_id)
        elif event == LogEvent.PROGRESS:
            self.done, self.total = record.done, record.total
        elif event == LogEvent.RUN_INFO:
            self.total = sum(getattr(record, "stats", {}).values()) // 2 or self.total
        elif _worth_showing(event, record):
            self._print(self._formatted(record))
            if explained := _explained(getattr(record, "exception", None)):
                self._print(f"RecSpectra: {explained}")

    def _counted(self, event: LogEvent | None, record: LogRecord) -> str:
        """Return how many jobs of each stage a quiet dry run would do, said once, and what goes wrong."""
        if event != LogEvent.RUN_INFO:
            return self._formatted(record) if _worth_showing(event, record) else ""
        stages: Counter[str] = Counter()
        for name, count in record.stats.items():
            if name not in ("all", "total"):
                stages["draw" if name.startswith("draw_") else name] += count  # two rules for each study
        said, self.total = bool(self.total), stages.total()
        return "" if said else f"{self.total} jobs to do: {', '.join(f'{n} {c}' for n, c in stages.items())}"

    def _formatted(self, record: LogRecord) -> str:
        """Return a message with what Snakemake adds, such as the log of a job."""
        try:
            return self.formatter_.format(record)
        except OSError as error:  # what has the log's name is no file
            return f"{record.msg} ({error.filename}: {error.strerror})"

    def close(self) -> None:
        """End the line and remove the folder of progress files."""
        if not self.closed.is_set():
            self.closed.set()
            self._clear()
            shutil.rmtree(self.folder, ignore_errors=True)
        super().close()

    def _finished(self, job: int) -> None:
        began = self.running.pop(job, time.monotonic())
        self.done += 1
        if not self.live:
            seconds = time.monotonic() - began
            total = f"/{self.total}" if self.total else ""
            self._print(f"[{self.done}{total}] {self.names.get(job, 'job')} ({seconds:.1f} s)")

    def _refresh(self) -> None:
        from recspectra.running import interrupts

        while not (self.closed.wait(REFRESH_SECONDS) or interrupts.stopped()):
            if self.running or self.done:
                self._draw()

    def _draw(self) -> None:
        elapsed = int(time.monotonic() - self.started)
        current = self._fits() or [self.names.get(j, "") for j in list(self.running)]
        text = f"{self.done}/{self.total or '?'} jobs  {elapsed // 60}:{elapsed % 60:02d}  " + "  |  ".join(
            current
        )
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r\033[K" + visible(text)[:width])
        sys.stderr.flush()

    def _fits(self) -> list[str]:
        texts = []
        for file in sorted(self.folder.glob("*.json")):
            try:
                state = json.loads(file.read_text(encoding="utf-8"))
                os.kill(state["pid"], 0)  # a killed fit leaves its file behind
                texts.append(state["text"])
            except (OSError, ValueError, KeyError):
                continue
        return texts

    def _clear(self) -> None:
        from recspectra.running import interrupts

        if self.live and not interrupts.stopped():  # then the last line is not this one
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()

    def _print(self, text: str) -> None:
        if text and text.strip():
            self._clear()
            sys.stderr.write(visible(text.rstrip("\n")) + "\n")
            sys.stderr.flush()


def _worth_showing(event: LogEvent | None, record: LogRecord) -> bool:
    if event is None:
        return record.levelno >= WARNING or str(record.msg).startswith(SHOWN)
    return event in (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR, LogEvent.ERROR)


def _explained(exception: str | None) -> str:
    """Return what Snakemake's words do not say: whose a lock is, why files cannot be written."""
    from recspectra.running import locks

    results = Path("results")
    protected = exception == "ProtectedOutputException"
    # What another workflow replaces in this moment is write-protected for Snakemake as well.
    if exception == "LockException" or (protected and locks.workflows()):
        return locks.explanation(results)
    return locks.unwritable(results) if protected else ""


def _jobs(record: LogRecord) -> list[int]:
    jobs = getattr(record, "jobs", [])
    return list(jobs) if isinstance(jobs, (list, tuple, set)) else [jobs]
