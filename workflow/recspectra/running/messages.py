"""What the workflow says itself, with and without the project's logger: no frame, no traceback."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Collection
from typing import NoReturn

from recspectra.config.base import nearest
from recspectra.running.terminal import visible

_NO_RULE = re.compile(r"No rule to produce ([\w.-]+) \(")
TARGETS = ("all", "datasets", "figures", "report")


def stop(message: str) -> NoReturn:
    """End Snakemake with a message; as an error of the Snakefile it would come with file and line."""
    print(visible(message), file=sys.stderr, flush=True)
    raise SystemExit(1)


def explain_targets(studies: Collection[str]) -> Callable[[logging.LogRecord], bool]:
    """Return a filter that says which studies there are where Snakemake finds no rule for a name.

    It takes the characters that steer a terminal out of all messages as well.
    """
    known = [*sorted(studies), *TARGETS]

    def explain(record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = visible(record.msg)
        found = _NO_RULE.search(str(record.msg))
        if found and getattr(record, "exception", "") == "MissingRuleException":
            word = found[1]
            record.msg = (
                f"error: there is no study or target '{word}'; studies: {', '.join(sorted(studies))}; "
                f"targets: {', '.join(TARGETS)}{nearest(word, known)}"
            )
        return True

    return explain
