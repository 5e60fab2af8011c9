"""Settings and studies, loaded and checked before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recspectra import identity
from recspectra.config import folds
from recspectra.config.base import ConfigError, check_known
from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.settings import check_texts, load_settings
from recspectra.files import read_json
from recspectra.planning.plan import HERE, Plan, Present, how_it_is_read, mirror_of

OWN = "; a file of your own goes to config/datasets/NAME.yaml, and its NAME under `datasets` of a study"
RESERVED = {
    "all", "fetch", "prepare", "split", "datasets", "spectrum", "fit", "tune", "measure", "gather",
    "evaluate", "worlds", "collect", "draw", "report", "figures", "import_lists",
}  # fmt: skip


def load(root: Path, overrides: Mapping[str, Any], argv: Sequence[str]) -> Plan:
    """Load settings and studies.

    Parameters
    ----------
    root : Path
        The project's folder.
    overrides : mapping
        Values given with `--config`.
    argv : sequence of str
        The command line: studies named on it are what the report covers.
    """
    catalog = Catalog(root)
    check_texts(overrides, argv)
    settings = load_settings(root, dict(overrides))
    present = Present(catalog, mirror_of(settings))
    studies = {}
    for name in catalog.names("studies"):
        study = catalog.study(name, present, settings.chosen)
        if study.name != name:
            raise catalog.misnamed("studies", name, study.name)
        studies[name] = study
    read = {study.origin: study for study in studies.values()}
    chosen = read.get(str(catalog.study_path(settings.study))) or catalog.study(
        settings.study, present, settings.chosen
    )
    _check_case(chosen, studies)
    known = studies.get(chosen.name)
    if known is not None and Path(known.origin).resolve() != Path(chosen.origin).resolve():
        raise ConfigError(
            f"{chosen.origin}: name: {known.origin} is a study called '{chosen.name}' already; "
            "give yours another name"
        )
    studies[chosen.name] = chosen
    for study in studies.values():
        if study.name in RESERVED or study.name.startswith("draw_"):
            raise ConfigError(f"{study.origin}: '{study.name}' is the name of a rule; choose another")
    named = [name for name in studies if name in argv[1:]]
    asked = [studies[study] for study in named or [chosen.name]]
    for name in settings.datasets or ():
        _check_files(name, asked, present)
        known = {s.name: [*s.config.datasets, *folds.group(s.config.datasets)] for s in asked}
        _check_asked("datasets", name, known, OWN)
    for name in settings.models or ():
        _check_asked("models", name, {s.name: [m for e in s.config.models for m in e.models] for s in asked})
    for name in settings.groups or ():
        _check_asked("groups", name, {s.name: [e.group for e in s.config.models] for s in asked})
    _check_own_files(catalog, asked)
    _check_lists(asked)
    return Plan(root, catalog, settings, studies, chosen.name, named or [chosen.name])


def _check_case(chosen: Study, studies: Mapping[str, Study]) -> None:
    """Refuse a study whose folder is another's where a file system knows no upper and lower case."""
    for name, study in studies.items():
        if name != chosen.name and name.casefold() == chosen.name.casefold():
            raise ConfigError(
                f"{chosen.origin}: name: {study.origin} is a study called '{name}', which is the same folder "
                "on some disks; give yours another name"
            )


def _check_files(name: str, studies: list[Study], present: Present) -> None:
    """Refuse an optional dataset that was asked for and whose files are not there."""
    for study in studies:
        parts = [one for one in study.config.optional_datasets if name in (one, *folds.group([one]))]
        if missing := present.missing(parts[0]) if parts else []:
            source = present.catalog.dataset(parts[0]).source
            place = f"the mirror {present.mirror}" if present.mirror else "a mirror (none is given)"
            raise ConfigError(
                f"--config datasets: '{name}' of {study.name} needs {', '.join(missing)}, which is neither "
                f"in {place} nor in {HERE.raw(source.name)}. Put it into the folder that MIRROR=/path names; "
                f"where to get it: {source.fetch or source.homepage or 'not known'}"
            )


def _check_asked(key: str, name: str, studies: Mapping[str, list[str]], also: str = "") -> None:
    """Refuse a dataset, model or group that was asked for but that no study on the command line has."""
    known = sorted({name for names in studies.values() for name in names})
    said = (
        f"--config {key}: '{{name}}' takes part in none of: {', '.join(studies)} (they have {{known}}{also})"
    )
    check_known([name], known, said)


def _check_own_files(catalog: Catalog, studies: list[Study]) -> None:
    """Refuse a dataset of the user's own whose file is not there and was never read."""
    for name in sorted({name for study in studies for name in study.config.datasets}):
        config = catalog.dataset(name)
        read = HERE.interactions(name)
        if (
            config.path
            and not Path(config.path).is_file()
            and not (read.is_file() and _read_so(catalog, name))
        ):
            file = (folds.part_of(name) or [name])[0]
            raise ConfigError(f"config/datasets/{file}.yaml: {config.where_it_should_be()}")


def _check_lists(studies: list[Study]) -> None:
    """Refuse lists from elsewhere that are not there, or whose path Snakemake takes for a pattern."""
    files = [file for study in studies for file in study.list_files]
    found = [file.problem for file in files if file.problem]
    found += [
        f"{file.where}.lists: '{file.path}' holds a brace, which Snakemake takes for a wildcard; rename it"
        for file in files
        if re.search(r"[{}]", file.path)
    ]
    if found:
        raise ConfigError("\n".join(dict.fromkeys(found)))


def _read_so(catalog: Catalog, dataset: str) -> bool:
    """Return whether the prepared dataset on disk was read as its YAML says now, from a file of that name."""
    stats = HERE.stats(dataset)
    if not stats.is_file():
        return True
    made = read_json(stats).get("made_with", {})
    return made.get("reading") == identity.hash_of(how_it_is_read(catalog, dataset))
