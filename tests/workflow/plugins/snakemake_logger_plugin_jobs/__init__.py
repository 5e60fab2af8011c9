"""A Snakemake logger for tests: writes every planned job as one line of JSON.

The file is named by the environment variable RECSPECTRA_TEST_JOBS. What Snakemake prints
itself leaves out a job's files where its rule has a message.
"""

from __future__ import annotations

import json
import os
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Takes in the events that announce a job."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Write one job."""
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        job = {
            "rule": record.rule_name,
            "inputs": list(record.input),
            "outputs": list(record.output),
            "wildcards": dict(record.wildcards),
            "reason": record.reason,
            "command": record.shellcmd or "",
        }
        with Path(os.environ["RECSPECTRA_TEST_JOBS"]).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(job) + "\n")
