"""Published numbers and how they line up with what RecSpectra measures.

`config/published/results.csv` holds the printed values as they are printed, `improvements.csv` the
printed improvements in percent, `datasets.csv` the printed counts of datasets, and `mapping.yaml` says
which of our datasets, models and metric definitions the values belong to. What papers say of models is in
`claims.csv`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from recspectra.config.base import Strict, check_known
from recspectra.config.statements import read_statements
from recspectra.config.study import ClaimConfig
from recspectra.config.yaml_io import read_yaml, validate
from recspectra.reporting.results import read_csv

COLUMNS = ("paper", "table", "dataset", "method", "metric", "value")
DATASET_COLUMNS = ("paper", "dataset", "n_users", "n_items", "n_interactions", "sparsity", "mean_length")
IMPROVEMENT_COLUMNS = ("paper", "table", "dataset", "method", "over", "metric", "value", "where")


class Evaluator(Strict):
    """Which of our metric definitions some published rows were made with."""

    methods: list[str]
    datasets: list[str] | None = None
    definitions: dict[str, list[str]]
    note: str = ""


class PublishedTable(Strict):
    """One published table: `mapping.yaml`, key `paper/table`.

    `same` names, for a method of this table, the row of another table that is the same model:
    `paper/table method`. `protocols` are those of ours with the paper's history and mask, as far as it names
    them.
    """

    title: str
    note: str = ""
    one_target: bool = False
    protocols: list[str] = []
    same: dict[str, str] = {}
    datasets: dict[str, str] = {}
    methods: dict[str, str]
    metrics: dict[str, str] = {}
    evaluators: list[Evaluator] = []

    def evaluator(self, method: str, dataset: str) -> Evaluator | None:
        """Return the first evaluator that names a published method and dataset."""
        for entry in self.evaluators:
            if method in entry.methods and (entry.datasets is None or dataset in entry.datasets):
                return entry
        return None

    def method_of(self, model: str, variant: str) -> str | None:
        """Return the published method of a model, one variant's own entry first."""
        inverse = {ours: method for method, ours in self.methods.items()}
        return inverse.get(f"{model}/{variant}", inverse.get(model))


class Printed(NamedTuple):
    """A published value, and whether it was made with the metric it is set beside.

    `same_definition` is None when nobody knows the definition of the published value;
    `same_data` is False when it was measured on other files or another split.
    """

    value: float
    same_definition: bool | None
    note: str
    same_data: bool = True


class Published:
    """The published tables of a project folder.

    Parameters
    ----------
    root : Path
        The folder that holds `config/`.

    Raises
    ------
    ConfigError
        `mapping.yaml` is missing or wrong.
    StudyError
        `results.csv` or `improvements.csv` is missing or wrong.
    """

    def __init__(self, root: Path | str) -> None:
        self.folder = folder = Path(root) / "config" / "published"
        mapping = read_yaml(folder / "mapping.yaml")
        self.tables: dict[str, PublishedTable] = {
            name: validate(PublishedTable, entry, f"config/published/mapping.yaml: {name}")
            for name, entry in mapping.items()
        }
        frame = read_csv(folder / "results.csv", COLUMNS, numbers=("value",))
        self.rows = frame.assign(id=frame["paper"] + "/" + frame["table"])
        printed = read_csv(folder / "improvements.csv", IMPROVEMENT_COLUMNS)
        self.improvements = printed.assign(id=printed["paper"] + "/" + printed["table"])
        self.statements = read_statements(Path(root))
        keys = zip(self.rows["id"], frame["dataset"], frame["method"], frame["metric"], strict=True)
        self._values: dict[tuple, float] = dict(zip(keys, frame["value"], strict=True))

    @cached_property
    def datasets(self) -> pd.DataFrame:
        """The printed counts of datasets, as texts with the digits that are printed."""
        return read_csv(self.folder / "datasets.csv", DATASET_COLUMNS)

    def table(self, table_id: str) -> PublishedTable:
        """Return the mapping of one published table, such as `sdiff/table1`."""
        check_known([table_id], self.tables, "unknown published table '{name}'; known: {known}")
        return self.tables[table_id]

    def values(self, table_id: str) -> pd.DataFrame:
        """Return all printed values of a table: `dataset,method,metric,value`."""
        rows = self.rows[self.rows["id"] == table_id]
        return rows[["dataset", "method", "metric", "value"]].reset_index(drop=True)

    def origin(self, table_id: str, method: str) -> tuple[str, str]:
        """Return the row that a row stands for: the first table in which the same model is printed."""
        seen: set[tuple[str, str]] = set()
        place = (table_id, method)
        while place not in seen and (other := self.table(place[0]).same.get(place[1])):
            seen.add(place)
            table, _, name = other.partition(" ")
            place = (table, name)
        return place

    def lookup(
        self, table_id: str, dataset: str, model: str, metric: str, k: int, variant: str = "default",
        printed: str | None = None,
    ) -> Printed | None:  # fmt: skip
        """Return the printed counterpart of one of our numbers, or None.

        Parameters
        ----------
        table_id : str
            `paper/table`.
        dataset, model, metric, variant : str
            Our names.
        k : int
            Cut-off.
        printed : str, optional
            The published dataset to take where ours has no counterpart.
        """
        table = self.table(table_id)
        mapped = {ours: name for name, ours in table.datasets.items()}
        theirs = mapped.get(dataset, printed)
        method = table.method_of(model, variant)
        name = table.metrics.get(metric)
        value = self._values.get((table_id, theirs, method, f"{name}@{k}"))
        if value is None:
            return None
        entry = table.evaluator(method, theirs)
        definitions = entry.definitions.get(name, []) if entry else []
        same = metric in definitions if definitions else None
        return Printed(value, same, entry.note if entry else "", dataset in mapped)

    def notes(self, table_id: str) -> list[str]:
        """Return what a reader must know before comparing with a table."""
        table = self.table(table_id)
        notes = [table.note, *(entry.note for entry in table.evaluators)]
        return [note for note in dict.fromkeys(notes) if note]


class Gain(NamedTuple):
    """A printed value, the best of the other methods, and the relative gain over it."""

    own: float
    rival: str
    value: float
    gain: float


class PublishedValues:
    """What a published table prints for a claim; without a table, nothing."""

    def __init__(self, published: Published, claim: ClaimConfig) -> None:
        self.claim = claim
        self.table: PublishedTable | None = None
        if claim.published:
            self.table = published.table(claim.published)
            self.values = published.values(claim.published)

    def dataset(self, ours: str) -> str | None:
        """Return the printed dataset beside one of ours."""
        mapped = {own: theirs for theirs, own in self.table.datasets.items()} if self.table else {}
        return mapped.get(ours, self.claim.printed.get(ours))

    def method(self, model: str, variant: str) -> str | None:
        """Return the printed name of a model; None if the table lacks it or there is no table."""
        return self.table.method_of(model, variant) if self.table else None

    def column(self, ours: str, metric: str) -> dict[str, float]:
        """Return method -> printed value of a metric at the claim's cut-off."""
        if self.table is None:
            return {}
        name = f"{self.table.metrics.get(metric, metric)}@{self.claim.k}"
        rows = self.values[(self.values["dataset"] == self.dataset(ours)) & (self.values["metric"] == name)]
        return dict(zip(rows["method"], rows["value"], strict=True))

    def value(self, ours: str, model: str, variant: str) -> float:
        """Return the printed value of a model, NaN where there is none."""
        return self.column(ours, self.claim.metric).get(self.method(model, variant), np.nan)

    def gain(self, ours: str) -> Gain | None:
        """Return the printed gain of the claim's model over the best of its rivals, by default all others."""
        column = self.column(ours, self.claim.metric)
        own = column.pop(self.method(self.claim.model, self.claim.variant), None)
        if self.claim.rivals:
            named = {self.method(rival, "default") for rival in self.claim.rivals}
            column = {method: value for method, value in column.items() if method in named}
        if own is None or not column:
            return None
        rival = max(column, key=column.__getitem__)
        return Gain(own, rival, column[rival], own / column[rival] - 1.0)

    def absent(self, ours: set[tuple[str, str]]) -> list[str]:
        """Return the printed methods that no model of the study stands for."""
        found = {self.method(model, variant) for model, variant in ours}
        return [method for method in self.table.methods if method not in found] if self.table else []

    def definitions(self, ours: str, model: str, variant: str) -> list[str]:
        """Return which of our metrics a printed value was made with; empty if nobody knows."""
        return self._definitions(ours, self.method(model, variant))

    def _definitions(self, ours: str, method: str | None) -> list[str]:
        entry = self.table.evaluator(method, self.dataset(ours)) if method else None
        name = self.table.metrics.get(self.claim.metric, self.claim.metric) if method else ""
        return entry.definitions.get(name, []) if entry else []

    def mismatch(self, ours: str, model: str, variant: str, protocol: str, metric: str) -> str:
        """Return why a printed value may not be compared with one of ours; "" if it may."""
        return self.mismatch_of(ours, self.method(model, variant), protocol, metric)

    def mismatch_of(self, ours: str, method: str | None, protocol: str, metric: str) -> str:
        """Return the same of a printed method."""
        if method not in self.column(ours, self.claim.metric):
            return ""
        made = self._definitions(ours, method)
        if metric not in made:
            return f"another definition ({', '.join(made)})" if made else "an unknown definition"
        if ours not in self.table.datasets.values():
            return f"other files ({self.dataset(ours)})"
        return "" if protocol in self.table.protocols else "another protocol"
