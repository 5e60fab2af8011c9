"""What all scripts share: one clear line for a known error, and the project's folder."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from recspectra.config.base import ConfigError
from recspectra.files import ArtifactError, machine_memory
from recspectra.running import interrupts, terminal

if TYPE_CHECKING:
    from recspectra.config.catalog import Catalog
    from recspectra.config.planned import Study
    from recspectra.config.scale import Choice

LEAST_GB = 2.0  # a smaller limit would count what Python's libraries reserve and never use
LIMITED = (
    "prepare", "preview", "split", "spectrum", "measure", "gather", "evaluate", "collect", "draw", "report",
    "check", "reference",
)  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]

interrupts.watch_script()  # here, since the imports that follow take seconds


def known_errors() -> tuple[type[Exception], ...]:
    """Return the errors whose message is meant for users; others keep their traceback."""
    found: list[type[Exception]] = [ConfigError, ArtifactError]
    for module, name in (
        ("recspectra.data.interactions", "DataError"),
        ("recspectra.recommender", "ContractError"),
        ("recspectra.spectral.operators", "OperatorError"),
        ("recspectra.spectral.eigen", "SpectrumError"),
        ("recspectra.reporting.results", "StudyError"),
    ):
        if module in sys.modules and hasattr(sys.modules[module], name):
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def main(function: Callable[[], None]) -> None:
    """Run a script's function; print a known error as one message and exit with 1.

    An interrupt is one line and exit status 130. What is printed cannot steer a terminal. A script of
    `LIMITED` ends with a message where it would take more memory than is free when it begins, instead of
    making the machine swap; a fit has its own budget.
    """
    terminal.guard()
    try:
        with _memory_limit() if Path(sys.argv[0]).stem in LIMITED else contextlib.nullcontext():
            function()
    except KeyboardInterrupt:
        interrupts.end_script()
    except BrokenPipeError:  # whoever read what is printed has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        message = (
            str(error) if isinstance(error, known_errors()) else _of_a_database(error) or _of_a_file(error)
        )
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


@contextlib.contextmanager
def _memory_limit() -> Iterator[None]:
    from recspectra.runtime import memory_budget

    free = _free_gb()
    try:
        with memory_budget(max(free, LEAST_GB)):
            yield
    except MemoryError as error:
        raise ArtifactError(
            f"out of memory: this needs more than the {free:.1f} GB that were free at the start "
            f"({str(error) or 'no more could be had'}); are the data what they should be? Else end other "
            "programs, keep fewer users (`filter: {sample_users: ...}`) or use a larger machine"
        ) from None


def _free_gb() -> float:
    """Return the memory that programs may still take without swapping, in GiB."""
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as stream:
        for line in stream:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024**2
    return machine_memory() / 1024**3


def _of_a_file(error: BaseException) -> str:
    """Return which file the model refuses and why; or ""."""
    named = isinstance(error, OSError) and error.filename and error.strerror
    return f"{error.filename}: {error.strerror}" if named else ""


def _of_a_database(error: BaseException | None) -> str:
    """Return what to do about an SQLite file that fails, however its error was wrapped; or ""."""
    while error is not None and "sqlite3" in sys.modules:
        if isinstance(error, sys.modules["sqlite3"].Error):
            return (
                f"the SQLite file of this search's trials cannot be read or written ({error}); free space or "
                "permissions and run again. If it is damaged, delete it: its trials are made again"
            )
        error = error.__cause__ or error.__context__
    return ""


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the options of the jobs of a study: which it is, and what was chosen of it."""
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument(
        "--choice", default="{}", help="JSON: scale, trials, seeds, epochs, minutes, models, ..."
    )


def study_of(args: argparse.Namespace, dataset: str = "") -> tuple[Study, Choice]:
    """Return the study that the options of `add_study` name, or its part on one dataset, and the choice."""
    from recspectra.config.scale import Choice
    from recspectra.config.yaml_io import validate

    choice = validate(Choice, json.loads(args.choice), "--choice")
    if dataset:
        choice = choice.model_copy(update={"datasets": [dataset]})
    return catalog().study(args.study, choice.datasets or [], choice), choice


def catalog() -> Catalog:
    """Return the project's configuration files."""
    from recspectra.config.catalog import Catalog  # schemas of studies: a fit needs none

    return Catalog(os.environ.get("RECSPECTRA_ROOT") or ROOT)
