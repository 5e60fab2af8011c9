"""What `make` calls: the workflow's command line from the words that a user gave, and running it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.study import StudyConfig
from recspectra.config.yaml_io import read_yaml, validate

PROFILE = Path("workflow/profiles/default")
STUDIES = Path("results/studies")


def study_name(catalog: Catalog, given: str) -> str:
    """Return the name of a study that is given by name or by the path of its file.

    Raises
    ------
    ConfigError
        There is no such study, or its file is wrong.
    """
    path = catalog.study_path(given)
    return validate(StudyConfig, read_yaml(path), str(path)).name


def study_folder(catalog: Catalog, given: str, studies: Path = STUDIES) -> Path:
    """Return the folder of a study's results, which must be there.

    Raises
    ------
    ConfigError
        There is no such study, or it has not been run.
    """
    folder = studies / given
    if _is_name(given) and folder.is_dir():  # also one whose file has gone
        return folder
    folder = studies / study_name(catalog, given)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: not there; run `make study STUDY={given}` first")
    return folder


def _is_name(given: str) -> bool:
    return "/" not in given and given not in ("", ".", "..")


def snakemake(target: str, cores: str, gpus: str, config: dict[str, str]) -> list[str]:
    """Return the command that builds a target (all, if it is empty).

    Parameters
    ----------
    target : str
        A target of the Snakefile.
    cores, gpus : str
        How many jobs run at once; no `gpus`: as many as `nvidia-smi` lists.
    config : dict
        Words for `--config`; those without a value are left out.
    """
    words = [f"{key}={value}" for key, value in config.items() if value]
    count = gpus or str(_count_gpus())
    return [
        sys.executable, "-m", "snakemake", *([target] if target else []), "--profile", str(PROFILE),
        *(["--resources", f"gpu={count}"] if count != "0" else []), "--cores", cores,
        *(["--config", *words] if words else []),
    ]  # fmt: skip


def _count_gpus() -> int:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    return sum(line.startswith("GPU") for line in done.stdout.splitlines())


def run(command: list[str]) -> int:
    """Run a command in the foreground and return its exit status.

    A terminal sends an interrupt to the command as well, which ends in its own order: this process
    waits for it. SIGTERM is handed on.
    """
    signal.signal(signal.SIGINT, lambda number, frame: None)
    process = subprocess.Popen(command)
    signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
    status = process.wait()
    return 128 - status if status < 0 else status
