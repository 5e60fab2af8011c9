"""Schemas of `config/protocols/*.yaml` and `config/studies/*.yaml`."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from recspectra import registry
from recspectra.config.base import (
    BY_NAME,
    ONE_LIST,
    ONE_TEXT,
    SAFE_NAME,
    CutOff,
    Part,
    Scalar,
    Seed,
    Strict,
    check_known,
    kind_of_list,
    twice,
)
from recspectra.config.lists import ListsEntry
from recspectra.config.metric_names import declared, of_users
from recspectra.config.model import BY_RECALL, ValidatedBy

METRICS = tuple(declared())

# -------------------------------------------------------------------------- protocols


Users = Literal["all", "warm", "cold"]
Group = Literal["warm", "cold", "activity"]
QUARTERS = tuple(f"activity-{quarter}" for quarter in (1, 2, 3, 4))
GROUPS = ("all", "warm", "cold", *QUARTERS)  # of users, as `metrics.csv` names them


class View(Strict):
    """What a model is shown at test (`history`) and what may not be recommended (`mask`)."""

    history: Part
    mask: Part

    @model_validator(mode="after")
    def _history_is_masked(self) -> View:
        if self.history == "train+valid" and self.mask == "train":
            raise ValueError("history train+valid with mask train would recommend seen items")
        return self


class ProtocolConfig(Strict):
    """Exactly what is measured: `config/protocols/<name>.yaml`; `config.keys` says what each key means.

    With `ties: half` equal scores share the middle of their positions. `warm` users have a training
    interaction, `cold` ones have none; under `users: all` there are means over warm users too, where some
    are cold. Of the quarters of `activity`, `activity-1` has the fewest training interactions.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    why: str
    target: Literal["test", "valid"] = "test"
    views: list[View]
    metrics: list[str]
    k: list[CutOff]
    ties: Literal["larger-id", "smaller-id", "half"] = "larger-id"
    users: Users = "all"
    groups: list[Group] = []

    @property
    def depth(self) -> int:
        """How long lists must be: half of a target's equals go below it, so it is twice as deep at most."""
        return max(self.k) * (2 if self.ties == "half" else 1)

    @property
    def group_names(self) -> list[str]:
        """The groups of users that are asked for, as `metrics.csv` names them."""
        return [name for group in self.groups for name in (QUARTERS if group == "activity" else [group])]

    @model_validator(mode="after")
    def _half_ties_are_for_one_target(self) -> ProtocolConfig:
        allowed = {name for name, about in declared().items() if about["half_ties"]}
        if self.ties == "half" and not set(self.metrics) <= allowed:
            raise ValueError(f"ties: half is defined for {', '.join(sorted(allowed))} only")
        return self

    @model_validator(mode="after")
    def _metrics_exist(self) -> ProtocolConfig:
        check_known(self.metrics, METRICS, "unknown metric '{name}'; allowed: {known}", ValueError)
        return self


# ---------------------------------------------------------------------------- studies


class TuningConfig(Strict):
    """The budget that every tuned model of a study gets, and the seed of the search."""

    trials: int = Field(ge=1, le=10_000)
    seed: Seed = 0
    users: int | None = Field(None, ge=100)


Models = Annotated[
    Annotated[str, Tag(ONE_TEXT)] | Annotated[list[str], Field(min_length=1), Tag(ONE_LIST)],
    Discriminator(lambda value: ONE_LIST if isinstance(value, list) else ONE_TEXT),
]


class ModelEntry(Strict):
    """A model in a study, once or along a sweep of parameter values; `config.keys` has all keys.

    `tune` searches on validation with the study's budget whatever `params` does not fix; `after` and `sweep`
    then set values on top of those chosen, so an ablation shares the tuning of the whole model.
    """

    model: Models
    variant: str = "default"
    params: dict[str, Scalar] = {}
    use_best: bool = False
    tune: bool = False
    validate_by: ValidatedBy = BY_RECALL
    after: dict[str, Scalar] = {}
    fit: list[Part] = ["train"]
    sweep: dict[str, Annotated[list[Scalar], Field(min_length=1)]] = {}
    group: str = "main"
    seeds: list[Seed] | None = None
    datasets: list[str] | None = None
    keep: bool = False

    @property
    def models(self) -> list[str]:
        """The models that the entry names."""
        return [self.model] if isinstance(self.model, str) else self.model


Entry = Annotated[
    Annotated[ModelEntry, Tag("ModelEntry")] | Annotated[ListsEntry, Tag("ListsEntry")],
    Discriminator(
        lambda value: (
            "ListsEntry"
            if isinstance(value, ListsEntry) or (isinstance(value, dict) and "lists" in value)
            else "ModelEntry"
        )
    ),
]


OF_ALL = ("name", "title", "kind", "caption")  # keys of every table, figure and claim


def check_keys(item: Any, what: str, known: Collection[str], also: Collection[str] = ()) -> None:
    """Refuse keys of a table, figure or claim that change nothing in those of its kind.

    Values are compared with the defaults: `study.json` holds every key.

    Parameters
    ----------
    item : Strict
        The table, figure or claim.
    what : str
        Which of these it is.
    known : collection of str
        Keys that its kind takes, besides `OF_ALL`.
    also : collection of str
        Keys that are checked elsewhere.

    Raises
    ------
    ValueError
        There is one; the message lists those that the kind takes.
    """
    for name, field in type(item).model_fields.items():
        if name not in (*OF_ALL, *known, *also) and getattr(item, name) != field.get_default():
            raise ValueError(
                f"a {what} of kind '{item.kind}' does not use `{name}`; it takes "
                f"{', '.join([*known, 'caption'])}"
            )


class TableConfig(Strict):
    """One table of a study; `config.keys` has all keys and kinds, `registry` which kind takes which key."""

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: str = "metrics"
    protocol: str = "standard"
    metrics: list[str] = []
    k: list[CutOff] = []
    reference: str | None = None
    figure: str | None = None
    datasets: list[str] | None = None
    groups: list[str] = ["main"]
    views: list[View] | None = None
    users: list[str] | None = None
    fit: list[Part] | None = None
    published: str | None = None
    printed: dict[str, str] = {}
    open_rows: bool = False
    epochs: dict[str, Annotated[int, Field(ge=1)]] = {}
    caption: str = ""

    @field_validator("users")
    @classmethod
    def _groups_of_users_exist(cls, users: list[str] | None) -> list[str] | None:
        check_known(users or [], GROUPS, "unknown group of users '{name}'; allowed: {known}", ValueError)
        return users

    @property
    def timed_against(self) -> str:
        """The model that a runtime table sets all in relation to."""
        return self.reference or "gfcf"

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        return registry.check_kind(kind, "table")

    @model_validator(mode="after")
    def _keys_are_used(self) -> TableConfig:
        check_keys(self, "table", registry.table_keys(self.kind))
        registry.check_table(self.kind, self)
        return self


# Kinds of figures that compare users.
WITH_USERS = ("ablation", "forest", "sensitivity", "heatmap")


class FigureConfig(Strict):
    """One figure of a study, drawn from a CSV on disk; `config.keys` has all keys and kinds."""

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: str
    group: str | None = None
    param: str | None = None
    other_param: str | None = None
    reference: Scalar | None = None
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
    def _keys_are_used(self) -> FigureConfig:
        check_keys(self, "figure", registry.figure_keys(self.kind), also=("options",))
        registry.check_options(self.kind, self.options)
        return self


class PairConfig(Strict):
    """Two variants of one model and what is claimed: that `better` is above `worse`."""

    better: str
    worse: str
    claim: str

    @model_validator(mode="after")
    def _are_two(self) -> PairConfig:
        if self.better == self.worse:
            raise ValueError(f"`better` and `worse` are both '{self.better}'; name two variants")
        return self


class Between(Strict):
    """A range of values of a parameter, both ends in it."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Between:
        if self.min is None and self.max is None:
            raise ValueError("needs `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("`min` must not be above `max`")
        return self

    def holds(self, value: Scalar) -> bool:
        """Return whether a value is in the range; texts and switches are in none."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        above = self.min is None or (number and value >= self.min)
        return number and above and (self.max is None or value <= self.max)


Setting = Annotated[
    Annotated[Scalar, Tag(ONE_TEXT)]
    | Annotated[list[Scalar], Field(min_length=1), Tag(ONE_LIST)]
    | Annotated[Between, Tag(BY_NAME)],
    Discriminator(
        lambda value: BY_NAME if isinstance(value, dict | Between) else
        ONE_LIST if isinstance(value, list) else ONE_TEXT
    ),
]  # fmt: skip
OF_SETTINGS = ("optimum", "flat")  # kinds of claims about the settings of a sweep


def _is_of(setting: Setting, value: Scalar) -> bool:
    """Return whether a parameter's value is among those that a claim names; 200 and 200.0 are one."""
    if isinstance(setting, Between):
        return setting.holds(value)
    listed = setting if isinstance(setting, list) else [setting]
    return any(isinstance(one, bool) == isinstance(value, bool) and one == value for one in listed)


RUNS = ("groups", "fit", "view", "protocol", "datasets")  # keys that say which runs are judged, and how
SAID = ("statement", "paper", "place", *RUNS, "metric", "k", "published", "printed")
# Kind -> the keys that it takes, besides those of every claim, and those that it cannot do without.
CLAIM_KEYS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "gain": (("model", "variant", "rivals", *SAID, "rival_protocol", "rival_metric"), ("model", "statement")),
    "ablation": (("model", "pairs", *SAID), ("model", "pairs")),
    "order": ((*SAID, "views"), ("statement",)),
    "value": (("model", "variant", *SAID, "within", "margin"), ("published", "statement")),
    "optimum": (("model", "settings", *SAID), ("model", "statement", "settings")),
    "flat": (("model", "settings", *SAID, "within", "margin"), ("model", "statement")),
    "listed": (("papers", *RUNS, "within", "margin"), ()),
}


class ClaimConfig(Strict):
    """What a paper says, to be set against the study's own numbers; `reporting/claims` judges it.

    `gain`
        `model` is above the best of its rivals, whichever that is. Rivals are the models named by `rivals`;
        without these the models that have a row in the table `published`; without that all of the groups.
        If the rivals' rows were printed with another metric, `rival_metric` under `rival_protocol`, the gain
        is also taken with each row's own metric, and with the rivals' metric for all.
    `ablation`
        Of every pair of variants of `model`, the better is above the worse.
    `order`
        The models stand in the same order on every dataset and view as on the first, or, with `published`,
        as they are printed.
    `value`
        The printed number comes out, to a share `within` or a `margin`: of `model`, or of all models with a
        printed row.
    `optimum`
        Of all settings of a sweep, the best of those that `settings` names is above the best of the others.
    `flat`
        Every setting of a sweep that `settings` names (without it, every one) is below the best of all by
        less than a share `within` of it, or than `margin`.
    `listed`
        Every statement of `config/published/claims.csv` about the claim's datasets and protocol, of all
        papers or of `papers`. The comparisons of one paper are one family, its printed values another.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    kind: Literal["value", "order", "gain", "ablation", "optimum", "flat", "listed"]
    papers: list[str] = []
    statement: str = ""
    paper: str = ""
    place: str = ""
    model: str = ""
    variant: str = "default"
    rivals: list[str] = []
    groups: list[str] = ["main"]
    fit: Part = "train"
    view: View | None = None
    views: list[View] = []
    protocol: str = "standard"
    metric: str = "ndcg"
    k: CutOff = 10
    rival_protocol: str | None = None
    rival_metric: str | None = None
    pairs: list[PairConfig] = []
    settings: dict[str, Setting] = {}
    within: float = Field(0.05, gt=0, lt=1)
    margin: float | None = Field(None, gt=0)
    datasets: list[str] | None = None
    published: str | None = None
    printed: dict[str, str] = {}
    caption: str = ""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> ClaimConfig:
        known, needed = CLAIM_KEYS[self.kind]
        check_keys(self, "claim", known)
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"a claim of kind {self.kind} needs `{name}`")
        if (self.rival_metric is None) != (self.rival_protocol is None):
            raise ValueError("`rival_metric` and `rival_protocol` are given together")
        if wrong := [
            m for _, m in self.measured if self.kind != "value" and m in METRICS and not of_users(m)
        ]:
            raise ValueError(f"{wrong[0]} is a number of the whole catalogue: users cannot be compared by it")
        if self.model and self.model in self.rivals:
            raise ValueError(f"{self.model} cannot be its own rival; leave it out of `rivals`")
        if self.rival_metric and not self.published:
            raise ValueError("`rival_metric` needs `published`, the table of the rivals' rows")
        return self

    def names_setting(self, values: Mapping[str, Scalar]) -> bool:
        """Return whether a run with these values of parameters is of a setting that the claim names."""
        return all(_is_of(setting, values[name]) for name, setting in self.settings.items())

    @property
    def measured(self) -> list[tuple[str, str]]:
        """Return (protocol, metric) of everything that is compared."""
        own = [(self.protocol, self.metric)]
        return own + ([(self.rival_protocol, self.rival_metric)] if self.rival_metric else [])


DEFAULT = "default"  # the key of seeds on all datasets that have none of their own
DRAWN = ("tables", "figures", "claims")
Seeds = Annotated[list[Seed], Field(min_length=1)]
StudySeeds = Annotated[
    Annotated[Seeds, Tag(ONE_LIST)] | Annotated[dict[str, Seeds], Tag(BY_NAME)],
    Discriminator(kind_of_list),
]


class StudyConfig(Strict):
    """What to run and draw: `config/studies/<name>.yaml` or any file; a scale says how much is spent."""

    name: str = Field(pattern=SAFE_NAME)
    title: str
    description: str = ""
    datasets: list[str]
    optional_datasets: list[str] = []
    seeds: StudySeeds = [0]
    tuning: TuningConfig | None = None
    protocols: list[str] = ["standard"]
    views: list[View] | None = None
    top: int = Field(50, ge=1, le=10_000)
    models: list[Entry]
    tables: list[TableConfig] = []
    figures: list[FigureConfig] = []
    claims: list[ClaimConfig] = []

    @model_validator(mode="after")
    def _seeds_have_a_default(self) -> StudyConfig:
        if isinstance(self.seeds, dict) and DEFAULT not in self.seeds:
            raise ValueError("seeds: by dataset they need `default`, the seeds of all other datasets")
        return self

    @model_validator(mode="after")
    def _names_are_unique(self) -> StudyConfig:
        """Two of one name would write the same files; some file systems do not tell `A` from `a`."""
        for kind in DRAWN:
            if problem := twice([item.name.lower() for item in getattr(self, kind)]):
                raise ValueError(f"{kind}: name {problem}; each needs one of its own")
        return self

    def seeds_on(self, dataset: str) -> list[int]:
        """Return the seeds of a model without its own on a dataset."""
        if isinstance(self.seeds, list):
            return self.seeds
        return self.seeds.get(dataset, self.seeds[DEFAULT])


def groups_of(item: Any) -> list[str]:
    """Return the groups of models that a table, figure or claim shows; none for all of them."""
    if isinstance(item, FigureConfig):
        return [item.group] if item.group else []
    shows_runs = not isinstance(item, TableConfig) or "groups" in registry.table_keys(item.kind)
    return item.groups if shows_runs else []


def fits_of(entry: ModelEntry | ListsEntry) -> list[str]:
    """Return what an entry's runs are fitted on."""
    return [entry.fit] if isinstance(entry.fit, str) else entry.fit


def labels_of(entry: ModelEntry | ListsEntry) -> Iterator[str]:
    """Yield the variants that an entry has runs of, one for each point of its sweep."""
    sweep = getattr(entry, "sweep", {})
    for point in itertools.product(*sweep.values()):
        yield variant_label(entry.variant, dict(zip(sweep, point, strict=True)))


def variant_label(variant: str, swept: dict[str, Scalar]) -> str:
    """Return the human name of a run: `c=0.2,w=0.1`, or `base[c=0.2]`."""
    if not swept:
        return variant
    point = ",".join(f"{name}={value}" for name, value in swept.items())
    return point if variant == "default" else f"{variant}[{point}]"
