"""Typed configuration: settings, studies, and the catalog of everything in `config/`.

Schemas of datasets, studies, models and runs are in `dataset_schema`, `study_schema` and
`run_schema`. All of it needs only pydantic and PyYAML, so that the Snakefile can validate a whole
study in a fraction of a second without importing NumPy, SciPy or PyTorch. An unknown key, a wrong
type or a value out of bounds raises `ConfigError`, whose message names the file, the path of the
key, what is allowed and the nearest match.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from recspectra.config import folds
from recspectra.config.base import SAFE_NAME, ConfigError, Scalar, check_known, nearest
from recspectra.config.dataset import DatasetConfig, read_dataset
from recspectra.config.lists import ListFile, ListsEntry, found_at, places_of
from recspectra.config.metric_names import declared
from recspectra.config.model import (
    BY_RECALL,
    LISTS,
    Budget,
    ModelConfig,
    PlannedRun,
    RunConfig,
    TuneConfig,
)
from recspectra.config.scale import NUMBERS, Choice, Scale, ScaleConfig
from recspectra.config.statements import STATEMENTS, Known, Statement, read_statements
from recspectra.config.study import (
    DEFAULT,
    DRAWN,
    OF_SETTINGS,
    WITH_USERS,
    ClaimConfig,
    FigureConfig,
    ModelEntry,
    ProtocolConfig,
    StudyConfig,
    View,
    groups_of,
    narrow,
)
from recspectra.config.yaml_io import read_yaml, validate
from recspectra.files import open_regular
from recspectra.identity import FileDigests
from recspectra.paths import Paths

# ---------------------------------------------------------------------------- settings


class Settings(Choice):
    """`config/config.yaml`: what to build by default, on what, and how much to spend."""

    study: str = "quickstart"
    mirror: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    fits_per_gpu: int = Field(1, ge=1, le=64)
    budget: Budget = Budget()
    keep: bool = False

    @field_validator("keep", mode="before")
    @classmethod
    def _read_yes_or_no(cls, value: Any) -> Any:
        """Read `keep=1`, which arrives as a number or as text."""
        words = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
        return value if isinstance(value, bool) else words.get(str(value).lower(), value)


MOST_RUNS = 10_000  # of one entry of a study
PUBLISHED = Path("config") / "published" / "mapping.yaml"

# Values of `--config` that are texts of the user's: they must reach spawned jobs as they are.
TEXTS = ("study", "mirror", "scale", "datasets", "models", "groups")
_WORD = re.compile(rf"({'|'.join(TEXTS)})=(.*)", re.DOTALL)


def check_texts(overrides: Mapping[str, Any], argv: Sequence[str]) -> None:
    """Refuse a text on the command line that Snakemake or a shell would change on its way to a job.

    Snakemake reads `007` as a number, `a: b` as a mapping and drops what follows ` #`; to jobs that it
    spawns it hands the words on as Python writes them, through a shell.

    Raises
    ------
    ConfigError
        A text is of that kind; the message names key and value.
    """
    written = dict(match.groups() for word in argv[1:] if (match := _WORD.fullmatch(word)))
    for key in TEXTS:
        value = overrides.get(key)
        if isinstance(value, str):
            if bad := harmful(value):
                raise ConfigError(f"--config {key}: {value!r} holds {bad}; rename the file or folder")
        elif isinstance(value, list):  # as YAML writes it; the schema checks its names
            continue
        if value is not None and written.get(key, value) != value:
            raise ConfigError(
                f"--config {key}: {written[key]!r} would be read as {value!r}; {_instead(key, written[key])}"
            )


def _instead(key: str, text: str) -> str:
    """Return what to do about a text that is read as something else."""
    if key in ("datasets", "models", "groups"):
        return f"write {key}='[{text}]'"
    return "rename the file or folder" if "/" in text else f"write {key}='./{text}' if a path is meant"


def harmful(text: str) -> str:
    """Return which character in a text does not survive Python's quotes and a shell, or an empty text."""
    kinds = {
        "a control character": r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]",
        "a backslash": r"\\",
        "a backtick": "`",
        "$(": r"\$[({]",
        "both kinds of quotes": "'.*\"|\".*'",
        "a quote and a $": "'.*\\$|\\$.*'",
        "a - at the start": "^-",
    }
    return next((name for name, pattern in kinds.items() if re.search(pattern, text, re.DOTALL)), "")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # no file system takes such a name
        return False


# ----------------------------------------------------------------------------- catalog


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
                raise ConfigError(
                    f"{where + ': ' if where else ''}unknown {kind[:-1]} '{name}'; "
                    f"known: {', '.join(known)}{nearest(name, known)}{self._other_ending(kind, name)}"
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

    def _other_ending(self, kind: str, name: str) -> str:
        """Return what to do where a file is there but does not end in .yaml, or an empty text."""
        there = {path.stem for path in self._folder(kind).glob("*.yml")}
        return f"; rename config/{kind}/{name}.yml to {name}.yaml" if name in there else ""

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
        """Return the system called `name`."""
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
                f"{self._other_ending('studies', name_or_path)}"
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
        config = validate(ScaleConfig, read_yaml(path), str(path))
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

    def statements(self) -> list[Statement]:
        """Return what papers say of models, each statement checked against models, datasets and protocols."""
        protocols = [self.protocol(name) for name in self.names("protocols")]
        measures = {p.name: (p.metrics, p.k) for p in protocols}
        return read_statements(self.root, Known(self.names("models"), self.names("datasets"), measures))

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
        models = {name for entry in config.models for name in entry.models}
        wanted = folds.unfolded(asked.datasets or (), parts)
        kept = [name for name in taken if name in wanted] or taken
        groups = {entry.group for entry in config.models}.intersection(asked.groups or ())
        part = narrow(whole, kept, models.intersection(asked.models or ()), groups)
        return Study(self, part, str(path), config, self.scale(choice) if choice else Scale())


def _check_statements(catalog: Catalog, study: StudyConfig, where: str) -> None:
    """Refuse a claim of kind `listed` about statements that are wrong, or about papers that say nothing."""
    for index, claim in enumerate(study.claims):
        if claim.kind == "listed":
            papers = sorted({one.paper for one in catalog.statements()})
            said = f"{where}: claims[{index}].papers: nothing of '{{name}}'; {STATEMENTS} has {{known}}"
            check_known(claim.papers, papers, said)


def _check_printed(catalog: Catalog, study: StudyConfig, datasets: Collection[str], where: str) -> None:
    """Refuse a table or claim next to a published table or dataset that is not known."""
    items = [(kind, *one) for kind in ("tables", "claims") for one in enumerate(getattr(study, kind))]
    items = [(f"{where}: {kind}[{i}]", one) for kind, i, one in items if one.published or one.printed]
    known = read_yaml(catalog.root / PUBLISHED) if items else {}
    for place, item in items:
        if not item.published:
            raise ConfigError(f"{place}.printed: nothing is printed without `published`; name a table there")
        said = f"{place}.published: {PUBLISHED} has no '{{name}}'; it has {{known}}"
        check_known([item.published], known, said)
        said = f"{place}.printed: '{{name}}' is not among the study's datasets: {{known}}"
        check_known(item.printed, datasets, said)
        printed = _published_datasets(catalog.root, item.published) if item.printed else []
        said = f"{place}.printed: {item.published} prints nothing for a dataset '{{name}}'; it has {{known}}"
        check_known(item.printed.values(), printed, said)


def _published_datasets(root: Path, table: str) -> list[str]:
    """Return the datasets that a published table, or its paper's table of datasets, names."""
    paper, _, name = table.partition("/")
    found: set[str] = set()
    for file in ("results.csv", "datasets.csv"):
        with open_regular(root / PUBLISHED.parent / file) as raw, io.TextIOWrapper(raw, "utf-8") as stream:
            rows = csv.DictReader(stream)
            found |= {r["dataset"] for r in rows if r["paper"] == paper and r.get("table", name) == name}
    return sorted(found)


def _check_used(entry: ModelEntry, kinds: Collection[str], where: str) -> None:
    """Refuse `validate_by` where nothing is searched and nothing stops by it."""
    if entry.validate_by != BY_RECALL and not entry.tune and "trained" not in kinds:
        raise ConfigError(
            f"{where}.validate_by: of {', '.join(entry.models)} nothing is searched or trained; leave it "
            "out, or add `tune: true`"
        )


def _check_refit(entry: ModelEntry, model: ModelConfig, where: str) -> None:
    """Refuse a refit of a trained model for which the number of epochs is not known."""
    if model.kind != "trained":
        return
    if "train" not in entry.fit:
        raise ConfigError(
            f"{where}.fit: a trained model is fitted again for as many epochs as did best on "
            "validation; write `fit: [train, train+valid]`, so that these are known"
        )
    if "train+valid" in entry.fit and "epochs" not in model.params:
        raise ConfigError(
            f"{where}.fit: a refit of a trained model learns for as many epochs as did best on "
            f"validation, but config/models/{model.name}.yaml has no parameter `epochs`; call it that, "
            "or leave `train+valid` out"
        )


class Study:
    """A study with its references resolved: runs, protocols, views.

    `whole` is the study as its file has it: what names a model is checked against all of them, also where
    only some take part. `scale` caps what is spent.
    """

    def __init__(
        self, catalog: Catalog, config: StudyConfig, origin: str, whole: StudyConfig, scale: Scale
    ) -> None:
        self.catalog, self.config, self.origin, self.scale = catalog, config, origin, scale
        self.name = config.name
        for name in config.datasets:
            catalog.dataset(name, f"{origin}: datasets")
        self.protocols = [catalog.protocol(p, f"{origin}: protocols") for p in config.protocols]
        self._check_models_of_drawings(whole)
        self.list_files: list[ListFile] = []
        self.runs = [
            planned
            for index, entry in enumerate(config.models)
            for name in entry.models
            for planned in self._expand(entry, name, f"{origin}: models[{index}]")
        ]
        self._check_labels()
        self._check_drawings()
        self._check_depth()
        self._check_not_empty(whole)

    def _expand(self, entry: ModelEntry | ListsEntry, name: str, where: str) -> list[PlannedRun]:
        if isinstance(entry, ListsEntry):
            self.catalog.add_lists(entry, where)
            self._check_datasets(entry, where)
            datasets = entry.datasets or self.config.datasets
            return [run for dataset in datasets for run in self._imports_on(dataset, entry, where)]
        model = self.catalog.model(name, where)
        self._check_datasets(entry, where)
        _check_refit(entry, model, where)
        _check_used(entry, {self.catalog.model(one, where).kind for one in entry.models}, where)
        datasets = entry.datasets or self.config.datasets
        self._check_count(entry, datasets, where)
        return [run for dataset in datasets for run in self._runs_on(dataset, entry, model, where)]

    def _runs_on(
        self, dataset: str, entry: ModelEntry, model: ModelConfig, where: str
    ) -> Iterator[PlannedRun]:
        """Yield the runs of an entry on a dataset: points of its sweep, then fits, then seeds."""
        base = {**(model.best.get(dataset, {}) if entry.use_best else {}), **entry.params}
        tune = self._tuning(entry, model, where)
        validate_by = entry.validate_by if model.kind == "trained" else BY_RECALL  # others do not stop
        seeds = (entry.seeds or self.config.seeds_on(dataset))[: self.scale.seeds]
        for point in itertools.product(*entry.sweep.values()):
            swept = dict(zip(entry.sweep, point, strict=True))
            params = model.resolve({**base, **entry.after, **swept}, f"{where}.sweep" if swept else where)
            if tune:
                params = {name: params[name] for name in (*entry.after, *swept)}
            for fit, seed in itertools.product(entry.fit, seeds):
                run = RunConfig(
                    model=model.name, class_name=model.class_name, params=params, fit=fit,
                    top=self.config.top, tune=tune, validate_by=validate_by,
                )  # fmt: skip
                yield PlannedRun(
                    dataset=dataset, run=run, variant=variant_label(entry.variant, swept), group=entry.group,
                    seed=seed, swept=swept, keep=entry.keep,
                )  # fmt: skip

    def _imports_on(self, dataset: str, entry: ListsEntry, where: str) -> Iterator[PlannedRun]:
        """Yield the runs that lists from elsewhere stand for on a dataset, one for each seed.

        The content of all their files is part of the key.
        """
        known = self.config.seeds_on(dataset)
        seeds = entry.seeds or (known if entry.by_seed else known[:1])
        paths = {seed: places_of(entry.path(dataset, seed), Path(self.origin).parent) for seed in seeds}
        files = {seed: self.catalog.digest(found_at(places)) for seed, places in paths.items()}
        run = RunConfig(
            model=entry.name, class_name=LISTS, params=entry.settings(list(files.values())), fit=entry.fit,
            top=self.config.top,
        )  # fmt: skip
        for seed in seeds[: self.scale.seeds]:
            place = paths[seed]
            self.list_files.append(
                ListFile(dataset, entry.name, run.key, seed, found_at(place), place, files[seed], where)
            )
            yield PlannedRun(dataset=dataset, run=run, variant=entry.variant, group=entry.group, seed=seed)

    def _check_datasets(self, item: Any, where: str) -> None:
        """Refuse a dataset that the study does not have."""
        said = f"{where}.datasets: '{{name}}' is not among the study's datasets: {{known}}"
        check_known(item.datasets or [], self.config.datasets, said)

    def _check_count(self, entry: ModelEntry, datasets: Sequence[str], where: str) -> None:
        """Refuse a sweep whose runs nobody can wait for, before any of them is made."""
        seeds = max(
            (len((entry.seeds or self.config.seeds_on(dataset))[: self.scale.seeds]) for dataset in datasets),
            default=0,
        )
        count = math.prod(map(len, entry.sweep.values())) * len(entry.fit) * len(datasets) * seeds
        if count > MOST_RUNS:
            raise ConfigError(
                f"{where}: asks for {count:,} runs (points of the sweep, datasets, fits, seeds); at most "
                f"{MOST_RUNS:,} are possible: sweep over fewer values or share them out to several entries"
            )

    def _tuning(self, entry: ModelEntry, model: ModelConfig, where: str) -> TuneConfig | None:
        """Return the tuning job of an entry; None if it is not tuned or has nothing to search."""
        if not entry.tune:
            return None
        if entry.use_best:
            raise ConfigError(f"{where}: `tune` and `use_best` exclude each other")
        if self.config.tuning is None:
            raise ConfigError(f"{where}: `tune` needs the study's budget; add `tuning: {{trials: 20}}`")
        fixed = model.resolve(entry.params, where)
        search = {
            name: [model.resolve({name: v})[name] for v in space] if isinstance(space, list) else space
            for name, space in model.search.items()
            if name not in entry.params
        }
        if not search:
            return None
        tune = TuneConfig(
            model=model.name,
            class_name=model.class_name,
            params={name: fixed[name] for name in sorted(entry.params)},
            search=search,
            trials=self.scale.count_trials(self.config.tuning.trials),
            seed=self.config.tuning.seed,
            validate_by=entry.validate_by,
            users=self.config.tuning.users,
        )
        return tune.model_copy(update={"epochs": self.scale.caps_of(model, tune).epochs})

    def _check_labels(self) -> None:
        """One label must not stand for two configurations, nor two entries for one run."""
        seen: dict[tuple, str] = {}
        for r in self.runs:
            label = (r.dataset, r.run.model, r.variant, r.group, r.run.fit, r.seed)
            if seen.get(label) == r.run.key:
                raise ConfigError(
                    f"{self.origin}: models: '{r.run.model}' stands twice with the variant '{r.variant}' in "
                    f"group '{r.group}' on {r.dataset}, with the same configuration; remove one"
                )
            if seen.setdefault(label, r.run.key) != r.run.key:
                raise ConfigError(
                    f"{self.origin}: two different configurations of '{r.run.model}' share the "
                    f"variant '{r.variant}' in group '{r.group}'; give one another `variant`"
                )

    def _check_drawings(self) -> None:
        groups = sorted({entry.group for entry in self.config.models})
        for kind in DRAWN:
            for index, item in enumerate(getattr(self.config, kind)):
                where = f"{self.origin}: {kind}[{index}]"
                for place, name, metrics, k in _measured(kind, item):
                    protocol = self._protocol(name, f"{where}.{place}")
                    self._check_measured(protocol, metrics, k, where)
                    self._check_views(protocol, item, where)
                    self._check_users(protocol, getattr(item, "users", None) or [], f"{where}.users")
                said = f"{where}: no model is in group '{{name}}'; groups: {{known}}"
                check_known(groups_of(item), groups, said)
                self._check_datasets(item, where)
                if kind == "claims" and item.kind in OF_SETTINGS:
                    self._check_settings(item, where)

    def _check_settings(self, claim: ClaimConfig, where: str) -> None:
        """Refuse a claim about settings that no run is of, or that no other can be set against."""
        known = self.catalog.model(claim.model).params
        said = f"{where}.settings: {claim.model} has no parameter '{{name}}'; it has {{known}}"
        check_known(claim.settings, known, said)
        for dataset in claim.datasets or self.config.datasets:
            runs = [r for r in self.runs if (r.dataset, r.run.model) == (dataset, claim.model)]
            runs = [r for r in runs if r.group in claim.groups and r.run.fit == claim.fit]
            self._check_points(claim, [{**r.run.params, **r.swept} for r in runs], where, dataset)

    def _check_points(
        self, claim: ClaimConfig, points: Sequence[Mapping[str, Scalar]], where: str, dataset: str
    ) -> None:
        """Refuse what a claim of settings cannot be judged by: the values of all runs of its groups."""
        if not points:
            return  # they are on another dataset; without any run there is nothing to be wrong about
        what = f"{claim.model} in {', '.join(claim.groups)} on {dataset}"
        for name in claim.settings:
            if any(name not in point for point in points):
                raise ConfigError(
                    f"{where}.settings: tuning chooses '{name}' of {what}; give its values under `sweep`"
                )
        named = [point for point in points if claim.names_setting(point)]
        if not named:
            there = "; ".join(f"{n}: {', '.join(_values_of(points, n))}" for n in claim.settings)
            raise ConfigError(
                f"{where}.settings: no run of {what} is of that setting ({there}); write one of these, or "
                "add it to the entry's `sweep`"
            )
        if len(named) == len(points) and (claim.kind == "optimum" or len(points) == 1):
            raise ConfigError(
                f"{where}.settings: there is no other setting of {what} to set it against; add values to the "
                "entry's `sweep`"
            )

    def _check_models_of_drawings(self, whole: StudyConfig) -> None:
        """Refuse a figure, claim or runtime table about a model that no entry of the study's file is."""
        known = list(dict.fromkeys(name for entry in whole.models for name in entry.models))
        for kind in DRAWN:
            for index, item in enumerate(getattr(whole, kind)):
                for key, models in _named_models(kind, item).items():
                    said = (
                        f"{self.origin}: {kind}[{index}].{key}: no model of the study is '{{name}}'; it has "
                    )
                    check_known(models, known, f"{said}{{known}}")
                if kind == "figures" and item.kind == "ablation" and item.reference is not None:
                    self._check_reference(item, whole, f"{self.origin}: figures[{index}].reference")

    def _check_not_empty(self, whole: StudyConfig) -> None:
        """Refuse a claim or figure that no entry of the study's file has runs for."""
        for index, claim in enumerate(whole.claims):
            if claim.kind in (*OF_SETTINGS, "ablation"):
                self._check_has_runs(claim, whole, f"{self.origin}: claims[{index}].groups")
        for index, figure in enumerate(whole.figures):
            if figure.kind in ("sensitivity", "heatmap"):
                self._check_swept(figure, whole, f"{self.origin}: figures[{index}]")

    def _check_has_runs(self, claim: ClaimConfig, whole: StudyConfig, where: str) -> None:
        """Refuse a claim that compares runs of a model in groups where it has none."""
        groups = {entry.group for entry in whole.models if claim.model in entry.models}
        if not groups.intersection(claim.groups):
            raise ConfigError(
                f"{where}: {claim.model} has no run in {', '.join(claim.groups)}; its groups: "
                f"{', '.join(sorted(groups))}"
            )

    def _check_swept(self, figure: FigureConfig, whole: StudyConfig, where: str) -> None:
        """Refuse a figure along a parameter that no entry of its group sweeps."""
        entries = [entry for entry in whole.models if figure.group in (None, entry.group)]
        known = sorted({name for entry in entries for name in getattr(entry, "sweep", {})})
        for key in ("param", "other_param"):
            said = f"{where}.{key}: no entry of its group sweeps '{{name}}'; swept: {{known}}"
            check_known(filter(None, [getattr(figure, key)]), known, said)

    def _check_reference(self, item: FigureConfig, whole: StudyConfig, where: str) -> None:
        """Refuse an ablation that is set against a variant which no entry of its group has."""
        entries = [entry for entry in whole.models if item.group in (None, entry.group)]
        known = sorted({entry.variant for entry in entries})
        # The points of a sweep are variants too, with names that are made later.
        if not any(getattr(entry, "sweep", {}) for entry in entries):
            said = f"{where}: no run is of the variant '{{name}}'; there are {{known}}"
            check_known([str(item.reference)], known, said)

    def _protocol(self, name: str, where: str) -> ProtocolConfig:
        known = {p.name: p for p in self.protocols}
        check_known([name], known, f"{where}: '{{name}}' is not among the study's protocols: {{known}}")
        return known[name]

    def _check_measured(self, protocol: ProtocolConfig, metrics: list[str], k: list[int], where: str) -> None:
        """Refuse a metric or cut-off that is not measured: its cells would stay empty."""
        file = f"config/protocols/{protocol.name}.yaml"
        here = f"is not measured by protocol '{protocol.name}'"
        for name in metrics:
            if name in declared() and name not in protocol.metrics:
                known = ", ".join(protocol.metrics)
                raise ConfigError(f"{where}: metric '{name}' {here}: {known}; add it in {file}: `metrics`")
        check_known(metrics, protocol.metrics, f"{where}: metric '{{name}}' {here}: {{known}}")
        for one in set(k) - set(protocol.k):
            raise ConfigError(
                f"{where}.k: {one} {here} ({', '.join(map(str, protocol.k))}); write one of these, or add it "
                f"in {file}: `k: {sorted({*protocol.k, one})}`"
            )

    def _check_views(self, protocol: ProtocolConfig, item: Any, where: str) -> None:
        """Refuse a view that is not measured."""
        known = self.views(protocol)
        single = getattr(item, "view", None)
        for view in [*(getattr(item, "views", None) or []), *([single] if single else [])]:
            if view not in known:
                listed = "; ".join(_view_text(v) for v in known)
                raise ConfigError(
                    f"{where}: {_view_text(view)} is not measured under protocol '{protocol.name}' "
                    f"({listed}); write one of these, or add it to the study's `views`"
                )

    def _check_users(self, protocol: ProtocolConfig, users: list[str], where: str) -> None:
        """Refuse a group of users that is not measured."""
        measured = [protocol.users, "warm", *protocol.group_names]
        for group in users:
            if group not in measured:
                raise ConfigError(
                    f"{where}: '{group}' is not measured under protocol '{protocol.name}'; add it in "
                    f"config/protocols/{protocol.name}.yaml: `groups: [{group.split('-')[0]}]`"
                )

    def _check_depth(self) -> None:
        for p in self.protocols:
            if p.depth > self.config.top:
                why = f"k={max(p.k)}" + (" with equal scores sharing places" if p.ties == "half" else "")
                raise ConfigError(
                    f"{self.origin}: protocol '{p.name}' measures at {why} and needs {p.depth} items, but "
                    f"only top: {self.config.top} are kept; raise `top`"
                )

    def examples(
        self, figure: FigureConfig, model: str, label: Callable[[PlannedRun], str]
    ) -> list[PlannedRun]:
        """Return one run on train for each dataset and label, of what a figure shows.

        Parameters
        ----------
        figure : FigureConfig
            Names a group, datasets and a model, or some of these.
        model : str
            The model, where the figure names none.
        label : callable
            Planned run -> what tells examples apart.
        """
        found: dict[tuple[str, str], PlannedRun] = {}
        for planned in self.runs:
            in_group = figure.group in (None, planned.group) and planned.run.fit == "train"
            in_data = figure.datasets is None or planned.dataset in figure.datasets
            if planned.run.model == (figure.model or model) and in_group and in_data:
                found.setdefault((planned.dataset, label(planned)), planned)
        return list(found.values())

    def views(self, protocol: ProtocolConfig) -> list[View]:
        """Return the views measured under a protocol (the study may widen them)."""
        return protocol.views if protocol.target == "valid" else self.config.views or protocol.views


def _values_of(points: Sequence[Mapping[str, Scalar]], name: str) -> list[str]:
    return list(dict.fromkeys(str(point[name]) for point in points))


def _measured(kind: str, item: Any) -> list[tuple[str, str, list[str], list[int]]]:
    """Return (key of the protocol, protocol, metrics, cut-offs) of what an item shows."""
    if kind == "claims":
        keys = ("protocol", "rival_protocol")
        if item.kind == "listed":
            return [("protocol", item.protocol, [], [])]
        return [(key, p, [metric], [item.k]) for key, (p, metric) in zip(keys, item.measured, strict=False)]
    if kind == "tables":
        return [("protocol", item.protocol, item.metrics, item.k)] if item.metrics else []
    drawn = item.kind in WITH_USERS or item.kind == "trade-off"
    return [("protocol", item.protocol, [item.metric], [item.k])] if drawn else []


def _view_text(view: View) -> str:
    return f"history {view.history}, mask {view.mask}"


def _named_models(kind: str, item: Any) -> dict[str, list[str]]:
    """Return the models that a table, figure or claim names, by the key that names them."""
    if kind == "claims":
        return {"model": [item.model] if item.model else [], "rivals": item.rivals}
    if kind == "figures":
        return {"model": [item.model] if item.model else []}
    return {"reference": [item.reference] if item.reference else [], "epochs": list(item.epochs)}


def variant_label(variant: str, swept: dict[str, Scalar]) -> str:
    """Return the human name of a run: `c=0.2,w=0.1`, or `base[c=0.2]`."""
    if not swept:
        return variant
    point = ",".join(f"{name}={value}" for name, value in swept.items())
    return point if variant == "default" else f"{variant}[{point}]"


def load_settings(root: Path | str, overrides: dict[str, Any]) -> Settings:
    """Return `config/config.yaml` with command-line values (`--config k=v`) on top."""
    path = Path(root) / "config" / "config.yaml"
    # `scale=` says nothing: the file decides. make hands numbers on as texts.
    given = {
        k: _typed(v) if isinstance(v, dict) or k in NUMBERS else v
        for k, v in overrides.items()
        if v is not None
    }
    return validate(Settings, {**read_yaml(path), **given}, "config/config.yaml (and --config)")


def _typed(value: Any) -> Any:
    """Give numbers back their type: Snakemake reads `budget={minutes: 5}` as text."""
    if isinstance(value, dict):
        return {k: _typed(v) for k, v in value.items()}
    for number in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return number(value)
    return value
