"""What papers add to the workflow: figures with their numbers, columns of runs, tables, notes.

A module in `recspectra/papers/` calls `register` when it is imported. It is found by its place in that
folder, and no other module names it. All modules of the folder are imported when the Snakefile is parsed,
so those that are shipped load NumPy, pandas and PyTorch only inside the functions that need them.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recspectra.code_hashes import code_hash, function_hash
from recspectra.config.base import ConfigError, check_known
from recspectra.files import PACKAGE
from recspectra.identity import hash_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PAPERS = f"{PACKAGE}.papers"
# Figures that are drawn from what every study has (see `reporting/figures`), and tables.
ROWS = ("group", "model", "datasets")  # keys that say whose runs are drawn
MEASURED = ("protocol", "view", "metric", "k")  # keys that say which number of them
# Kind -> the keys that it takes, besides those of every figure.
FIGURE_KEYS = {
    "sensitivity": (*ROWS, "param", "reference", *MEASURED),
    "heatmap": (*ROWS, "param", "other_param", *MEASURED),
    "timing": ROWS,
    "learning-curves": ROWS,
    "tuning": ("model", "datasets"),
    "ablation": (*ROWS, "reference", *MEASURED),
    "forest": (*ROWS, *MEASURED),
    "published": ("datasets",),
    "worlds": ("group", "datasets"),
    "trade-off": (*ROWS, *MEASURED),
}
NUMBERS = ("protocol", "metrics", "k")
ENTRIES = ("datasets", "groups", "fit")  # keys that say whose runs are rows
PRINTED = ("published", "printed")
# The same of tables.
TABLE_KEYS = {
    "metrics": (*NUMBERS, *ENTRIES, "views", "users", "reference", *PRINTED, "open_rows"),
    "runtime": (*ENTRIES, "reference", "published", "epochs"),
    "activity": (*NUMBERS, *ENTRIES, "views"),
    "datasets": ("datasets", *PRINTED),
}
TABLE_NEEDS = {"metrics": {"metrics": 1, "k": 1}, "activity": {"metrics": 1, "k": 1}}
GENERIC_FIGURES = tuple(FIGURE_KEYS)
GENERIC_TABLES = tuple(TABLE_KEYS)


# ----------------------------------------------------------------------- what numbers are of


@dataclass(frozen=True)
class OfRuns:
    """Numbers that are read from the records of runs.

    Attributes
    ----------
    runs : callable
        (study, figure) -> the planned runs that a figure shows.
    rows : callable
        (study, planned run, its `run.json`) -> data frame with the columns of the kind.
    """

    runs: Callable[[Any, Any], Sequence[Any]]
    rows: Callable[[Any, Any, dict[str, Any]], DataFrame]


@dataclass(frozen=True)
class Target:
    """A file that a job measures, `results/measured/{name}.csv`.

    Attributes
    ----------
    name : str
        `{dataset}/...` for what is of a dataset.
    inputs : tuple of str
        Files of `results/` that the job reads; never test data.
    """

    name: str
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What a measurement is told.

    Attributes
    ----------
    inputs : list of Path
        Those of its target.
    options : dict
        Those of its kind, with what the figure sets.
    device : str
        `cpu` or `cuda`.
    threads : int
        That it may use.
    model : callable
        Name of a model -> its configuration.
    """

    inputs: list[Path]
    options: dict[str, Any]
    device: str
    threads: int
    model: Callable[[str], Any]


@dataclass(frozen=True)
class OfJobs:
    """Numbers that a job of their own measures.

    Attributes
    ----------
    measure : callable
        `Job` -> data frame with the columns of the kind.
    targets : callable, optional
        (study, figure) -> the files that a figure is drawn from; by default one that is of no dataset.
    options : dict
        What a figure may set under `options`, with defaults.
    on_device : bool
        Whether it runs where `device` says; else on the CPU.
    models : tuple of str
        Models whose code it runs.
    """

    measure: Callable[[Job], DataFrame]
    targets: Callable[[Any, Any], Sequence[Target]] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    on_device: bool = False
    models: tuple[str, ...] = ()


# -------------------------------------------------------------------------- what is registered


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure and the numbers that it is drawn from, `{name}.csv` of a study's folder.

    Attributes
    ----------
    name : str
        What `kind:` of a figure says.
    columns, numbers : tuple of str
        Columns of the CSV (after `figure`, the name of the figure), and those that hold numbers.
    source : OfRuns or OfJobs
        Where the numbers come from.
    data : callable
        (files of the study, figure, rows of the CSV that are the figure's) -> `FigureData`.
    of_fits : bool
        Whether it shows what was learned, so that what a cap ended must be marked.
    render : str or callable
        A renderer of `reporting.figures` by name, or `FigureData` -> picture.
    about : str
        What it shows, a sentence for the page of all keys.
    keys : tuple of str
        Keys of a figure that it takes, besides those of every figure and `options`.
    """

    name: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    source: OfRuns | OfJobs
    data: Callable[[Any, Any, DataFrame], Any]
    render: str | Callable[[Any], Figure] = "lines"
    of_fits: bool = False
    about: str = ""
    keys: tuple[str, ...] = ROWS


@dataclass(frozen=True)
class RunColumns:
    """Columns of `runs.csv`: `values` makes them of a run's record, {column: value}."""

    name: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]
    values: Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class TableKind:
    """A kind of table, with the numbers of a figure of some kind or of the study's own files.

    Attributes
    ----------
    name : str
        What `kind:` of a table says.
    columns, numbers : sequence of str
        Columns of its long form, `table-{name}.csv`, and those that hold numbers.
    build : callable
        (files, table, published) -> the long form.
    lay_out : callable
        (files, table, published, the long form as it is read back) -> the `Table` that is printed.
    keys : tuple of str
        Keys of a table that it takes, besides those of every table.
    needs : dict
        Those that it cannot do without, and how many entries each has at least.
    figure : str
        The kind of the figure that the table names under `figure`; "" where it has none.
    about : str
        What it shows, a sentence for the page of all keys.
    """

    name: str
    columns: Sequence[str]
    numbers: Sequence[str]
    build: Callable[[Any, Any, Any], DataFrame]
    lay_out: Callable[[Any, Any, Any, DataFrame], Any]
    keys: tuple[str, ...] = ()
    needs: Mapping[str, int] = field(default_factory=dict)
    figure: str = ""
    about: str = ""


@dataclass(frozen=True)
class Notes:
    """Sentences under the tables of some groups, datasets and fits."""

    name: str
    told: Callable[[Any, list[str], list[str], list[str] | None], list[str]]


@dataclass(frozen=True)
class Doubt:
    """Why runs of a model do not stand for it: `reason` takes rows of `runs.csv`; "" where they do."""

    name: str
    reason: Callable[[DataFrame], str]


Entry = FigureKind | RunColumns | TableKind | Notes | Doubt
_entries: dict[tuple[type, str], Entry] = {}


def register(*entries: Entry) -> None:
    """Add what a paper has.

    Raises
    ------
    ConfigError
        Something else of that sort has the name.
    """
    for entry in entries:
        place = type(entry), entry.name
        taken = entry.name in (*GENERIC_FIGURES, *GENERIC_TABLES)
        if taken or _entries.get(place, entry) != entry:
            raise ConfigError(f"{PAPERS}: a {type(entry).__name__} '{entry.name}' is there already")
        _entries[place] = entry


@functools.cache
def load() -> None:
    """Import every module of `recspectra/papers/`.

    Raises
    ------
    ConfigError
        A module cannot be imported; the message names it.
    """
    for found in pkgutil.iter_modules(importlib.import_module(PAPERS).__path__):
        try:
            importlib.import_module(f"{PAPERS}.{found.name}")
        except ConfigError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise ConfigError(f"recspectra/papers/{found.name}.py cannot be imported ({what})") from error


def _all(sort: type) -> dict[str, Any]:
    load()
    return {name: entry for (kind, name), entry in sorted(_entries.items(), key=str) if kind is sort}


def figures() -> dict[str, FigureKind]:
    """Return the kinds of figures of papers by name."""
    return _all(FigureKind)


def tables() -> dict[str, TableKind]:
    """Return the kinds of tables of papers by name."""
    return _all(TableKind)


def run_columns() -> list[RunColumns]:
    """Return the columns of `runs.csv` that papers add."""
    return list(_all(RunColumns).values())


def notes() -> list[Notes]:
    """Return what papers say under tables."""
    return list(_all(Notes).values())


def doubts() -> list[Doubt]:
    """Return what papers know of runs that do not stand for their model."""
    return list(_all(Doubt).values())


def figure(name: str) -> FigureKind:
    """Return a kind of figure of a paper."""
    known = figures()
    check_known([name], known, "no paper has figures of kind '{name}'")
    return known[name]


def check_kind(name: str, what: str) -> str:
    """Return the name of a kind of `figure` or `table`, which must be known.

    Raises
    ------
    ValueError
        It is not; the message lists those that are.
    """
    known = [*GENERIC_FIGURES, *figures()] if what == "figure" else [*GENERIC_TABLES, *tables()]
    check_known([name], known, f"unknown kind of {what} '{{name}}'; known: {{known}}", ValueError)
    return name


# --------------------------------------------------------------------------- keys and options


def figure_keys(kind: str) -> tuple[str, ...]:
    """Return the keys that figures of a kind take, besides `name`, `title`, `kind` and `caption`."""
    if kind in FIGURE_KEYS:
        return FIGURE_KEYS[kind]
    about = figures()[kind]
    has_options = isinstance(about.source, OfJobs) and about.source.options
    return (*about.keys, "options") if has_options else about.keys


def table_keys(kind: str) -> tuple[str, ...]:
    """Return the keys that tables of a kind take, besides `name`, `title`, `kind` and `caption`."""
    if kind in TABLE_KEYS:
        return TABLE_KEYS[kind]
    about = tables()[kind]
    return (*about.keys, "figure") if about.figure else about.keys


def table_needs(kind: str) -> Mapping[str, int]:
    """Return the keys that tables of a kind cannot do without, and how many entries each has at least."""
    if kind in TABLE_KEYS:
        return TABLE_NEEDS.get(kind, {})
    about = tables()[kind]
    return {**about.needs, "figure": 1} if about.figure else about.needs


def check_table(kind: str, table: Any) -> None:
    """Refuse a table that lacks what its kind needs.

    Raises
    ------
    ValueError
        It does; the message names the key.
    """
    for name, least in table_needs(kind).items():
        if len(getattr(table, name) or "") < least:
            figure = f", the name of a figure of kind {tables()[kind].figure}" if name == "figure" else ""
            many = f", {least} of them" if least > 1 else ""
            raise ValueError(f"a table of kind {kind} needs `{name}`{figure}{many}")


def check_options(kind: str, options: Mapping[str, Any]) -> None:
    """Refuse options of a figure that its kind does not have, or has of another type.

    Raises
    ------
    ValueError
        One of them is of that sort.
    """
    source = figures()[kind].source if kind in figures() else None
    known = source.options if isinstance(source, OfJobs) else {}
    said = f"figures of kind '{kind}' have no option '{{name}}'; they have {{known}}"
    check_known(options, known, said, ValueError)
    for name, value in options.items():
        if known[name] is not None and not _is_like(value, known[name]):
            raise ValueError(f"option '{name}' of kind '{kind}' must be like its default {known[name]!r}")


def _is_like(value: Any, default: Any) -> bool:
    """Tell whether a value has the type of a default; a whole number may stand for a fraction."""
    if isinstance(default, list):
        return isinstance(value, list) and all(_is_like(one, default[0]) for one in value)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


def targets(study: Any, config: Any) -> list[Target]:
    """Return the files that a figure of a study is drawn from, named by the options that it sets."""
    kind = figures().get(config.kind)
    if kind is None or not isinstance(kind.source, OfJobs):
        return []
    found = kind.source.targets(study, config) if kind.source.targets else [Target(kind.name)]
    ending = f".{hash_of(dict(config.options))[:10]}" if config.options else ""
    return [Target(f"{target.name}{ending}", target.inputs) for target in found]


# ----------------------------------------------------------------------------------- code


def measuring_code(kind: FigureKind, *scripts: Path) -> str:
    """Return the hash of the code that measures a kind's numbers in a job."""
    models = code_hash(*(f"{PACKAGE}.models.{model}" for model in kind.source.models), scripts=scripts)
    return hash_of([function_hash(kind.source.measure), models, kind.columns])[:12]


def gathering_code(kind: FigureKind, *scripts: Path) -> str:
    """Return the hash of the code that makes `{name}.csv` of a study."""
    used = [kind.source.rows, kind.source.runs] if isinstance(kind.source, OfRuns) else [kind.source.targets]
    parts = [function_hash(function) for function in used if function]
    return hash_of([parts, code_hash(f"{PACKAGE}.reporting.gather", scripts=scripts), kind.columns])[:12]


def collecting_code() -> str:
    """Return the hash of the code that makes the columns of `runs.csv`."""
    return hash_of([(c.columns, function_hash(c.values)) for c in run_columns()])[:12]


def drawing_code(config: Any) -> str:
    """Return the hash of the code of papers that draws what a study's configuration names."""
    kinds = [figures()[f.kind] for f in config.figures if f.kind in figures()]
    used = [f for kind in kinds for f in (kind.data, kind.render) if callable(f)]
    chosen = [tables()[t.kind] for t in config.tables if t.kind in tables()]
    used += [f for table in chosen for f in (table.build, table.lay_out)]
    used += [note.told for note in notes()] + [doubt.reason for doubt in doubts()]
    looks = [(k.columns, k.numbers, k.of_fits, k.render if isinstance(k.render, str) else "") for k in kinds]
    looks += [(table.columns, table.numbers) for table in chosen]
    return hash_of([[function_hash(f) for f in used], looks])[:12]
