"""The files of a study folder as data frames, checked, and means over seeds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra import registry
from recspectra.config import folds
from recspectra.config.narrowed import LeftOut
from recspectra.config.scale import CAPPED, USABLE
from recspectra.config.study import StudyConfig, TableConfig, View
from recspectra.config.yaml_io import validate
from recspectra.data import reach
from recspectra.files import REPAIR, open_regular, read_json, write_text
from recspectra.reporting.escape import from_spreadsheet, spreadsheet

COLUMNS = {
    "metrics": "dataset model variant key seed protocol fit history mask users metric k value status",
    "runs": "dataset model title kind variant group key seed fit status reason spectrum_seconds "
    "fit_seconds score_seconds peak_memory_mb device threads epochs best_epoch best_validation params swept",
    "learning": "dataset model variant group seed fit curve epoch value",
    "tuning": "dataset model title key budget trial value best status reason seconds params",
    "datasets": "dataset title users items interactions train valid test test_users density "
    f"{' '.join(reach.COLUMNS)} mean_length ordered licence citation notes",
}
# What a file of an earlier version lacks, and what stands for it.
ABSENT = {"metrics": {"users": "all"}, "datasets": dict.fromkeys(reach.COLUMNS, "")}
NUMBERS = {
    "metrics": ("k", "value"),
    "runs": (
        "spectrum_seconds",
        "fit_seconds",
        "score_seconds",
        "peak_memory_mb",
        "best_validation",
    ),
    "learning": ("epoch", "value"),
    "tuning": ("budget", "trial", "value", "best", "seconds"),
    "datasets": ("density", "mean_length"),
}
JOIN = ["dataset", "model", "variant", "key", "seed", "fit"]
PATHS = {"dataset", "model", "key", "seed"}  # columns that paths are made of
ONE_NAME = r"(?!\.)[A-Za-z0-9._=,+-]{1,255}"  # of one folder or file
STAGES = ["spectrum_seconds", "fit_seconds", "score_seconds"]
POINT = ["dataset", "history", "mask", "users", "fit", "metric", "k"]


class StudyError(Exception):
    """A study's files are missing or wrong; the message says which and what to do."""


def read_csv(
    path: Path, columns: Iterable[str], numbers: Iterable[str] = (), hint: str = "",
    absent: Mapping[str, str] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Read a CSV as text, some columns as numbers, without guessing any type.

    Guessing would turn a variant called `NA` or `1e3` into something else. `absent` (column -> value) fills
    columns that files of earlier versions lack.

    Raises
    ------
    StudyError
        The file is missing, empty, lacks a column or holds text for a number.
    """
    try:
        with open_regular(path) as stream:  # a pipe would be waited for
            frame = pd.read_csv(stream, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise StudyError(f"{path}: file not found{'; ' + hint if hint else ''}") from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, OSError) as error:
        raise StudyError(f"{path}: cannot be read as CSV ({error}); delete it and run again") from None
    frame = frame.assign(**{name: v for name, v in (absent or {}).items() if name not in frame.columns})
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise StudyError(
            f"{path}: column {', '.join(missing)} is missing; found: {', '.join(frame.columns)}; if another "
            "version wrote the file, run the study again"
        )
    frame = from_spreadsheet(frame)
    for name in numbers:
        frame[name] = _numbers(frame[name], path)
    return frame


def read_parquet(path: Path, **how: Any) -> pd.DataFrame:
    """Read a Parquet file of a study.

    Raises
    ------
    StudyError
        The file is missing, no regular one, or damaged.
    """
    try:
        with open_regular(path) as stream:
            return pd.read_parquet(stream, **how)
    except FileNotFoundError:
        raise StudyError(f"{path}: file not found; evaluate the study again") from None
    except MemoryError:
        raise
    except Exception as error:  # Arrow raises a dozen kinds
        raise StudyError(f"{path}: truncated or corrupted ({first_line(error)}); {REPAIR}") from None


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _numbers(text: pd.Series, path: Path) -> pd.Series:
    cells = text.tolist()
    values = pd.to_numeric(np.array(cells, dtype=object), errors="coerce")
    for place in np.flatnonzero(np.isnan(values)):
        if cells[place].lower() not in ("", "nan"):
            raise StudyError(
                f"{path}: column {text.name}, line {text.index[place] + 2}: {cells[place]!r} is not a number"
            )
    return pd.Series(values, text.index, name=text.name)


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame atomically, safe for spreadsheets; equal frames give equal bytes."""
    write_text(path, spreadsheet(frame).to_csv(index=False, float_format="%.10g", lineterminator="\n"))


def _check_names(path: Path, column: str, names: Iterable[str]) -> None:
    """Refuse names that lead out of the results: the report links to files by them, and packs those."""
    for name in names:
        if name and not re.fullmatch(ONE_NAME, name):
            raise StudyError(f"{path}: {column} {name[:60]!r} is no name; delete the file and run again")


class StudyResults:
    """What a study folder holds, each file read when it is first asked for.

    Parameters
    ----------
    folder : Path
        `results/studies/{study}`.

    Attributes
    ----------
    study : dict
        `study.json`: the study's configuration, its provenance, models, protocols.
    config : StudyConfig
        The configuration alone.
    left_out : LeftOut
        What its user narrowed away.
    protocols : dict
        Title, reason, target, metrics and cut-offs of each protocol.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / "study.json"
        if not path.is_file():
            raise StudyError(f"{path}: file not found; is {self.folder} the folder of a finished study?")
        self.study = read_json(path)
        if not isinstance(self.study, dict):
            raise StudyError(f"{path}: holds no record of a study; delete it and run the study again")
        known = {name: self.study[name] for name in StudyConfig.model_fields if name in self.study}
        listed = known.get("protocols", [])
        # The descriptions of the protocols take the place of their list of names.
        self.protocols: dict[str, dict] = listed if isinstance(listed, dict) else {}
        known["protocols"] = list(listed)
        self.config: StudyConfig = validate(StudyConfig, known, str(path))
        self.left_out = validate(LeftOut, self.study.get("left_out", {}), str(path))
        _check_names(path, "datasets", self.config.datasets)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """One row a number, over the users that its protocol names; `k` is an integer."""
        return self._measured[self._is_own].reset_index(drop=True)

    @cached_property
    def warm_metrics(self) -> pd.DataFrame:
        """The numbers over warm users that stand beside those over all users, where some are cold."""
        beside = ~self._is_own & (self._measured["users"] == "warm")
        return self._measured[beside].reset_index(drop=True)

    @cached_property
    def group_metrics(self) -> pd.DataFrame:
        """The numbers over all other groups of users that the protocols ask for."""
        return self._measured[~self._is_own].reset_index(drop=True)

    @property
    def _is_own(self) -> pd.Series:
        """Whether a row is over the users that its protocol names."""
        named = {name: about.get("users", "all") for name, about in self.protocols.items()}
        frame = self._measured
        return frame["users"] == frame["protocol"].map(named).fillna("all")

    @cached_property
    def _measured(self) -> pd.DataFrame:
        """All rows of metrics.csv, no number twice."""
        frame = self._read("metrics").drop_duplicates()
        if frame["k"].isna().any():
            raise StudyError(f"{self.folder / 'metrics.csv'}: a row has no k")
        frame["k"] = frame["k"].astype("int64")
        same = [name for name in COLUMNS["metrics"].split() if name not in ("value", "status")]
        twice = frame[frame.duplicated(same)]
        if len(twice):
            where = ", ".join(f"{name}={twice.iloc[0][name]}" for name in same)
            raise StudyError(f"{self.folder / 'metrics.csv'}: two different values for {where}")
        return frame

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run; `params` and `swept` are dictionaries. Papers add columns of their own."""
        added = registry.run_columns()
        names, numbers = ([n for part in added for n in getattr(part, k)] for k in ("columns", "numbers"))
        frame = self._read("runs", numbers, dict.fromkeys(names, ""))
        for name in ("params", "swept"):
            frame[name] = [self._json(text, name) for text in frame[name]]
        return frame

    @cached_property
    def learning(self) -> pd.DataFrame:
        """Learning curves."""
        return self._read("learning")

    @cached_property
    def tuning(self) -> pd.DataFrame:
        """One row a trial; none where nothing was tuned."""
        if (self.folder / "tuning.csv").is_file():  # a study of an older version lacks it
            return self._read("tuning")
        columns = COLUMNS["tuning"].split()
        return pd.DataFrame(columns=columns).astype(dict.fromkeys(NUMBERS["tuning"], "float64"))

    def numbers(self, kind: str, table: TableConfig | None = None) -> pd.DataFrame:
        """Return what figures of a paper's kind are drawn from; no row where nothing asked for it.

        With a table only the rows of the figure and the datasets that it names.
        """
        about = registry.figure(kind)
        columns, path = ["figure", *about.columns], self.folder / f"{kind}.csv"
        if not path.is_file():
            return pd.DataFrame(columns=columns).astype(dict.fromkeys(about.numbers, "float64"))
        rows = read_csv(path, columns, about.numbers)
        rows = rows if table is None else rows[rows["figure"] == table.figure]
        return rows[rows["dataset"].isin(table.datasets)] if table and table.datasets else rows

    @cached_property
    def datasets(self) -> pd.DataFrame:
        """One row a dataset."""
        return self._read("datasets")

    def per_user(self, dataset: str) -> Path:
        """Return the file of values by user of a dataset."""
        return self.folder / "per_user" / f"{dataset}.parquet"

    @cached_property
    def titles(self) -> dict[str, str]:
        """Human name of each dataset, and of those that are split into folds."""
        own = dict(zip(self.datasets["dataset"], self.datasets["title"], strict=True))
        return own | {base: folds.title_of(own[names[0]]) for base, names in folds.group(own).items()}

    @cached_property
    def folds(self) -> dict[str, list[str]]:
        """The folds of each dataset that is split into several."""
        found = folds.group(self.config.datasets)
        return {base: names for base, names in found.items() if len(names) > 1}

    def views(self, protocol: str) -> list[View]:
        """Return the views of a protocol: the study's, the protocol's own, or those measured."""
        about = self.protocols.get(protocol, {})
        if self.config.views and about.get("target", "test") == "test":
            return list(self.config.views)
        if about.get("views"):
            return [View(history=view["history"], mask=view["mask"]) for view in about["views"]]
        rows = self.metrics[self.metrics["protocol"] == protocol]
        seen = rows[["history", "mask"]].drop_duplicates()
        return [View(history=h, mask=m) for h, m in seen.itertuples(index=False)]

    def _read(
        self, name: str, numbers: Iterable[str] = (), absent: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        path = self.folder / f"{name}.csv"
        hint = f"make it with `snakemake results/studies/{self.config.name}/{name}.csv`"
        lacking = {**ABSENT.get(name, {}), **(absent or {})}
        frame = read_csv(path, COLUMNS[name].split(), (*NUMBERS[name], *numbers), hint, lacking)
        for column in PATHS & set(frame.columns):
            _check_names(path, column, frame[column].astype(str).unique())
        return frame

    def _json(self, text: str, column: str) -> dict:
        try:
            return json.loads(text or "{}")
        except ValueError:
            path = self.folder / "runs.csv"
            raise StudyError(f"{path}: column {column} holds no JSON: {text[:60]!r}") from None


# ------------------------------------------------------------------------------- labels


def select_runs(
    files: StudyResults,
    groups: list[str] | None = None,
    datasets: list[str] | None = None,
    fits: list[str] | None = None,
    model: str | None = None,
) -> pd.DataFrame:
    """Return the runs of some groups, datasets, fits and one model, with a `label` each."""
    runs = files.runs
    for column, wanted in (("group", groups), ("dataset", datasets), ("fit", fits)):
        runs = runs[runs[column].isin(wanted)] if wanted else runs
    runs = runs[runs["model"] == model] if model else runs
    return runs.assign(label=_labels(runs))


def rows_at(rows: pd.DataFrame, point: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows that have the values of a point in its columns."""
    for name, value in point.items():
        rows = rows[rows[name] == value]
    return rows


def names_of(runs: pd.DataFrame) -> pd.Series:
    r"""Return what tells runs of a dataset apart, seeds left out: `model\0variant\0key`."""
    return runs["model"] + "\0" + runs["variant"] + "\0" + runs["key"]


def fit_of(name: str) -> str:
    """Return which fit a name of `names_of` is of: a point of a sweep may be the main row again."""
    model, _, key = name.split("\0")
    return f"{model}\0{key}"


def seconds_of(runs: pd.DataFrame) -> pd.Series:
    """Return the seconds of eigenpairs, fit and scoring together; NaN where nobody measured any."""
    return runs[STAGES].sum(axis=1, min_count=1)


def not_converged(files: StudyResults, runs: pd.DataFrame) -> pd.DataFrame:
    """Return those of some runs that were still gaining on validation when their epochs ran out.

    Early stopping ends a run some epochs after its best one; the last validation of these was above all
    before it. A last one that equals an earlier best gained nothing.
    A refit learns for as many epochs as did best on train, so it is as far as the run there.

    Parameters
    ----------
    files : StudyResults
        The study's files.
    runs : DataFrame
        Rows of `select_runs`.

    Returns
    -------
    DataFrame
        Columns `dataset`, `model`, `variant`, `label`, `seed`.
    """
    by = ["dataset", "model", "variant", "group", "seed"]
    curves = files.learning[files.learning["curve"] != "loss"].dropna(subset=["epoch", "value"])
    curves = curves[curves["fit"] == "train"].drop(columns="fit")  # a refit has no validation
    rows = runs[[*by, "fit", "label"]].drop_duplicates().merge(curves, on=by)  # epoch by epoch
    whole = rows.assign(place=rows.index).groupby([*by, "fit", "label"], sort=False)
    ends = pd.DataFrame({"last": whole["place"].last(), "best": whole["value"].idxmax()}).reset_index()
    return ends.loc[ends["last"] == ends["best"], ["dataset", "model", "variant", "label", "seed"]]


def leaked_lists(files: StudyResults) -> dict[tuple[str, str, str], list[str]]:
    """Return which lists from elsewhere look as if made with test items: (dataset, model, key) -> why."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for lists in files.study.get("elsewhere", []):
        found.setdefault((lists["dataset"], lists["model"], lists["key"]), []).extend(lists.get("leaks", []))
    return {place: list(dict.fromkeys(told)) for place, told in found.items() if told}


def models_of(files: StudyResults, groups: list[str], datasets: list[str] | None, fit: str) -> pd.DataFrame:
    """Return one row a model, variant and dataset: `label`, `title`, `key` and joint `status` of its seeds.

    A variant that stands in several groups is taken from the first of them.
    """
    runs = select_runs(files, groups, datasets, [fit])
    place = runs["group"].map({name: i for i, name in enumerate(groups)})
    first = place.groupby([runs[name] for name in ("dataset", "model", "variant")]).transform("min")
    runs = runs[place == first]
    runs = runs.assign(label=_labels(runs))
    by = ["dataset", "model", "variant", "key", "fit", "title", "label"]
    rows = runs.groupby(by, sort=False)["status"].agg(joint_status).reset_index()
    return by_dataset(rows, files)


def by_dataset(rows: pd.DataFrame, files: StudyResults) -> pd.DataFrame:
    """Return rows dataset by dataset, in the order of the study."""
    order = {name: i for i, name in enumerate(files.config.datasets)}
    return rows.sort_values("dataset", key=lambda names: names.map(order), kind="stable", ignore_index=True)


def _labels(runs: pd.DataFrame) -> pd.Series:
    """Name each run by title, variant and fit, with as little as tells models apart."""
    label = runs["title"].where(runs["variant"] == "default", runs["title"] + " (" + runs["variant"] + ")")
    if runs["fit"].nunique() > 1:
        label = label + ", fit " + runs["fit"]
    same = [runs[name] for name in ("dataset", "model", "variant", "fit")]
    keys = runs["key"].groupby(same).transform("nunique")
    clash = keys.groupby(same[1:]).transform("max") > 1
    label = label.where(~clash, label + " [" + runs["group"] + "]")
    models = runs["model"].groupby(label).transform("nunique")
    return label.where(models <= 1, label + " [" + runs["model"] + "]")


# -------------------------------------------------------------------------- aggregation


def aggregate(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Average values over seeds.

    Parameters
    ----------
    rows : DataFrame
        With columns `value`, `status` and those of `by`; failed rows have no value.
    by : list of str
        What tells two numbers apart, the seed left out.

    Returns
    -------
    DataFrame
        `by`, `mean`, `se` (sample standard deviation / sqrt(seeds), NaN for one seed),
        `seeds` (those that finished) and `status` (see `joint_status`).
    """
    finished = rows["value"].where(rows["status"].isin(USABLE))
    groups = rows.assign(value=finished).groupby(by, sort=False, dropna=False)
    result = groups.agg(
        mean=("value", "mean"),
        se=("value", "std"),
        seeds=("value", "count"),
        status=("status", joint_status),
    ).reset_index()
    result["se"] = result["se"] / np.sqrt(result["seeds"].clip(lower=1))
    return result


def joint_status(statuses: Iterable[str]) -> str:
    """Return one status for several seeds: `ok`, `capped`, `oom`, `ok (1/3 oom)` or `ok (1/3 capped)`."""
    counts = Counter(statuses)
    failed = sorted(name for name in counts if name not in USABLE)
    if not any(counts[name] for name in USABLE):
        return "+".join(failed) or "ok"
    first = "ok" if counts["ok"] else CAPPED
    parts = [[CAPPED]] if first == "ok" and counts[CAPPED] else []
    parts += [failed] if failed else []
    shares = [f"{sum(counts[n] for n in part)}/{counts.total()} {'+'.join(part)}" for part in parts]
    return f"{first} ({', '.join(shares)})" if shares else first


# ------------------------------------------------------------------------ words


def preferred(files: StudyResults, protocol: str) -> View | None:
    """Return the view train+valid/train+valid if there is one, else the first."""
    views = files.views(protocol)
    full = View(history="train+valid", mask="train+valid")
    return full if full in views else views[0] if views else None


def seen(view: View) -> str:
    """Return a view in words."""
    return f"history {view.history}, mask {view.mask}"


def machines(runs: pd.DataFrame) -> str:
    """Return devices and threads in words: `cpu, 2 threads; cuda, 4 threads`."""
    pairs = runs[["device", "threads"]].drop_duplicates().sort_values(["device", "threads"])
    words = [f"{d}, {t} thread{'' if t == '1' else 's'}" for d, t in pairs.itertuples(index=False) if d]
    return "; ".join(words) or "an unknown device"
