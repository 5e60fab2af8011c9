"""The catalog of everything in `config/`: datasets, models, protocols, scales and studies, each checked.

It needs only pydantic and PyYAML, so that the Snakefile can validate a whole study in a fraction of a
second without importing NumPy, SciPy or PyTorch. An unknown key, a wrong type or a value out of bounds
raises `ConfigError`, whose message names the file, the path of the key, what is allowed and the nearest
match.
"""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from recspectra.config import folds
from recspectra.config.base import SAFE_NAME, ConfigError, check_known, nearest
from recspectra.config.dataset import DatasetConfig, read_dataset
from recspectra.config.lists import ListsEntry
from recspectra.config.model import ModelConfig
from recspectra.config.narrowed import find_left_out, narrow, words_of
from recspectra.config.planned import Study
from recspectra.config.scale import Choice, Scale, ScaleConfig
from recspectra.config.statements import STATEMENTS, Known, Statement, read_statements
from recspectra.config.study import DEFAULT, ProtocolConfig, StudyConfig
from recspectra.config.yaml_io import read_yaml, validate
from recspectra.files import open_regular
from recspectra.identity import FileDigests
from recspectra.paths import Paths

PUBLISHED = Path("config") / "published" / "mapping.yaml"


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no file system takes such a name
        return False


class Catalog:
    """All configuration files of a project folder, loaded on demand and checked.

    Parameters
    ----------
    root : Path
        The folder that holds `config/`.
    """

    kinds = {"datasets": DatasetConfig, "models": ModelConfig, "protocols": ProtocolConfig}

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self._cache: dict[tuple[str, str], Any] = {}

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of all files of one kind (`datasets`, `models`, ...)."""
        return sorted(p.stem for p in self._folder(kind).glob("*.yaml"))

    def _folder(self, kind: str) -> Path:
        return self.root / "config" / kind

    def _get(self, kind: str, name: str, where: str) -> Any:
        if (kind, name) not in self._cache:
            known = self.names(kind)
            if name not in known:
                own = "; one of your own stands in config/datasets/NAME.yaml" if kind == "datasets" else ""
                raise ConfigError(
                    f"{where + ': ' if where else ''}unknown {kind[:-1]} '{name}'; "
                    f"known: {', '.join(known)}{nearest(name, known)}{own}"
                )
            path = self.root / "config" / kind / f"{name}.yaml"
            origin = f"config/{kind}/{name}.yaml"
            if kind == "datasets":
                entry = read_dataset(path, origin)
            else:
                entry = validate(self.kinds[kind], read_yaml(path), origin)
            if entry.name != name:
                raise self.misnamed(kind, name, entry.name)
            self._cache[kind, name] = entry
        return self._cache[kind, name]

    def digest(self, path: str) -> str:
        """Return size and sha256 of a file of lists, `missing` where there is none."""
        return FileDigests(Paths().file_digests).of(path)

    def misnamed(self, kind: str, file: str, name: str) -> ConfigError:
        """Return the error of a file whose name and `name:` differ, naming the file that has the name."""
        taken = f" (config/{kind}/{name}.yaml has that name)" if name in self.names(kind) else ""
        return ConfigError(
            f"config/{kind}/{file}.yaml: name is '{name}'{taken}, but must be the file's name '{file}'"
        )

    def dataset(self, name: str, where: str = "") -> DatasetConfig:
        """Return the dataset, or the fold of a dataset, called `name`."""
        part = folds.part_of(name)
        if part and name not in self.names("datasets"):
            return folds.as_fold(self._get("datasets", part[0], where), part[1], where)
        return self._get("datasets", name, where)

    def folds_of(self, config: StudyConfig, origin: str) -> dict[str, list[str]]:
        """Return the folds of those of a study's datasets that have any."""
        every = dict.fromkeys(config.datasets, f"{origin}: datasets")
        every |= dict.fromkeys(config.optional_datasets, f"{origin}: optional_datasets")
        found = {
            name: folds.names_of(self.dataset(name, where)) for name, where in every.items()
            if not folds.part_of(name)
        }  # fmt: skip
        return {name: names for name, names in found.items() if names != [name]}

    def model(self, name: str, where: str = "") -> ModelConfig:
        """Return the model called `name`."""
        return self._get("models", name, where)

    def add_lists(self, entry: ListsEntry, where: str) -> None:
        """Let the lists of a study stand for a model under their name.

        Raises
        ------
        ConfigError
            A model has that name, or lists with another title.
        """
        if entry.name in self.names("models"):
            raise ConfigError(
                f"{where}: '{entry.name}' is a model of config/models; give the lists another `name`, such "
                f"as `name: {entry.name}_elsewhere`"
            )
        known = self._cache.setdefault(("models", entry.name), entry.as_model)
        if known != entry.as_model:
            raise ConfigError(
                f"{where}: lists called '{entry.name}' have the title '{known.title}' already; give one of "
                "them another `name`"
            )

    def protocol(self, name: str, where: str = "") -> ProtocolConfig:
        """Return the protocol called `name`."""
        return self._get("protocols", name, where)

    def study_path(self, name_or_path: str) -> Path:
        """Return the file of a study given by name or by path."""
        known = self.names("studies")
        if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
            path = Path(name_or_path).expanduser()
            if not _is_there(path):
                hint = f"; studies of config/studies: {', '.join(known)}{nearest(path.stem, known)}"
                raise ConfigError(f"{path}: file not found{hint}")
            return path
        path = self._folder("studies") / f"{name_or_path}.yaml"
        if name_or_path not in known:
            raise ConfigError(
                f"unknown study '{name_or_path}'; known: {', '.join(known)} "
                f"(or the path of a YAML file){nearest(name_or_path, known)}"
            )
        return path

    def scale(self, choice: Choice) -> Scale:
        """Return the scale that is chosen, with the single values that take the place of its own.

        Raises
        ------
        ConfigError
            There is no such scale, or its file is wrong.
        """
        path = self._scale_path(choice.scale)
        if ("scales", str(path)) not in self._cache:
            self._cache["scales", str(path)] = validate(ScaleConfig, read_yaml(path), str(path))
        config = self._cache["scales", str(path)]
        scale = Scale(name=path.stem, **{name: getattr(config, name) for name in ScaleConfig.model_fields})
        return scale.with_values(choice)

    def _scale_path(self, given: str) -> Path:
        known = self.names("scales")
        if given in known:
            return self._folder("scales") / f"{given}.yaml"
        path = Path(given).expanduser()
        if not given.endswith((".yaml", ".yml")) and "/" not in given:
            raise ConfigError(
                f"unknown scale '{given}'; known: {', '.join(known)} (or the path of a YAML file)"
                f"{nearest(given, known)}"
            )
        if not _is_there(path):
            raise ConfigError(f"{path}: file not found; scales of config/scales: {', '.join(known)}")
        if not re.fullmatch(SAFE_NAME, path.stem):
            raise ConfigError(
                f"{path}: results are kept under its name; rename it to letters, digits, '.', '_' and '-'"
            )
        return path

    @functools.cached_property
    def statements(self) -> list[Statement]:
        """Return what papers say of models, each statement checked against models, datasets and protocols."""
        protocols = [self.protocol(name) for name in self.names("protocols")]
        measures = {p.name: (p.metrics, p.k) for p in protocols}
        return read_statements(self.root, Known(self.names("models"), self.names("datasets"), measures))

    @functools.cached_property
    def published(self) -> dict[str, Any]:
        """What is known of each published table: the mapping of its names to ours."""
        return read_yaml(self.root / PUBLISHED)

    @functools.cached_property
    def printed(self) -> set[tuple[str, str | None, str]]:
        """(paper, table, dataset) of all published rows; no table where a paper describes its datasets."""
        found = set()
        for file in ("results.csv", "datasets.csv"):
            path = self.root / PUBLISHED.parent / file
            with open_regular(path) as raw, io.TextIOWrapper(raw, "utf-8") as stream:
                found |= {(r["paper"], r.get("table"), r["dataset"]) for r in csv.DictReader(stream)}
        return found

    def study(self, name_or_path: str, present: Collection[str] = (), choice: Choice | None = None) -> Study:
        """Load a study with everything it refers to checked.

        Of its optional datasets those in `present` take part. `choice` says at which scale and, where the
        study has any of them, on which datasets, with which models and groups; without it nothing is capped.
        """
        path = self.study_path(name_or_path)
        config = validate(StudyConfig, read_yaml(path), str(path))
        parts = self.folds_of(config, str(path))
        config = folds.unfold(config, parts, str(path))
        for name in config.optional_datasets:
            self.dataset(name, f"{path}: optional_datasets")
            if name in config.datasets:
                raise ConfigError(
                    f"{path}: optional_datasets: '{name}' is among `datasets` already; remove one"
                )
        for name in config.seeds if isinstance(config.seeds, dict) else ():
            if name != DEFAULT:
                self.dataset(name, f"{path}: seeds")
        _check_statements(self, config, str(path))
        _check_printed(self, config, [*parts, *config.datasets, *config.optional_datasets], str(path))
        taken = [*config.datasets, *(name for name in config.optional_datasets if name in present)]
        whole = config.model_copy(update={"datasets": [*config.datasets, *config.optional_datasets]})
        asked = choice or Choice()
        wanted = folds.unfolded(asked.datasets or (), parts)
        kept = [name for name in taken if name in wanted] or taken
        part, by = _narrow_to(whole, asked, kept, taken)
        study = Study(self, part, str(path), config, self.scale(choice) if choice else Scale())
        if by:
            study.left_out = find_left_out(narrow(whole, taken), part, by, self._title_of)
        return study

    def _title_of(self, kind: str, name: str) -> str:
        return self.dataset(name).title if kind == "dataset" else self._model_title(name)

    def _model_title(self, name: str) -> str:
        """Return the title of a model; lists from elsewhere that take no part have only their name."""
        known = ("models", name) in self._cache or name in self.names("models")
        return self.model(name).title if known else name


def _narrow_to(
    whole: StudyConfig, asked: Choice, kept: list[str], taken: list[str]
) -> tuple[StudyConfig, str]:
    """Return the part of a study that a user asks for, and by which words; "" where it is all of it."""
    models = {name for entry in whole.models for name in entry.models}.intersection(asked.models or ())
    groups = {entry.group for entry in whole.models}.intersection(asked.groups or ())
    used = {"datasets": kept != taken, "models": bool(models), "groups": bool(groups)}
    by = words_of(asked, [key for key, does in used.items() if does])
    return narrow(whole, kept, models, groups), by


def _check_statements(catalog: Catalog, study: StudyConfig, where: str) -> None:
    """Refuse a claim of kind `listed` about statements that are wrong, or about papers that say nothing."""
    for index, claim in enumerate(study.claims):
        if claim.kind == "listed":
            papers = sorted({one.paper for one in catalog.statements})
            said = f"{where}: claims[{index}].papers: nothing of '{{name}}'; {STATEMENTS} has {{known}}"
            check_known(claim.papers, papers, said)


def _check_printed(catalog: Catalog, study: StudyConfig, datasets: Collection[str], where: str) -> None:
    """Refuse a table or claim next to a published table or dataset that is not known."""
    items = [(kind, *one) for kind in ("tables", "claims") for one in enumerate(getattr(study, kind))]
    items = [(f"{where}: {kind}[{i}]", one) for kind, i, one in items if one.published or one.printed]
    known = catalog.published if items else {}
    for place, item in items:
        if not item.published:
            raise ConfigError(f"{place}.printed: nothing is printed without `published`; name a table there")
        said = f"{place}.published: {PUBLISHED} has no '{{name}}'; it has {{known}}"
        check_known([item.published], known, said)
        said = f"{place}.printed: '{{name}}' is not among the study's datasets: {{known}}"
        check_known(item.printed, datasets, said)
        printed = _published_datasets(catalog, item.published) if item.printed else []
        said = f"{place}.printed: {item.published} prints nothing for a dataset '{{name}}'; it has {{known}}"
        check_known(item.printed.values(), printed, said)


def _published_datasets(catalog: Catalog, published: str) -> list[str]:
    """Return the datasets that a published table, or its paper's table of datasets, names."""
    paper, _, name = published.partition("/")
    return sorted({one for of, table, one in catalog.printed if of == paper and table in (None, name)})
