"""Schemas of `config/protocols/*.yaml` and `config/studies/*.yaml`, and which part of a study is run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from recspectra import registry
from recspectra.config.base import SAFE_NAME, ConfigError, CutOff, Part, Scalar, Seed, Strict, nearest, twice

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

# -------------------------------------------------------------------------- protocols


Users = Literal["all", "warm", "cold"]


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
    which lets them share the middle of their positions. `users` says whose values are averaged: those of
    `all` users with targets, of `warm` ones, who have at least one training interaction, or of `cold` ones,
    who have none. Under `all` the means over warm users stand beside, where there are cold ones.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    why: str
    target: Literal["test", "valid"] = "test"
    views: list[View] = Field(min_length=1)
    metrics: list[str] = Field(min_length=1)
    k: list[CutOff] = Field(min_length=1)
    ties: Literal["larger-id", "smaller-id", "half"] = "larger-id"
    users: Users = "all"

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
        return self


# ---------------------------------------------------------------------------- studies


class TuningConfig(Strict):
    """The budget that every tuned system of a study gets, and the seed of the search."""

    trials: int = Field(ge=1, le=10_000)
    seed: Seed = 0


class SystemEntry(Strict):
    """A system in a study, once or along a sweep of parameter values.

    `tune` searches on validation with the study's budget whatever `params` does not fix;
    `after` and `sweep` then set values on top of those chosen, so an ablation shares the
    tuning of the whole system. `limits` (effort -> parameter -> largest value) take the place
    of the study's for this entry: an epoch of one system is not that of another. `limits_on`
    (effort -> dataset -> parameter -> largest value) takes the place of both on a dataset.
    `datasets_at` (effort -> datasets) names fewer datasets, or none, at an effort that would be too
    small for all, `seeds_at` (effort -> seeds) the seeds there.
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
    seeds: list[Seed] | None = Field(None, min_length=1)
    datasets: list[str] | None = Field(None, min_length=1)
    limits: dict[str, dict[str, int | float]] = {}
    limits_on: dict[str, dict[str, dict[str, int | float]]] = {}
    datasets_at: dict[str, list[str]] = {}
    seeds_at: dict[str, Annotated[list[Seed], Field(min_length=1)]] = {}

    def limits_at(self, effort: str, dataset: str) -> dict[str, int | float]:
        """Return this entry's own limits at an effort on a dataset."""
        return {**self.limits.get(effort, {}), **self.limits_on.get(effort, {}).get(dataset, {})}


class TableConfig(Strict):
    """One table of a study, drawn from `metrics.csv` or, of kind `runtime`, from `runs.csv`.

    Kinds that papers add (see `recspectra.registry`) have the numbers of a `figure`. A runtime table sets
    every system in relation to the system `reference`. `printed` names
    the published dataset that stands beside one of ours where `mapping.yaml` maps none,
    because the files differ. `open_rows` adds the published systems that the study lacks.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: str = "metrics"
    protocol: str = "standard"
    metrics: list[str] = []
    k: list[CutOff] = []
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

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        return registry.check_kind(kind, "table")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> TableConfig:
        if self.kind == "metrics" and not (self.metrics and self.k):
            raise ValueError("a table of metrics needs `metrics` and `k`")
        paper = registry.tables().get(self.kind)
        if paper and not self.figure:
            raise ValueError(
                f"a table of kind {self.kind} needs `figure`, the name of a figure of kind {paper.figure}"
            )
        return self


class FigureConfig(Strict):
    """One figure of a study, drawn from a CSV on disk.

    Papers add kinds of their own (see `recspectra.registry`); `options` are what such a kind is measured
    with.
    A `heatmap` has `param` on its horizontal axis and `other_param` on its vertical one.
    `view` is what the metric of a sweep is measured with; by default history and mask
    train+valid, where the protocol has it.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: str
    group: str | None = None
    param: str | None = None
    other_param: str | None = None
    view: View | None = None
    protocol: str = "standard"
    metric: str = "ndcg"
    k: CutOff = 10
    model: str | None = None
    options: dict[str, Scalar | list[Scalar]] = {}
    datasets: list[str] | None = None
    caption: str = ""

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        return registry.check_kind(kind, "figure")

    @model_validator(mode="after")
    def _options_are_known(self) -> FigureConfig:
        registry.check_options(self.kind, self.options)
        return self


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
    k: CutOff = 10
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
    trials_on : dict
        Dataset -> trials that take their place on it. 0 is no search: every system has what a search would
        try first, known settings for the dataset (`best`) or else its defaults.
    seeds : list of int, optional
        In place of the study's seeds, also on datasets that have more; a system's own stay.
    seeds_on : dict
        Dataset -> seeds that take the place of these on it.
    limits : dict
        Upper limits of hyperparameters (`epochs: 100`), for every system that has them.
    limits_on : dict
        Dataset -> limits that take the place of these on it.
    datasets : list of str, optional
        Which of the study's datasets take part, unless others are asked for by name
        (`--config datasets=...`).
    """

    trials: int | None = Field(None, ge=1, le=10_000)
    trials_on: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = {}
    seeds: list[Seed] | None = Field(None, min_length=1)
    seeds_on: dict[str, Annotated[list[Seed], Field(min_length=1)]] = {}
    limits: dict[str, int | float] = {}
    limits_on: dict[str, dict[str, int | float]] = {}
    datasets: list[str] | None = Field(None, min_length=1)


class StudyConfig(Strict):
    """What to run and what to draw: `config/studies/<name>.yaml` or any file.

    `more_seeds` (dataset -> seeds) take the place of `seeds` on a dataset whose test set is so
    small that a mean over few seeds says little.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    description: str = ""
    datasets: list[str] = Field(min_length=1)
    optional_datasets: list[str] = []
    seeds: list[Seed] = Field([0], min_length=1)
    more_seeds: dict[str, Annotated[list[Seed], Field(min_length=1)]] = {}
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

    @model_validator(mode="after")
    def _names_are_unique(self) -> StudyConfig:
        """Two of one name would write the same files; some file systems do not tell `A` from `a`."""
        for kind in ("tables", "figures", "findings"):
            if problem := twice([item.name.lower() for item in getattr(self, kind)]):
                raise ValueError(f"{kind}: name {problem}; both would write the same files")
        return self

    @property
    def limits(self) -> dict[str, int | float]:
        """Upper limits of hyperparameters at the effort that was chosen."""
        return self.efforts[self.effort].limits if self.effort else {}

    def limits_on(self, dataset: str) -> dict[str, int | float]:
        """Return the upper limits of hyperparameters on a dataset."""
        own = self.efforts[self.effort].limits_on if self.effort else {}
        return {**self.limits, **own.get(dataset, {})}

    def trials_on(self, dataset: str) -> int:
        """Return the tuning trials of each system on a dataset; 0 where nothing is searched."""
        own = self.efforts[self.effort].trials_on if self.effort else {}
        return own.get(dataset, self.tuning.trials if self.tuning else 0)


# ------------------------------------------------------------------------- parts of a study


def check_datasets(names: list[str], config: StudyConfig, where: str) -> None:
    """Refuse a name that is none of the study's datasets."""
    known = [*config.datasets, *config.optional_datasets]
    for name in names:
        if name not in known:
            raise ConfigError(f"{where}: '{name}' is not among the study's datasets{nearest(name, known)}")


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
        update |= {"seeds": chosen.seeds, "more_seeds": {}}
    update["more_seeds"] = {**update.get("more_seeds", config.more_seeds), **chosen.seeds_on}
    if chosen.trials:
        tuning = config.tuning or TuningConfig(trials=chosen.trials)
        update["tuning"] = tuning.model_copy(update={"trials": chosen.trials})
    return config.model_copy(update=update)


def narrowed(config: StudyConfig, present: Collection[str]) -> StudyConfig:
    """Return a study without the optional datasets that are not in `present`."""
    taken = [name for name in config.optional_datasets if name in present]
    whole = config.model_copy(update={"datasets": [*config.datasets, *config.optional_datasets]})
    return without(whole, set(config.optional_datasets) - set(taken))


def without(config: StudyConfig, absent: Collection[str]) -> StudyConfig:
    """Return a study without some of its datasets, and without what is for these alone."""
    parts = {
        kind: [item for item in (_without(item, absent) for item in getattr(config, kind)) if item]
        for kind in ("systems", "tables", "figures", "findings")
    }
    lost = {entry.group for entry in config.systems} - {entry.group for entry in parts["systems"]}
    for kind in ("tables", "figures", "findings"):
        parts[kind] = [item for item in parts[kind] if not groups_of(item) or set(groups_of(item)) - lost]
    kept = [name for name in config.datasets if name not in absent]
    return config.model_copy(update={"datasets": kept, **parts})


def at_effort(config: StudyConfig) -> StudyConfig:
    """Return a study whose entries, tables, figures and findings have the datasets of its effort alone.

    What has none at all is left out. What names an unknown group or dataset stays as it is, to be refused.
    """
    systems = []
    for entry in config.systems:
        own = entry.datasets or config.datasets
        kept = [name for name in own if name in entry.datasets_at.get(config.effort, own)]
        if kept:
            systems.append(entry if kept == own else entry.model_copy(update={"datasets": kept}))
    places: dict[str, set[str]] = {}
    for entry in systems:
        places.setdefault(entry.group, set()).update(entry.datasets or config.datasets)
    known, parts = {entry.group for entry in config.systems}, {}
    for kind in ("tables", "figures", "findings"):
        items = [
            item
            if set(groups_of(item)) - known or set(item.datasets or []) - set(config.datasets)
            else _where_it_has_runs(item, config.datasets, places)
            for item in getattr(config, kind)
        ]
        parts[kind] = [item for item in items if item]
    return config.model_copy(update={"systems": systems, **parts})


def _where_it_has_runs(item: Any, datasets: list[str], places: dict[str, set[str]]) -> Any:
    """Return an item on those of its datasets on which one of its groups has a run; None if on none."""
    named, own = groups_of(item), item.datasets or datasets
    there = set().union(*(places.get(group, set()) for group in named)) if named else set(own)
    kept = [name for name in own if name in there]
    if not kept:
        return None
    update: dict[str, Any] = {} if kept == own else {"datasets": kept}
    if set(named) - set(places):
        update["groups"] = [group for group in named if group in places]
    return item.model_copy(update=update)


def groups_of(item: Any) -> list[str]:
    """Return the groups of systems that a table, figure or finding shows; none for all of them."""
    return ([item.group] if item.group else []) if isinstance(item, FigureConfig) else item.groups


def _without(item: Any, absent: Collection[str]) -> Any:
    """Return an entry without absent datasets, or None if it is for these alone."""
    if item.datasets is None or not set(absent) & set(item.datasets):
        return item
    kept = [name for name in item.datasets if name not in absent]
    return item.model_copy(update={"datasets": kept}) if kept else None
