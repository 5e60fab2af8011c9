"""Published numbers and how they line up with what RecSpectra measures.

`config/published/results.csv` holds the printed values as they are printed, `claims.csv` the
printed improvements in percent, and `mapping.yaml` says which of our datasets, systems and
metric definitions the values belong to.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from recspectra.config.base import ConfigError, Strict, nearest
from recspectra.config.yaml_io import read_yaml, validate
from recspectra.reporting.results import read_csv

COLUMNS = ("paper", "table", "dataset", "method", "metric", "value")
CLAIM_COLUMNS = ("paper", "table", "dataset", "method", "over", "metric", "value", "where")


class Evaluator(Strict):
    """Which of our metric definitions some published rows were made with."""

    methods: list[str]
    datasets: list[str] | None = None
    definitions: dict[str, list[str]]
    note: str = ""


class PublishedTable(Strict):
    """One published table: `mapping.yaml`, key `paper/table`.

    `same` names, for a method of this table, the row of another table that is the same system:
    `paper/table method`.
    """

    title: str
    note: str = ""
    one_target: bool = False
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
        """Return the published method of a system, one variant's own entry first."""
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
        `results.csv` or `claims.csv` is missing or wrong.
    """

    def __init__(self, root: Path | str) -> None:
        folder = Path(root) / "config" / "published"
        mapping = read_yaml(folder / "mapping.yaml")
        self.tables: dict[str, PublishedTable] = {
            name: validate(PublishedTable, entry, f"config/published/mapping.yaml: {name}")
            for name, entry in mapping.items()
        }
        frame = read_csv(folder / "results.csv", COLUMNS, numbers=("value",))
        self.rows = frame.assign(id=frame["paper"] + "/" + frame["table"])
        claims = read_csv(folder / "claims.csv", CLAIM_COLUMNS)
        self.claims = claims.assign(id=claims["paper"] + "/" + claims["table"])
        keys = zip(self.rows["id"], frame["dataset"], frame["method"], frame["metric"], strict=True)
        self._values: dict[tuple, float] = dict(zip(keys, frame["value"], strict=True))

    def table(self, table_id: str) -> PublishedTable:
        """Return the mapping of one published table, such as `sdiff/table1`."""
        if table_id not in self.tables:
            raise ConfigError(
                f"unknown published table '{table_id}'; known: {', '.join(self.tables)}"
                f"{nearest(table_id, self.tables)}"
            )
        return self.tables[table_id]

    def values(self, table_id: str) -> pd.DataFrame:
        """Return all printed values of a table: `dataset,method,metric,value`."""
        rows = self.rows[self.rows["id"] == table_id]
        return rows[["dataset", "method", "metric", "value"]].reset_index(drop=True)

    def origin(self, table_id: str, method: str) -> tuple[str, str]:
        """Return the row that a row stands for: the first table in which the same system is printed."""
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
