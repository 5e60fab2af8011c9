"""What papers say of models, one statement a line: `config/published/claims.csv`.

A claim of kind `listed` takes its statements from there. Models, datasets and protocols have our names; a
model may be `name/variant`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal

from pydantic import Field

from recspectra.config.base import ConfigError, CutOff, Strict, nearest
from recspectra.config.yaml_io import validate
from recspectra.files import open_regular

STATEMENTS = Path("config") / "published" / "claims.csv"
_NUMBERS: dict[str, Callable[[str], float]] = {"k": int, "published": float, "published_rival": float}


class Statement(Strict):
    """A line of `claims.csv`.

    `gain`: the subject is above the rival, by what the two printed values give. `value`: the subject reaches
    the printed value.
    """

    paper: str
    place: str
    statement: str
    kind: Literal["gain", "value"]
    subject: str
    rival: str = ""
    dataset: str
    metric: str
    k: CutOff
    protocol: str
    published: float = Field(gt=0)
    published_rival: float | None = Field(None, gt=0)
    source: str

    @property
    def problem(self) -> str:
        """What its kind lacks or has too much, with the column; "" if nothing."""
        gain = self.kind == "gain"
        for name in ("rival", "published_rival"):
            if bool(getattr(self, name)) != gain:
                return f"column {name}: a {self.kind} {'needs it' if gain else 'has none'}"
        if gain and self.published <= self.published_rival:
            return "column published: must be above published_rival; the line says that it is"
        return ""

    @property
    def models(self) -> list[str]:
        """Our names of the models, without their variants."""
        return [name.partition("/")[0] for name in (self.subject, self.rival) if name]


COLUMNS = tuple(Statement.model_fields)


class Known:
    """What a line may name; `measures` is protocol -> (metrics, cut-offs)."""

    def __init__(
        self, models: Collection[str], datasets: Collection[str],
        measures: dict[str, tuple[Collection[str], Collection[int]]],
    ) -> None:  # fmt: skip
        self.models, self.datasets, self.measures = models, datasets, measures

    def problem(self, one: Statement) -> str:
        """Return what a statement names that is not there, with its column; "" where all is."""
        pairs = [("dataset", one.dataset, self.datasets), ("protocol", one.protocol, self.measures)]
        pairs += zip(("subject", "rival"), one.models, [self.models] * 2, strict=False)
        metrics, cut_offs = self.measures.get(one.protocol, ((), ()))
        pairs += [("metric", one.metric, metrics), ("k", one.k, cut_offs)]
        for column, name, known in pairs:
            if name not in known:
                return f"column {column}: unknown: '{name}'{nearest(name, known)}"
        return ""


def read_statements(root: Path, known: Known | None = None) -> list[Statement]:
    """Return the statements of a project folder.

    Parameters
    ----------
    root : Path
        The folder that holds `config/`.
    known : Known, optional
        What they may name; not checked without it.

    Raises
    ------
    ConfigError
        The file is missing or wrong; the message names file, line and column.
    """
    found: dict[tuple, tuple[int, Statement]] = {}
    for line, row in _rows(Path(root) / STATEMENTS):
        where = f"{STATEMENTS}: line {line}"
        one = _statement(row, where)
        if problem := one.problem or (known.problem(one) if known else ""):
            raise ConfigError(f"{where}, {problem}")
        first, _ = found.setdefault(_what_is_said(one), (line, one))
        if first < line:
            raise ConfigError(f"{where}: says the same as line {first} ({one.statement}); remove one")
    return [one for _, one in found.values()]


def _what_is_said(one: Statement) -> tuple:
    of = (one.paper, one.place, one.kind, one.subject, one.rival)
    return (*of, one.dataset, one.metric, one.k, one.protocol)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Return the number and the cells of each line after the first."""
    try:
        with open_regular(path) as file, io.TextIOWrapper(file, "utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = reader.fieldnames or ()
            found = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{STATEMENTS}: cannot be read ({error})") from None
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ConfigError(f"{STATEMENTS}: line 1: column {', '.join(missing)} is missing")
    return found


def _statement(row: dict[str, str], where: str) -> Statement:
    if None in row or None in row.values():
        raise ConfigError(f"{where}: has not as many cells as line 1; put quotes around a cell with a comma")
    for name in COLUMNS:
        if row[name] == "" and Statement.model_fields[name].is_required():
            raise ConfigError(f"{where}, column {name}: must not be empty")
    cells = {name: _cell(name, text, where) for name, text in row.items() if text != ""}
    return validate(Statement, cells, where)


def _cell(name: str, text: str, where: str) -> str | float:
    try:
        return _NUMBERS.get(name, str)(text)
    except ValueError:
        raise ConfigError(f"{where}, column {name}: '{text}' is no number") from None
