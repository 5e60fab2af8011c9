"""Datasets that are split into folds: each fold is a dataset of its own, called `NAME.fold-1` and so on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from recspectra.config.base import ConfigError
from recspectra.config.dataset import DatasetConfig
from recspectra.config.study import DRAWN, StudyConfig

FOLD = re.compile(r"(?P<base>.+)\.fold-(?P<number>[1-9][0-9]*)")


def part_of(name: str) -> tuple[str, int] | None:
    """Return the dataset that a fold is of and its number; None of a name that is no fold's."""
    found = FOLD.fullmatch(name)
    return (found["base"], int(found["number"])) if found else None


def names_of(config: DatasetConfig) -> list[str]:
    """Return the names of a dataset's folds; of one without folds its own name."""
    split = config.split
    return (
        [f"{config.name}.fold-{i + 1}" for i in range(split.folds)]
        if split.recipe == "k-fold"
        else [config.name]
    )


def as_fold(config: DatasetConfig, number: int, where: str = "") -> DatasetConfig:
    """Return one fold of a dataset.

    Raises
    ------
    ConfigError
        It has no such fold.
    """
    split, prefix = config.split, f"{where}: " if where else ""
    if split.recipe != "k-fold":
        raise ConfigError(
            f"{prefix}dataset '{config.name}' has no folds: its split is '{split.recipe}', not 'k-fold'"
        )
    if number > split.folds:
        raise ConfigError(f"{prefix}dataset '{config.name}' has folds 1 to {split.folds}, not {number}")
    names = {
        "name": f"{config.name}.fold-{number}",
        "title": f"{config.title}, fold {number} of {split.folds}",
    }
    return config.model_copy(update={**names, "split": split.model_copy(update={"fold": number})})


def title_of(title: str) -> str:
    """Return the title of a dataset from that of one of its folds."""
    return re.sub(r", fold \d+ of \d+$", "", title)


def group(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the folds among some datasets by the dataset that they are of."""
    found: dict[str, list[str]] = {}
    for name in names:
        if part := part_of(name):
            found.setdefault(part[0], []).append(name)
    return found


def unfold(config: StudyConfig, folds: Mapping[str, list[str]], origin: str) -> StudyConfig:
    """Return a study with the folds of each dataset in its place.

    Parameters
    ----------
    config : StudyConfig
        As its file has it.
    folds : mapping
        Name of a dataset with folds -> names of these.
    origin : str
        What messages call the file.
    """
    if not folds:
        return config
    _refuse_claims(config, folds, origin)
    update: dict[str, Any] = {
        name: unfolded(getattr(config, name), folds) for name in ("datasets", "optional_datasets")
    }
    update["models"] = [_on_folds(entry, folds) for entry in config.models]
    update |= {kind: [_on_folds(item, folds) for item in getattr(config, kind)] for kind in DRAWN}
    if isinstance(config.seeds, dict):
        update["seeds"] = {n: seeds for name, seeds in config.seeds.items() for n in folds.get(name, [name])}
    return config.model_copy(update=update)


def unfolded(names: Iterable[str], folds: Mapping[str, list[str]]) -> list[str]:
    """Return names of datasets with the folds of each in its place."""
    return [fold for name in names for fold in folds.get(name, [name])]


def _on_folds(item: Any, folds: Mapping[str, list[str]]) -> Any:
    if item.datasets is None:
        return item
    update: dict[str, Any] = {"datasets": unfolded(item.datasets, folds)}
    if isinstance(files := getattr(item, "lists", None), dict):  # of lists from elsewhere, by dataset
        update["lists"] = {n: path for name, path in files.items() for n in folds.get(name, [name])}
    return item.model_copy(update=update)


def _refuse_claims(config: StudyConfig, folds: Mapping[str, list[str]], origin: str) -> None:
    for index, claim in enumerate(config.claims):
        own = [*config.datasets, *config.optional_datasets] if claim.datasets is None else claim.datasets
        for name in own:
            if name in folds:
                raise ConfigError(
                    f"{origin}: claims[{index}].datasets: '{name}' is split into folds, and a claim is about "
                    "one split; name only the other datasets"
                )
