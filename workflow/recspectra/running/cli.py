"""What all scripts share: one clear line for a known error, and the project's folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.files import ArtifactError
from recspectra.running import interrupts

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

    An interrupt is one line and exit status 130.
    """
    try:
        function()
    except KeyboardInterrupt:
        interrupts.end_script()
    except BrokenPipeError:  # whoever read what is printed has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        message = str(error) if isinstance(error, known_errors()) else _of_a_database(error)
        if not message:
            raise
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)


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


def catalog() -> Catalog:
    """Return the project's configuration files."""
    return Catalog(os.environ.get("RECSPECTRA_ROOT") or ROOT)
