"""What the place of a checkout must allow: its path, its environments."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from recspectra.config.base import ConfigError
from recspectra.config.settings import harmful


def check_checkout(root: Path) -> None:
    """Refuse a checkout whose path Snakemake takes for a pattern: `{...}` and `<...>` are its own."""
    if re.search(r"\{.*\}|<.*>", str(root)):
        raise ConfigError(
            f"{root}: Snakemake reads {{...}} and <...> in the path of a checkout as its own; move it"
        )


def check_spawned(places: Iterable[Path]) -> None:
    """Refuse folders whose paths run commands where Snakemake writes them into the jobs of a scheduler.

    Raises
    ------
    ConfigError
        A path holds what `repr` and a shell change.
    """
    for place in places:
        if bad := harmful(str(place)):
            raise ConfigError(
                f"{place}: holds {bad}, which Snakemake hands to the scheduler's shell; rename the folder"
            )


def uses_environments(workflow: Any) -> bool:
    """Return whether Snakemake runs jobs in conda environments or containers."""
    methods = workflow.deployment_settings.deployment_method
    return any(str(method) in ("conda", "apptainer") for method in methods)


def check_conda(workflow: Any) -> None:
    """Refuse `--use-conda` where there is no conda.

    Raises
    ------
    ConfigError
        Environments are asked for, and no `conda` is on the search path.
    """
    if uses_environments(workflow) and not shutil.which("conda"):
        raise ConfigError(
            "--use-conda: no `conda` is on the search path. Install Miniforge and activate it, "
            "or leave --use-conda out: `make quickstart` needs no conda"
        )
