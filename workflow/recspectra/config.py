"""Typed configuration: datasets, systems, protocols, studies, settings.

Everything here needs only pydantic and PyYAML, so that the Snakefile can
validate a whole study in a fraction of a second without importing NumPy,
SciPy or PyTorch. An unknown key, a wrong type or a value out of bounds raises
`ConfigError`, whose message names the file, the path of the key, what is
allowed and the nearest match.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import re
import string
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_serializer, model_validator

from recspectra.dataset_schema import DatasetConfig
from recspectra.schema import SAFE_NAME, ConfigError, Part, Scalar, Strict, nearest

METRICS = (
    "recall",
    "recall_min",
    "precision",
    "hr",
    "ndcg",
    "ndcg_hit",
    "ndcg_set",
    "mrr",
    "mrr_set",
)

# ---------------------------------------------------------------------------- systems


class ParamSpec(Strict):
    """Name, type, bounds and default of one hyperparameter."""

    type: Literal["int", "float", "bool", "choice"]
    default: Scalar
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    choices: list[str] | None = None
    help: str = ""

    def check(self, value: Any) -> str | None:
        """Return what is wrong with `value`, or None when it is fine."""
        if self.type == "choice":
            if value not in (self.choices or []):
                return f"{value!r} is not one of {self.choices}{nearest(value, self.choices or [])}"
            return None
        wanted = {"int": int, "float": (int, float), "bool": bool}[self.type]
        if not isinstance(value, wanted) or (self.type != "bool" and isinstance(value, bool)):
            return f"{value!r} is not of type {self.type}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{value!r} is not a finite number"
        for bound, holds, sign in (
            (self.ge, lambda b: value >= b, ">="),
            (self.gt, lambda b: value > b, ">"),
            (self.le, lambda b: value <= b, "<="),
            (self.lt, lambda b: value < b, "<"),
        ):
            if bound is not None and not holds(bound):
                return f"{value!r} is out of bounds: must be {sign} {bound:g}"
        return None


class SearchRange(Strict):
    """Values between two ends, to be drawn uniformly or, with `log`, uniformly in the logarithm."""

    low: float
    high: float
    log: bool = False

    @model_validator(mode="after")
    def _ends_are_in_order(self) -> SearchRange:
        if not self.low < self.high:
            raise ValueError(f"low {self.low:g} must be below high {self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a positive low, not {self.low:g}")
        return self


class SpectrumNeed(Strict):
    """A spectrum that a system asks for; `{param}` is filled from its parameters."""

    operator: str
    rank: str


class Paper(Strict):
    """The paper that a system or protocol comes from."""

    title: str
    venue: str
    citation: str


class ModelConfig(Strict):
    """One system: `config/models/<name>.yaml`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    class_name: str
    title: str
    paper: Paper
    kind: Literal["closed-form", "trained"]
    order: bool = False
    cost: Literal["light", "medium", "heavy"] = "light"
    spectra: list[SpectrumNeed] = []
    params: dict[str, ParamSpec] = {}
    search: dict[str, Annotated[list[Scalar], Field(min_length=1)] | SearchRange] = {}
    best: dict[str, dict[str, Scalar]] = {}
    notes: list[str] = []

    @model_validator(mode="after")
    def _defaults_are_valid(self) -> ModelConfig:
        for name, spec in self.params.items():
            if problem := spec.check(spec.default):
                raise ValueError(f"params.{name}.default: {problem}")
        searched = [{name: v} for name, space in self.search.items() for v in self.choices(name, space)]
        for block in [*self.best.values(), *searched]:
            self.resolve(block)
        ranges = [name for name, space in self.search.items() if not isinstance(space, list)]
        for name in ranges:
            if any(f"{{{name}}}" in need.operator for need in self.spectra):
                raise ValueError(f"search.{name}: an operator is named after it; give a list of values")
        return self

    def choices(self, name: str, space: list[Scalar] | SearchRange) -> list[Scalar]:
        """Return the values of a search space; of a range both ends."""
        if isinstance(space, list):
            return space
        whole = name in self.params and self.params[name].type == "int"
        return [int(v) if whole else v for v in (space.low, space.high)]

    def resolve(self, overrides: dict[str, Any], where: str = "") -> dict[str, Scalar]:
        """Return all parameters, defaults filled in; raise `ConfigError` on a bad one."""
        values = {name: spec.default for name, spec in self.params.items()}
        prefix = where or f"system '{self.name}'"
        for name, value in overrides.items():
            if name not in self.params:
                raise ConfigError(
                    f"{prefix}: unknown parameter '{name}' of system '{self.name}'; "
                    f"allowed: {', '.join(sorted(self.params)) or 'none'}{nearest(name, self.params)}"
                )
            if problem := self.params[name].check(value):
                raise ConfigError(f"{prefix}: parameter '{name}' of system '{self.name}': {problem}")
            values[name] = float(value) if self.params[name].type == "float" else value
        return {k: float(v) if self.params[k].type == "float" else v for k, v in values.items()}


class TuningConfig(Strict):
    """The budget that every tuned system of a study gets, and the seed of the search."""

    trials: int = Field(ge=1, le=10_000)
    seed: int = Field(0, ge=0)


class TuneConfig(Strict):
    """One tuning job. Its `key` names the folder that holds its trials.

    Attributes
    ----------
    params : dict
        Values that are fixed, not searched.
    search : dict
        What is searched: the system's space without what is fixed.
    """

    model: str
    params: dict[str, Scalar]
    search: dict[str, list[Scalar] | SearchRange]
    trials: int
    seed: int

    @property
    def key(self) -> str:
        """First 10 hex digits of the hash of the sorted configuration."""
        return key_of(self)


class RunConfig(Strict):
    """A resolved run. Its `key` names the folder that holds the results.

    With `tune`, `params` are only what is set on top of the values that the tuning job
    chooses; all others are known when the run starts.
    """

    model: str
    params: dict[str, Scalar]
    fit: Part = "train"
    top: int = Field(50, ge=1)
    tune: TuneConfig | None = None

    @model_serializer(mode="wrap")
    def _leave_out_what_is_not_there(self, handler: Any) -> dict[str, Any]:
        fields = handler(self)
        return {k: v for k, v in fields.items() if not (k == "tune" and v is None)}

    @property
    def key(self) -> str:
        """First 10 hex digits of the hash of the sorted configuration (no labels)."""
        return key_of(self)


def key_of(config: Strict) -> str:
    """Return the first 10 hex digits of the hash of a sorted configuration."""
    return hashlib.sha256(canonical_json(config.model_dump()).encode()).hexdigest()[:10]


# -------------------------------------------------------------------------- protocols


class View(Strict):
    """What a system is shown at test (`history`) and what may not be recommended (`mask`)."""

    history: Part
    mask: Part

    @model_validator(mode="after")
    def _history_is_masked(self) -> View:
        if self.history == "train+valid" and self.mask == "train":
            raise ValueError("history train+valid with mask train would recommend seen items")
        return self


class ProtocolConfig(Strict):
    """Exactly what is measured: `config/protocols/<name>.yaml`.

    `ties` says how equal scores are ordered: `larger-id` or `smaller-id` first, or `half`,
    which lets them share the middle of their positions.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    why: str
    target: Literal["test", "valid"] = "test"
    views: list[View] = Field(min_length=1)
    metrics: list[str] = Field(min_length=1)
    k: list[int] = Field(min_length=1)
    ties: Literal["larger-id", "smaller-id", "half"] = "larger-id"

    @model_validator(mode="after")
    def _half_ties_are_for_one_target(self) -> ProtocolConfig:
        allowed = {"recall", "hr", "ndcg", "mrr"}
        if self.ties == "half" and not set(self.metrics) <= allowed:
            raise ValueError(f"ties: half is defined for {', '.join(sorted(allowed))} only")
        return self

    @model_validator(mode="after")
    def _metrics_exist(self) -> ProtocolConfig:
        for name in self.metrics:
            if name not in METRICS:
                raise ValueError(
                    f"unknown metric '{name}'; allowed: {', '.join(METRICS)}{nearest(name, METRICS)}"
                )
        if min(self.k) < 1:
            raise ValueError("every k must be at least 1")
        return self


# ---------------------------------------------------------------------------- studies


class SystemEntry(Strict):
    """A system in a study, once or along a sweep of parameter values.

    `tune` searches on validation with the study's budget whatever `params` does not fix;
    `after` and `sweep` then set values on top of those chosen, so an ablation shares the
    tuning of the whole system.
    """

    model: str
    variant: str = "default"
    params: dict[str, Scalar] = {}
    use_best: bool = False
    tune: bool = False
    after: dict[str, Scalar] = {}
    fit: list[Part] = Field(["train"], min_length=1)
    sweep: dict[str, Annotated[list[Scalar], Field(min_length=1)]] = {}
    group: str = "main"
    seeds: list[int] | None = Field(None, min_length=1)
    datasets: list[str] | None = Field(None, min_length=1)


class TableConfig(Strict):
    """One table of a study, drawn from `metrics.csv` or, of kind `runtime`, from `runs.csv`.

    One of kind `snr` has the numbers of a `figure` of that kind. A runtime table sets every system in
    relation to the system `reference`. `printed` names
    the published dataset that stands beside one of ours where `mapping.yaml` maps none,
    because the files differ. `open_rows` adds the published systems that the study lacks.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: Literal["metrics", "runtime", "snr"] = "metrics"
    protocol: str = "standard"
    metrics: list[str] = []
    k: list[int] = []
    reference: str = "gfcf"
    figure: str | None = None
    datasets: list[str] | None = None
    groups: list[str] = ["main"]
    views: list[View] | None = None
    fit: list[Part] | None = None
    published: str | None = None
    printed: dict[str, str] = {}
    open_rows: bool = False
    caption: str = ""

    @model_validator(mode="after")
    def _metrics_are_named(self) -> TableConfig:
        if self.kind == "metrics" and not (self.metrics and self.k):
            raise ValueError("a table of metrics needs `metrics` and `k`")
        if self.kind == "snr" and not self.figure:
            raise ValueError("a table of kind snr needs `figure`, the name of a figure of that kind")
        return self


class FigureConfig(Strict):
    """One figure of a study, drawn from a CSV on disk.

    `rank` is how many eigenpairs an `energy` figure looks at; by default those of the run.
    A `heatmap` has `param` on its horizontal axis and `other_param` on its vertical one.
    `view` is what the metric of a sweep is measured with; by default history and mask
    train+valid, where the protocol has it.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: Literal[
        "sensitivity", "heatmap", "snr", "frequency-response", "timing", "inference", "learning-curves",
        "tuning", "energy",
    ]  # fmt: skip
    group: str | None = None
    param: str | None = None
    other_param: str | None = None
    view: View | None = None
    protocol: str = "standard"
    metric: str = "ndcg"
    k: int = 10
    model: str | None = None
    rank: int | None = Field(None, ge=1)
    datasets: list[str] | None = None
    caption: str = ""


class PairConfig(Strict):
    """Two variants of one system and what is claimed: that `better` is above `worse`."""

    better: str
    worse: str
    claim: str


# What is kept of every user, so that two runs can be compared over users.
PER_USER_METRICS = {("ndcg", 10), ("recall", 20)}


class FindingConfig(Strict):
    """A claim set against the study's own numbers, in sentences and a table.

    `claim-best`
        `model` is above every other system of the groups.
        With `against`, above every one of these systems.
    `claim-ablation`
        Of every pair of variants of `model`, the better is above the worse.
    `ranking`
        Whether the systems stand in the same order on every dataset and view: places and
        Kendall's tau against the first.
    `evaluator`
        What remains of the gain of `model` when all systems are measured with one metric,
        `metric` under `protocol`, instead of the others with `other_metric` under
        `other_protocol`.

    `printed` names the published dataset that stands beside one of ours where
    `mapping.yaml` maps none, because the files differ: `{ml-1m: ml-1m}`.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: Literal["claim-best", "claim-ablation", "ranking", "evaluator"]
    model: str = ""
    variant: str = "default"
    groups: list[str] = ["main"]
    fit: Part = "train"
    view: View | None = None
    views: list[View] = []
    against: list[str] = []
    protocol: str = "standard"
    metric: str = "ndcg"
    k: int = 10
    other_protocol: str | None = None
    other_metric: str | None = None
    pairs: list[PairConfig] = []
    datasets: list[str] | None = None
    published: str | None = None
    printed: dict[str, str] = {}
    caption: str = ""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> FindingConfig:
        if self.kind != "ranking" and not self.model:
            raise ValueError(f"a {self.kind} finding needs `model`")
        if self.kind == "evaluator":
            if not (self.other_protocol and self.other_metric):
                raise ValueError("an evaluator finding needs `other_protocol` and `other_metric`")
        elif self.kind != "ranking" and (self.metric, self.k) not in PER_USER_METRICS:
            known = ", ".join(f"{m}@{k}" for m, k in sorted(PER_USER_METRICS))
            raise ValueError(f"{self.metric}@{self.k} is not kept for every user; only {known} are")
        if self.kind == "claim-ablation" and not self.pairs:
            raise ValueError("a claim-ablation finding needs `pairs`")
        return self

    @property
    def measured(self) -> list[tuple[str, str]]:
        """Return (protocol, metric) of everything that is compared."""
        pairs = [(self.protocol, self.metric)]
        if self.other_protocol and self.other_metric:
            pairs.append((self.other_protocol, self.other_metric))
        return pairs


class EffortConfig(Strict):
    """What a study spends at one level of effort.

    Attributes
    ----------
    trials : int, optional
        In place of the study's number of tuning trials.
    seeds : list of int, optional
        In place of the study's seeds; a system's own stay.
    limits : dict
        Upper limits of hyperparameters (`epochs: 100`), for every system that has them.
    """

    trials: int | None = Field(None, ge=1, le=10_000)
    seeds: list[int] | None = Field(None, min_length=1)
    limits: dict[str, int | float] = {}


class StudyConfig(Strict):
    """What to run and what to draw: `config/studies/<name>.yaml` or any file."""

    name: str = Field(pattern=SAFE_NAME)
    title: str
    description: str = ""
    datasets: list[str] = Field(min_length=1)
    optional_datasets: list[str] = []
    seeds: list[int] = Field([0], min_length=1)
    tuning: TuningConfig | None = None
    efforts: dict[str, EffortConfig] = {}
    effort: str = ""
    protocols: list[str] = Field(["standard"], min_length=1)
    views: list[View] | None = None
    top: int = Field(50, ge=1, le=10_000)
    systems: list[SystemEntry] = Field(min_length=1)
    tables: list[TableConfig] = []
    figures: list[FigureConfig] = []
    findings: list[FindingConfig] = []

    @property
    def limits(self) -> dict[str, int | float]:
        """Upper limits of hyperparameters at the effort that was chosen."""
        return self.efforts[self.effort].limits if self.effort else {}


class Budget(Strict):
    """Limits of one fit; exceeding one ends the run as `timeout` or `oom`."""

    minutes: float = Field(60.0, gt=0, allow_inf_nan=False)
    memory_gb: float = Field(24.0, gt=0, allow_inf_nan=False)


class Settings(Strict):
    """`config/config.yaml`: what to build by default, and on what."""

    study: str = "quickstart"
    mirror: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    fits_per_gpu: int = Field(1, ge=1, le=64)
    effort: Literal["cpu", "paper"] = "cpu"
    budget: Budget = Budget()


# ---------------------------------------------------------------------------- loading


class _UniqueKeyLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Safe YAML loader that refuses a key written twice; in C, if there is one, ten times as fast."""


def _unique_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict:
    seen = set()
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise yaml.MarkedYAMLError(problem=f"a key must be a plain word (line {line})")
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"key '{key}' is written twice (line {line})")
        seen.add(key)
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)
# YAML 1.1 reads 1e-4 as a string; numbers in configs should be numbers.
_UniqueKeyLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+$"),
    list("-+0123456789"),
)


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no spaces, the same text for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def read_yaml(path: Path) -> dict:
    """Read a mapping from a YAML file, safely.

    Raises
    ------
    ConfigError
        The file is missing, is no valid YAML, repeats a key or holds no mapping.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: file not found") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    try:
        data = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such date
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold a mapping of keys to values")
    return data


def _fields_at(model: type[BaseModel], loc: tuple) -> list[str]:
    """Return the keys allowed where a validation error happened."""
    for part in loc[:-1]:
        if isinstance(part, str) and part in model.model_fields:
            for candidate in _models_in(model.model_fields[part].annotation):
                model = candidate
                break
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in getattr(annotation, "__args__", ()) for m in _models_in(arg)]


def _path_of(loc: tuple) -> str:
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "top level"


def validate(model: type[BaseModel], data: dict, origin: str) -> Any:
    """Validate `data` against a schema; `origin` (a file) opens every message."""
    try:
        return model.model_validate(data)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in error.errors()]
        raise ConfigError("\n".join(f"{origin}: {line}" for line in dict.fromkeys(lines))) from None


def _explain(model: type[BaseModel], problem: dict) -> str:
    loc = tuple(p for p in problem["loc"] if p not in ("bool", "int", "float", "str"))
    where = _path_of(loc)
    if problem["type"] == "extra_forbidden":
        allowed = _fields_at(model, loc)
        return f"{where}: unknown key; allowed: {', '.join(allowed)}{nearest(loc[-1], allowed)}"
    if problem["type"] == "missing":
        return f"{where}: this key is required"
    message = problem["msg"].removeprefix("Value error, ")
    given = problem.get("input")
    shown = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    return f"{where}: {message}{shown}"


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
        return sorted(p.stem for p in (self.root / "config" / kind).glob("*.yaml"))

    def _get(self, kind: str, name: str, where: str) -> Any:
        if (kind, name) not in self._cache:
            known = self.names(kind)
            if name not in known:
                raise ConfigError(
                    f"{where + ': ' if where else ''}unknown {kind[:-1]} '{name}'; "
                    f"known: {', '.join(known)}{nearest(name, known)}"
                )
            path = self.root / "config" / kind / f"{name}.yaml"
            entry = validate(self.kinds[kind], read_yaml(path), f"config/{kind}/{name}.yaml")
            if entry.name != name:
                raise ConfigError(
                    f"config/{kind}/{name}.yaml: name is '{entry.name}', but must be the file's name '{name}'"
                )
            self._cache[kind, name] = entry
        return self._cache[kind, name]

    def dataset(self, name: str, where: str = "") -> DatasetConfig:
        """Return the dataset called `name`."""
        return self._get("datasets", name, where)

    def model(self, name: str, where: str = "") -> ModelConfig:
        """Return the system called `name`."""
        return self._get("models", name, where)

    def protocol(self, name: str, where: str = "") -> ProtocolConfig:
        """Return the protocol called `name`."""
        return self._get("protocols", name, where)

    def study_path(self, name_or_path: str) -> Path:
        """Return the file of a study given by name or by path."""
        if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
            return Path(name_or_path)
        path = self.root / "config" / "studies" / f"{name_or_path}.yaml"
        if not path.is_file():
            known = self.names("studies")
            raise ConfigError(
                f"unknown study '{name_or_path}'; known: {', '.join(known)} "
                f"(or the path of a YAML file){nearest(name_or_path, known)}"
            )
        return path

    def study(self, name_or_path: str, present: Collection[str] = (), effort: str = "cpu") -> Study:
        """Load a study with everything it refers to checked.

        Of its optional datasets those in `present` take part. `effort` chooses among its
        efforts, where it has any.
        """
        path = self.study_path(name_or_path)
        config = validate(StudyConfig, read_yaml(path), str(path))
        for name in config.optional_datasets:
            self.dataset(name, f"{path}: optional_datasets")
        return Study(self, spent(narrowed(config, present), effort, str(path)), str(path))


def spent(config: StudyConfig, effort: str, origin: str) -> StudyConfig:
    """Return a study at one of its levels of effort; one without any as it is."""
    if config.effort:
        raise ConfigError(f"{origin}: effort: is chosen by `--config effort=...`, not in the study")
    if not config.efforts:
        return config
    if effort not in config.efforts:
        raise ConfigError(
            f"{origin}: the study has no effort '{effort}'; it has {', '.join(config.efforts)}"
            f"{nearest(effort, config.efforts)}"
        )
    chosen = config.efforts[effort]
    update: dict[str, Any] = {"effort": effort}
    if chosen.seeds:
        update["seeds"] = chosen.seeds
    if chosen.trials:
        tuning = config.tuning or TuningConfig(trials=chosen.trials)
        update["tuning"] = tuning.model_copy(update={"trials": chosen.trials})
    return config.model_copy(update=update)


def narrowed(config: StudyConfig, present: Collection[str]) -> StudyConfig:
    """Return a study without the optional datasets that are not in `present`."""
    absent = {name for name in config.optional_datasets if name not in present}
    taken = [name for name in config.optional_datasets if name not in absent]
    parts = {
        kind: [item for item in (_without(item, absent) for item in getattr(config, kind)) if item]
        for kind in ("systems", "tables", "figures", "findings")
    }
    return config.model_copy(update={"datasets": [*config.datasets, *taken], **parts})


def _without(item: Any, absent: set[str]) -> Any:
    """Return an entry without absent datasets, or None if it is for these alone."""
    if item.datasets is None or not absent & set(item.datasets):
        return item
    kept = [name for name in item.datasets if name not in absent]
    return item.model_copy(update={"datasets": kept}) if kept else None


class PlannedRun(Strict):
    """One run that a study asks for, with the label that the study gives it."""

    dataset: str
    run: RunConfig
    variant: str
    group: str
    seed: int
    swept: dict[str, Scalar] = {}


class Study:
    """A study with its references resolved: runs, protocols, views."""

    def __init__(self, catalog: Catalog, config: StudyConfig, origin: str) -> None:
        self.catalog, self.config, self.origin = catalog, config, origin
        self.name = config.name
        for name in config.datasets:
            catalog.dataset(name, f"{origin}: datasets")
        self.protocols = [catalog.protocol(p, f"{origin}: protocols") for p in config.protocols]
        self.runs = [
            planned
            for index, entry in enumerate(config.systems)
            for planned in self._expand(entry, f"{origin}: systems[{index}]")
        ]
        self._check_limits()
        self._check_labels()
        self._check_drawings()
        self._check_depth()

    def _expand(self, entry: SystemEntry, where: str) -> list[PlannedRun]:
        model = self.catalog.model(entry.model, where)
        for name in entry.datasets or []:
            if name not in self.config.datasets:
                raise ConfigError(
                    f"{where}.datasets: '{name}' is not among the study's datasets"
                    f"{nearest(name, self.config.datasets)}"
                )
        tune = self._tuning(entry, model, where)
        names, values = list(entry.sweep), list(entry.sweep.values())
        runs = []
        for dataset in entry.datasets or self.config.datasets:
            base = {**(model.best.get(dataset, {}) if entry.use_best else {}), **entry.params}
            base |= self._limited(model, base)
            for point in itertools.product(*values):
                swept = dict(zip(names, point, strict=True))
                spot = f"{where}.sweep" if swept else where
                params = model.resolve({**base, **entry.after, **swept}, spot)
                if tune:
                    params = {name: params[name] for name in (*entry.after, *swept)}
                label = variant_label(entry.variant, swept)
                for fit, seed in itertools.product(entry.fit, entry.seeds or self.config.seeds):
                    run = RunConfig(model=model.name, params=params, fit=fit, top=self.config.top, tune=tune)
                    runs.append(
                        PlannedRun(
                            dataset=dataset,
                            run=run,
                            variant=label,
                            group=entry.group,
                            seed=seed,
                            swept=swept,
                        )
                    )
        return runs

    def _limited(self, model: ModelConfig, given: dict[str, Scalar]) -> dict[str, Scalar]:
        """Return the values that the study's effort limits, where they would be larger."""
        values = {**{name: spec.default for name, spec in model.params.items()}, **given}
        return {k: limit for k, limit in self.config.limits.items() if k in values and values[k] > limit}

    def _tuning(self, entry: SystemEntry, model: ModelConfig, where: str) -> TuneConfig | None:
        """Return the tuning job of an entry; None if it is not tuned or has nothing to search."""
        if not entry.tune:
            return None
        if entry.use_best:
            raise ConfigError(f"{where}: `tune` and `use_best` exclude each other")
        if self.config.tuning is None:
            raise ConfigError(f"{where}: `tune` needs the study's budget; add `tuning: {{trials: 20}}`")
        given = {**entry.params, **self._limited(model, entry.params)}
        fixed = model.resolve(given, where)
        search = {
            name: [model.resolve({name: v})[name] for v in space] if isinstance(space, list) else space
            for name, space in model.search.items()
            if name not in given
        }
        if not search:
            return None
        return TuneConfig(
            model=model.name,
            params={name: fixed[name] for name in sorted(given)},
            search=search,
            trials=self.config.tuning.trials,
            seed=self.config.tuning.seed,
        )

    def _check_limits(self) -> None:
        known = {name for r in self.runs for name in self.catalog.model(r.run.model).params}
        for effort, entry in self.config.efforts.items():
            for name in entry.limits:
                if name not in known:
                    raise ConfigError(
                        f"{self.origin}: efforts.{effort}.limits: no system of the study has a parameter "
                        f"'{name}'{nearest(name, known)}"
                    )

    def _check_labels(self) -> None:
        """One label must not stand for two configurations."""
        seen: dict[tuple, str] = {}
        for r in self.runs:
            label = (r.dataset, r.run.model, r.variant, r.group, r.run.fit, r.seed)
            if seen.setdefault(label, r.run.key) != r.run.key:
                raise ConfigError(
                    f"{self.origin}: two different configurations of '{r.run.model}' share the "
                    f"variant '{r.variant}' in group '{r.group}'; give one another `variant`"
                )

    def _check_drawings(self) -> None:
        groups = {entry.group for entry in self.config.systems}
        for kind in ("tables", "figures", "findings"):
            for index, item in enumerate(getattr(self.config, kind)):
                where = f"{self.origin}: {kind}[{index}]"
                for protocol, metrics in _measured(kind, item):
                    self._check_metrics(protocol, metrics, where)
                used = ([item.group] if item.group else []) if kind == "figures" else item.groups
                self._check_names("group", used, groups, where)
                self._check_names("dataset", item.datasets or [], self.config.datasets, where)

    def _check_names(self, what: str, names: list[str], known: Collection[str], where: str) -> None:
        for name in names:
            if name not in known and what == "group":
                raise ConfigError(
                    f"{where}: no system is in group '{name}'; groups: "
                    f"{', '.join(sorted(known))}{nearest(name, known)}"
                )
            if name not in known:
                raise ConfigError(
                    f"{where}.datasets: '{name}' is not among the study's datasets{nearest(name, known)}"
                )

    def _check_metrics(self, protocol: str, metrics: list[str], where: str) -> None:
        known = {p.name: p for p in self.protocols}
        if protocol not in known:
            raise ConfigError(
                f"{where}.protocol: '{protocol}' is not among the study's protocols: "
                f"{', '.join(known)}{nearest(protocol, known)}"
            )
        for metric in metrics:
            if metric not in known[protocol].metrics:
                raise ConfigError(
                    f"{where}: metric '{metric}' is not measured by protocol '{protocol}': "
                    f"{', '.join(known[protocol].metrics)}{nearest(metric, known[protocol].metrics)}"
                )

    def _check_depth(self) -> None:
        deepest = max(k for p in self.protocols for k in p.k)
        if deepest > self.config.top:
            raise ConfigError(
                f"{self.origin}: a protocol measures at k={deepest}, but only top: "
                f"{self.config.top} items are kept; raise `top`"
            )

    def energy_spectra(self) -> list[tuple[str, str, int]]:
        """Return (dataset, operator id, rank) of each spectrum that an energy figure is drawn from."""
        found: dict[str, tuple[str, str, int]] = {}
        for figure in self.config.figures:
            if figure.kind == "energy":
                for r in self.runs:
                    wanted = r.run.model == (figure.model or "gsprec") and figure.group in (None, r.group)
                    needs = spectra_of(self.catalog.model(r.run.model), r.run) if wanted else []
                    if needs and r.dataset in (figure.datasets or [r.dataset]) and r.run.fit == "train":
                        operator, size = needs[0]
                        found.setdefault(r.dataset, (r.dataset, operator, figure.rank or size))
        return list(found.values())

    def views(self, protocol: ProtocolConfig) -> list[View]:
        """Return the views measured under a protocol (the study may widen them)."""
        return protocol.views if protocol.target == "valid" else self.config.views or protocol.views


def _measured(kind: str, item: Any) -> list[tuple[str, list[str]]]:
    """Return (protocol, metrics) of what a table, figure or finding shows."""
    if kind == "findings":
        return [(protocol, [metric]) for protocol, metric in item.measured]
    if kind == "tables":
        return [(item.protocol, item.metrics)] if item.kind == "metrics" else []
    return [(item.protocol, [item.metric])] if item.kind in ("sensitivity", "heatmap") else []


def variant_label(variant: str, swept: dict[str, Scalar]) -> str:
    """Return the human name of a run: `c=0.2,w=0.1`, or `base[c=0.2]`."""
    if not swept:
        return variant
    point = ",".join(f"{name}={value}" for name, value in swept.items())
    return point if variant == "default" else f"{variant}[{point}]"


def load_settings(root: Path | str, overrides: dict[str, Any]) -> Settings:
    """Return `config/config.yaml` with command-line values (`--config k=v`) on top."""
    path = Path(root) / "config" / "config.yaml"
    given = {k: _typed(v) if isinstance(v, dict) else v for k, v in overrides.items()}
    return validate(Settings, {**read_yaml(path), **given}, "config/config.yaml (and --config)")


def _typed(value: Any) -> Any:
    """Give numbers back their type: Snakemake reads `budget={minutes: 5}` as text."""
    if isinstance(value, dict):
        return {k: _typed(v) for k, v in value.items()}
    for number in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return number(value)
    return value


# A ladder makes a run ask for the same spectrum whatever else a study asks for.
RANK_LADDER = (16, 32, 64, 128, 256, 512, 1024, 2048)


def spectra_of(model: ModelConfig, run: RunConfig) -> list[tuple[str, int]]:
    """Return (operator id, rank on the ladder) of each spectrum that a run needs.

    The id carries the operator's parameters and the data it is built from, for
    instance `unified-d2-a0.4@train`; it is also the file name. A tuned run, whose
    values are not known yet, needs those of all values that may be chosen.
    """
    if run.tune:
        needs = _operators(model, {**_possible(model, run.tune), **{k: [v] for k, v in run.params.items()}})
    else:
        needs = _operators(model, {name: [value] for name, value in run.params.items()})
    return [(f"{operator}@{run.fit.replace('+', '_')}", rank) for operator, rank in needs]


def needed_spectra(model: ModelConfig, run: RunConfig, params: dict[str, Scalar]) -> list[tuple[str, int]]:
    """Return those of `spectra_of` that a run with these parameters uses."""
    part = run.fit.replace("+", "_")
    used = {f"{name}@{part}" for name, _ in _operators(model, {k: [v] for k, v in params.items()})}
    return [(operator, rank) for operator, rank in spectra_of(model, run) if operator in used]


def tuning_spectra(model: ModelConfig, tune: TuneConfig) -> list[tuple[str, int]]:
    """Return (operator id, rank on the ladder) of each spectrum that a tuning job needs."""
    return [(f"{operator}@train", rank) for operator, rank in _operators(model, _possible(model, tune))]


def _possible(model: ModelConfig, tune: TuneConfig) -> dict[str, list[Scalar]]:
    """Return the values that each parameter can take in a tuning job (of a range, both ends)."""
    values: dict[str, list[Scalar]] = {k: [v] for k, v in model.resolve(tune.params).items()}
    for name, space in tune.search.items():
        ends = model.choices(name, space)
        best = [block[name] for block in model.best.values() if name in block]
        values[name] = list(dict.fromkeys([*ends, model.params[name].default, *best]))
    return values


def _operators(model: ModelConfig, values: dict[str, list[Scalar]]) -> list[tuple[str, int]]:
    """Return (operator, rank on the ladder), every operator once and at its largest rank."""
    needs: dict[str, int] = {}
    for need in model.spectra:
        for operator in _filled(need.operator, values):
            rank = max(int(text) for text in _filled(need.rank, values))
            needs[operator] = max(rank, needs.get(operator, 0))
    return [(name, next((r for r in RANK_LADDER if r >= rank), rank)) for name, rank in needs.items()]


def _filled(template: str, values: dict[str, list[Scalar]]) -> list[str]:
    """Return a template filled with every combination of the values that it names."""
    names = [field for _, field, _, _ in string.Formatter().parse(template) if field]
    points = itertools.product(*(values[name] for name in names))
    return list(dict.fromkeys(template.format(**dict(zip(names, p, strict=True))) for p in points))
