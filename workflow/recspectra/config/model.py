"""Schemas of models, tuning jobs and runs: what a fit is given, and the spectra that it needs."""

from __future__ import annotations

import itertools
import math
import re
import sys
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_serializer, model_validator

from recspectra.config.base import ConfigError, Part, Scalar, Strict, check_known, nearest
from recspectra.identity import key_of


class ParamSpec(Strict):
    """Type, bounds and default of one hyperparameter.

    Where `below` says so, a search tries only values below the number of items, or of users and items
    (`nodes`).
    """

    type: Literal["int", "float", "bool", "choice"]
    default: Scalar
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    below: Literal["items", "nodes"] | None = None
    choices: list[str] | None = None
    help: str = ""

    @field_validator("below")
    @classmethod
    def _bounds_a_count(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("type") != "int":
            raise ValueError(f"only a parameter of type int can be below the number of {value}")
        return value

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
        if self.type == "float" and abs(value) > sys.float_info.max:
            return "a whole number of more than 308 digits is too large"
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


TEMPLATE = re.compile(r"[^{}]*(?:\{[a-z]\w*\}[^{}]*)*")
FIELD = re.compile(r"\{(\w+)\}")


class SpectrumNeed(Strict):
    """A spectrum that a model asks for; `{param}` is filled from its parameters.

    With `when` it is asked for only where these parameters have these values.
    """

    operator: str
    rank: str
    when: dict[str, Scalar] = {}


LISTS = "lists"  # class and kind of what stands for a model that was fitted elsewhere
VARYING = ("trained", LISTS)  # kinds of models that another seed may change


class Paper(Strict):
    """The paper that a model or protocol comes from."""

    title: str
    venue: str
    citation: str


class ModelConfig(Strict):
    """One model: `config/models/<name>.yaml`."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    class_name: str
    title: str
    paper: Paper
    kind: Literal["closed-form", "trained", "lists"]
    order: bool = False
    cost: Literal["light", "medium", "heavy"] = "light"
    gpu: bool = False
    spectra: list[SpectrumNeed] = []
    params: dict[str, ParamSpec] = {}
    search: dict[str, Annotated[list[Scalar], Field(min_length=1)] | SearchRange] = {}
    best: dict[str, dict[str, Scalar]] = {}
    notes: list[str] = []

    @model_validator(mode="after")
    def _defaults_are_valid(self) -> ModelConfig:
        if self.gpu and self.kind != "closed-form":
            raise ValueError("gpu: is for models in closed form; a trained model takes a GPU without it")
        for name, spec in self.params.items():
            if problem := spec.check(spec.default):
                raise ValueError(f"params.{name}.default: {problem}")
        searched = [{name: v} for name, space in self.search.items() for v in self.choices(name, space)]
        for block in [*self.best.values(), *searched]:
            self.resolve(block)
        for index, need in enumerate(self.spectra):
            self._check_spectrum(need, f"spectra[{index}]")
        ranges = [name for name, space in self.search.items() if not isinstance(space, list)]
        for name in ranges:
            if any(f"{{{name}}}" in need.operator for need in self.spectra):
                raise ValueError(f"search.{name}: an operator is named after it; give a list of values")
            if self.search[name].log:
                self._check_positive(name)
        return self

    def _check_spectrum(self, need: SpectrumNeed, where: str) -> None:
        """Refuse a spectrum that is named after no parameter, or whose rank is not a whole number."""
        for key, text in (("operator", need.operator), ("rank", need.rank)):
            if not TEMPLATE.fullmatch(text):  # a width of 2000000000 would fill the memory
                raise ValueError(f"{where}.{key}: '{text}' cannot be filled in; write `{{name}}` alone")
            said = f"{where}.{key}: the model has no parameter '{{name}}'; it has {{known}}"
            check_known(FIELD.findall(text), self.params, said, ValueError)
        said = f"{where}.when: the model has no parameter '{{name}}'; it has {{known}}"
        check_known(need.when, self.params, said, ValueError)
        for name, value in need.when.items():
            if problem := self.params[name].check(value):
                raise ValueError(f"{where}.when.{name}: {problem}")
        whole = [f"{{{n}}}" for n, spec in self.params.items() if spec.type == "int" and spec.default >= 1]
        if need.rank not in whole and not re.fullmatch("[1-9][0-9]*", need.rank):
            raise ValueError(
                f"{where}.rank: '{need.rank}' is not a whole number of at least 1; write one, or one of "
                f"{', '.join(whole)}"
            )

    def _check_positive(self, name: str) -> None:
        """Refuse values that are tried first and have no logarithm."""
        first = {"params": self.params[name].default} | {
            f"best.{d}": b[name] for d, b in self.best.items() if name in b
        }
        for where, value in first.items():
            if value <= 0:
                raise ValueError(f"search.{name}: drawn by its logarithm, but {where} has {value:g}")

    def choices(self, name: str, space: list[Scalar] | SearchRange) -> list[Scalar]:
        """Return the values of a search space; of a range both ends."""
        if isinstance(space, list):
            return space
        whole = name in self.params and self.params[name].type == "int"
        return [int(v) if whole else v for v in (space.low, space.high)]

    def resolve(self, overrides: dict[str, Any], where: str = "") -> dict[str, Scalar]:
        """Return all parameters, defaults filled in; raise `ConfigError` on a bad one."""
        values = {name: spec.default for name, spec in self.params.items()}
        prefix = f"{where}: " if where else ""
        said = f"{prefix}unknown parameter '{{name}}' of model '{self.name}'; allowed: {{known}}"
        check_known(overrides, sorted(self.params), said)
        for name, value in overrides.items():
            if problem := self.params[name].check(value):
                raise ConfigError(f"{prefix}parameter '{name}' of model '{self.name}': {problem}")
            values[name] = float(value) if self.params[name].type == "float" else value
        return {k: float(v) if self.params[k].type == "float" else v for k, v in values.items()}


ValidatedBy = Literal["recall@20", "ndcg@10"]
BY_RECALL: ValidatedBy = "recall@20"


class JobConfig(Strict):
    """What a run and a tuning job have alike. `key` names the folder that holds the results.

    Attributes
    ----------
    class_name : str
        The class that the model's YAML names; empty where it is left to `of_class`. Another class is another
        job.
    usual : dict
        Values of fields that are no part of the key.
    """

    usual: ClassVar[dict[str, Any]] = {}

    model: str
    class_name: str = ""
    params: dict[str, Scalar]

    @model_serializer(mode="wrap")
    def _leave_out_what_is_usual(self, handler: Any) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if k not in self.usual or v != self.usual[k]}

    def of_class(self, model: ModelConfig) -> Self:
        """Return the job with the class that the model's YAML names; one given by hand may lack it."""
        if self.class_name not in ("", model.class_name):
            raise ConfigError(
                f"class_name: '{self.class_name}' is not the class of model '{model.name}', which its YAML "
                f"says is '{model.class_name}'; leave it out"
            )
        return self.model_copy(update={"class_name": model.class_name})

    @property
    def key(self) -> str:
        """First 10 hex digits of the hash of the sorted configuration."""
        return key_of(self)


class TuneConfig(JobConfig):
    """One tuning job.

    Attributes
    ----------
    params : dict
        Values that are fixed, not searched.
    search : dict
        What is searched: the model's space without what is fixed.
    epochs : int, optional
        Most epochs of a trial, where that is fewer than its own; no part of the key where it is not.
    validate_by : str
        The metric that trials are compared by and their fits stop by; no part of the key where it is the
        usual one.
    users : int, optional
        How many users of the validation part a trial is measured on; no part of the key where it is all.
    """

    usual: ClassVar[dict[str, Any]] = {"epochs": None, "validate_by": BY_RECALL, "users": None}

    search: dict[str, list[Scalar] | SearchRange]
    trials: int
    seed: int
    epochs: int | None = Field(None, ge=1)
    validate_by: ValidatedBy = BY_RECALL
    users: int | None = Field(None, ge=1)


class RunConfig(JobConfig):
    """A resolved run; its key has no labels in it.

    With `tune`, `params` are only what is set on top of the values that the tuning job chooses; all others
    are known when the run starts. `validate_by` is the metric that a fit stops by.
    """

    usual: ClassVar[dict[str, Any]] = {"tune": None, "validate_by": BY_RECALL}

    fit: Part = "train"
    top: int = Field(50, ge=1)
    tune: TuneConfig | None = None
    validate_by: ValidatedBy = BY_RECALL

    def of_class(self, model: ModelConfig) -> Self:
        """Return the run, and the job that it waits for, with the class that the model's YAML names."""
        tune = self.tune.of_class(model) if self.tune else None
        return super().of_class(model).model_copy(update={"tune": tune})

    @property
    def imported(self) -> bool:
        """Whether it stands for lists that were made elsewhere."""
        return self.class_name == LISTS

    @property
    def train_run(self) -> RunConfig:
        """The same run on `train` alone, which has validation data to stop by."""
        return self.model_copy(update={"fit": "train"})


class PlannedRun(Strict):
    """One run that a study asks for, with the label that the study gives it."""

    dataset: str
    run: RunConfig
    variant: str
    group: str
    seed: int
    swept: dict[str, Scalar] = {}
    keep: bool = False


class Budget(Strict):
    """Limits of one fit; exceeding one ends the run as `timeout` or `oom`."""

    minutes: float = Field(60.0, gt=0, allow_inf_nan=False)
    memory_gb: float = Field(24.0, gt=0, allow_inf_nan=False)


# ---------------------------------------------------------------------------- spectra

# A ladder makes a run ask for the same spectrum whatever else a study asks for; its rungs are close
# together where a thousand pairs take minutes.
MOST_SPECTRA = 1000  # of one model on one dataset
RANK_LADDER = (16, 32, 64, 128, 256, 512, 1024, 1280, 1536, 2048)


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


def most_epochs(model: ModelConfig, job: RunConfig | TuneConfig) -> int | None:
    """Return the most epochs that a fit or a trial may have by its own configuration; None if not known."""
    tune = job if isinstance(job, TuneConfig) else job.tune
    fixed = {name: [value] for name, value in job.params.items()} if job is not tune else {}
    values = {**(_possible(model, tune) if tune else {}), **fixed}
    return max(values["epochs"]) if "epochs" in values else None


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
        if any(value not in values[name] for name, value in need.when.items()):
            continue
        for operator in map(plain_operator, _filled(need.operator, values)):
            rank = max(int(text) for text in _filled(need.rank, values))
            needs[operator] = max(rank, needs.get(operator, 0))
    return [(name, next((r for r in RANK_LADDER if r >= rank), rank)) for name, rank in needs.items()]


def plain_operator(name: str) -> str:
    """Return the one name of an operator that has two: with an exponent of .5 it is the usual one."""
    return "item-similarity" if name == "item-similarity-u0.5" else name


def _filled(template: str, values: dict[str, list[Scalar]]) -> list[str]:
    """Return a template filled with every combination of the values that it names."""
    names = FIELD.findall(template)
    if (count := math.prod(len(values[name]) for name in names)) > MOST_SPECTRA:
        raise ConfigError(f"'{template}' names {count:,} spectra; at most {MOST_SPECTRA:,} are possible")
    points = itertools.product(*(values[name] for name in names))
    return list(dict.fromkeys(template.format(**dict(zip(names, p, strict=True))) for p in points))
