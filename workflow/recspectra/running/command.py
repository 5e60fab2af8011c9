"""What `make` calls: the workflow's command line from the words that a user gave, and running it."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.scale import NUMBERS, Choice
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


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that every target of `make` hands on: OPTIONS in the Makefile."""
    parser.add_argument("--mirror", default="", help="folder with the datasets' files")
    parser.add_argument("--scale", default="", help="a name of config/scales or the path of a YAML file")
    for name in NUMBERS:
        parser.add_argument(f"--{name}", default="", help="in place of the scale's")
    for name in ("datasets", "models", "groups"):
        parser.add_argument(f"--{name}", default="", help=f"some of the study's {name}: a,b")
    parser.add_argument("--keep", default="", help="1: save the fitted models with their runs")
    parser.add_argument("--cores", default="2")
    parser.add_argument("--gpus", default="", help="by default those that nvidia-smi lists")


def config(args: argparse.Namespace) -> dict[str, str]:
    """Return those of `add_options` that are words for `--config`."""
    return {
        "mirror": args.mirror,
        "keep": args.keep,
        **{name: getattr(args, name) for name in Choice.model_fields},
    }


def snakemake(target: str, cores: str, gpus: str, config: Mapping[str, str]) -> list[str]:
    """Return the command that builds a target (all, if it is empty).

    Parameters
    ----------
    target : str
        A target of the Snakefile.
    cores, gpus : str
        How many jobs run at once; no `gpus`: as many as `nvidia-smi` lists.
    config : mapping
        Words for `--config`; those without a value are left out.
    """
    return Workflow(start(cores, gpus)).command([target] if target else [], config)


def start(cores: str, gpus: str) -> list[str]:
    """Return the words of the workflow's command up to its targets; see `snakemake`.

    Raises
    ------
    ConfigError
        `cores` is neither a whole number from 1 nor `all`: with none Snakemake waits without a word.
    """
    if cores != "all" and not (cores.isascii() and cores.isdigit() and int(cores)):
        raise ConfigError(f"CORES: must be a whole number from 1, or all, not '{cores}'")
    count = gpus or str(_count_gpus())
    limit = ["--resources", f"gpu={count}"] if count != "0" else []
    # -P: no module is taken from the working folder, where somebody else's files may lie.
    return [sys.executable, "-P", "-m", "snakemake", "--profile", str(PROFILE), *limit, "--cores", cores]


@dataclass(frozen=True)
class Workflow:
    """The workflow's command before it is known what to build.

    Attributes
    ----------
    words : list of str
        The command up to its targets.
    config : dict
        What the user gave for `--config`; texts that are empty were not given.
    """

    words: list[str]
    config: Mapping[str, str] = field(default_factory=dict)

    def command(self, targets: Sequence[str], config: Mapping[str, str]) -> list[str]:
        """Return the command that builds targets; what the user gave goes before `config`."""
        given = {key: value for key, value in self.config.items() if value}
        words = [f"{key}={value}" for key, value in {**config, **given}.items() if value]
        return [*self.words, *targets, *(["--config", *words] if words else [])]

    def build(self, targets: Sequence[str], config: Mapping[str, str] | None = None) -> int:
        """Build targets as `run` runs a command, and return the exit status."""
        return run(self.command(targets, config or {}))


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
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        process = subprocess.Popen(command)
        signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - status if status < 0 else status
