"""S-Diff: which history it was measured with, and whether it is more stable than its like.

The paper does not say whether validation items are shown at test. Two things are set against its row: the
ratio of NDCG to recall, which follows from where in a list the hits are, and what the best scores reach
that, like S-Diff's, are combinations of the leading eigenvectors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from recspectra.registry import ENTRIES, NUMBERS, PRINTED, TableKind, register

if TYPE_CHECKING:
    import pandas as pd

    from recspectra.config.study import TableConfig
    from recspectra.reporting.published import Published
    from recspectra.reporting.results import StudyResults
    from recspectra.reporting.table import Table

SPAN = "span"  # group of the entries that score in the span of as many eigenvectors as S-Diff has
RATIO_COLUMNS = ("row", "group", "dataset", "history", "mask", "k", "upper", "lower", "ratio",
                 "printed_upper", "printed_lower", "printed_ratio")  # fmt: skip
CANNOT_TELL = "cannot tell"
HALF_DIGIT = 5e-5  # printed values have four digits


# ---------------------------------------------------------------------------- ratios


def ratio_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return the quotient of a table's first metric and its second of every row, columns `RATIO_COLUMNS`.

    The printed values are those of the table's `reference` on the dataset.
    """
    from recspectra.reporting.results import JOIN, POINT, aggregate, select_runs

    runs = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    runs = runs.drop_duplicates([*JOIN, "label"])
    metrics = files.metrics[files.metrics["protocol"] == table.protocol]
    metrics = metrics[metrics["metric"].isin(table.metrics[:2]) & metrics["k"].isin(table.k)]
    cells = aggregate(runs[[*JOIN, "label", "group"]].merge(metrics, on=JOIN), ["label", "group", *POINT])
    keys = ["label", "group", "dataset", "history", "mask", "k"]
    wide = cells.pivot_table(index=keys, columns="metric", values="mean", sort=False)
    wide = wide.reindex(columns=table.metrics[:2]).dropna()
    wide.columns = ["upper", "lower"]
    frame = wide.reset_index().rename(columns={"label": "row"})
    frame = frame.assign(ratio=frame["upper"] / frame["lower"])
    pairs = frame[["dataset", "k"]].itertuples(index=False)
    printed = [_printed(table, published, dataset, int(k)) for dataset, k in pairs]
    upper, lower = ([pair[i] for pair in printed] for i in (0, 1))
    frame = frame.assign(printed_upper=upper, printed_lower=lower)
    frame["printed_ratio"] = frame["printed_upper"] / frame["printed_lower"]
    return frame[list(RATIO_COLUMNS)]


def _printed(table: TableConfig, published: Published, dataset: str, k: int) -> list[float]:
    """Return the reference's printed values of both metrics, NaN where none is printed."""
    if not table.published:
        return [math.nan, math.nan]
    point, beside = (table.published, dataset, table.reference), table.printed.get(dataset)
    found = [published.lookup(*point, metric, k, printed=beside) for metric in table.metrics[:2]]
    return [one.value if one else math.nan for one in found]


def lay_out_ratios(
    files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame
) -> Table:
    """Return the table as it is printed: a row a model, a column a history and cut-off."""
    from recspectra.reporting.table import DASH, Cell, Column, Table

    upper, lower = table.metrics[:2]
    columns, found = [Column("model", words=True)], []
    for (dataset, history, mask, k), part in frame.groupby(["dataset", "history", "mask", "k"], sort=False):
        levels = files.titles.get(dataset, dataset), f"history {history}, mask {mask}"
        columns += [Column(f"{upper} / {lower} @{k:.0f}", levels), Column(f"{lower}@{k:.0f}", levels)]
        first = part.iloc[0]
        for name, digits in (("ratio", 3), ("lower", 4)):
            cells = {row.row: f"{getattr(row, name):.{digits}f}" for row in part.itertuples()}
            own = first[f"printed_{name}"]
            found.append(cells | {"printed": f"{own:.{digits}f}" if own == own else DASH})
    names = [*dict.fromkeys(frame["row"]), *(["printed"] if len(frame) else [])]
    rows = [[Cell(name), *(Cell(cells.get(name, DASH)) for cells in found)] for name in names]
    told = [line for name in dict.fromkeys(frame["dataset"]) for line in _told(files, table, frame, name)]
    return Table(table.title, columns, rows, table.caption, told)


def _told(files: StudyResults, table: TableConfig, frame: pd.DataFrame, dataset: str) -> list[str]:
    """Return what speaks for and against each history, and the verdict."""
    part = frame[(frame["dataset"] == dataset) & frame["printed_ratio"].notna()]
    evidence = {history: _evidence(own) for history, own in part.groupby("history", sort=False)}
    title = files.titles.get(dataset, dataset)
    told = [f"{title}, history {history}: {'; '.join(found['said'])}." for history, found in evidence.items()]
    return told + [f"{title}: which history the printed row was measured with: {history_of(evidence)}."]


def _evidence(part: pd.DataFrame) -> dict[str, Any]:
    """Return whether the printed ratios and levels can be had with one history, and that in words."""
    said, ratio_fits, level_fits = [], True, True
    for k, own in part.groupby("k", sort=False):
        low, high, printed = own["ratio"].min(), own["ratio"].max(), own["printed_ratio"].iloc[0]
        upper, level = own["printed_upper"].iloc[0], own["printed_lower"].iloc[0]
        slack = printed * HALF_DIGIT * (1.0 / upper + 1.0 / level)  # both are rounded
        inside = low - slack <= printed <= high + slack
        said.append(f"ratios at {k:.0f} lie in {low:.3f} to {high:.3f}, the printed {printed:.3f} "
                    f"{'among' if inside else 'outside'} them")  # fmt: skip
        ratio_fits &= bool(inside)
        most = own.loc[own["group"] == SPAN, "lower"].max()
        reached = most >= level - HALF_DIGIT  # False where nothing in the span was run
        known = most == most
        said.append(f"scores in the span reach {most:.4f} at {k:.0f}, {level:.4f} is printed" if known else
                    f"no scores in the span at {k:.0f}")  # fmt: skip
        level_fits &= bool(reached)
    return {"said": said, "fits": ratio_fits and level_fits}


def history_of(evidence: dict[str, dict[str, Any]]) -> str:
    """Return the one history that fits in ratios and level; that nobody can tell where it is not one."""
    fitting = [history for history, found in evidence.items() if found["fits"]]
    return fitting[0] if len(fitting) == 1 else CANNOT_TELL


# -------------------------------------------------------------------------- stability

GENERATIVE = ("multivae", "codigem", "diffrec", "giffcf")  # what the paper calls its like
SPREAD_COLUMNS = ("dataset", "row", "model", "seeds", "mean", "sd", "low", "high", "trials", "settings")
LEVEL = 0.95
STEADY, UNSTEADY = "its spread is the smallest", "another model's spread is smaller"


def spread_table(files: StudyResults, table: TableConfig, published: Published) -> pd.DataFrame:
    """Return how far S-Diff and its like vary, columns `SPREAD_COLUMNS`.

    `sd` is the standard deviation of a metric over seeds as a share of its mean, `low` and `high` the ends of
    its 95 % interval (seeds taken for normal). `settings` is the interquartile range of the search's trials
    as a share of their median.
    """
    import pandas as pd

    from recspectra.reporting.results import rows_at, select_runs

    runs = select_runs(files, table.groups, table.datasets or files.config.datasets, table.fit)
    runs = runs[runs["model"].isin([table.reference, *GENERATIVE]) & (runs["variant"] == "default")]
    view = (table.views or files.views(table.protocol))[0]
    wanted = {"protocol": table.protocol, "history": view.history, "mask": view.mask,
              "metric": table.metrics[0], "k": table.k[0]}  # fmt: skip
    metrics = rows_at(files.metrics, wanted | {"variant": "default"})
    rows = []
    for (dataset, model, label), part in runs.groupby(["dataset", "model", "label"], sort=False):
        own = rows_at(metrics, {"dataset": dataset, "model": model})
        found = own[own["key"].isin(part["key"])].drop_duplicates(["key", "seed"])
        values = found["value"].dropna()
        rows.append(
            [dataset, label, model, len(values), *_spread(values), *_of_settings(files, dataset, model)]
        )
    return pd.DataFrame(rows, columns=list(SPREAD_COLUMNS))


def _spread(values: pd.Series) -> list[float]:
    """Return mean, relative standard deviation and the ends of the latter's interval."""
    from scipy import stats

    mean, df = float(values.mean()), len(values) - 1
    if df < 1 or not mean > 0.0:
        return [mean, math.nan, math.nan, math.nan]
    sd = float(values.std(ddof=1)) / mean
    ends = [sd * math.sqrt(df / stats.chi2.ppf(p, df)) for p in ((1 + LEVEL) / 2, (1 - LEVEL) / 2)]
    return [mean, sd, *ends]


def _of_settings(files: StudyResults, dataset: str, model: str) -> list[float]:
    """Return the trials of a model's first search with a number, and their spread."""
    trials = files.tuning[(files.tuning["dataset"] == dataset) & (files.tuning["model"] == model)]
    values = trials.loc[trials["key"] == trials["key"].iloc[0], "value"].dropna() if len(trials) else []
    if len(values) < 2:
        return [len(values), math.nan]
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    return [len(values), (high - low) / middle if middle > 0 else math.nan]


def lay_out_spread(
    files: StudyResults, table: TableConfig, published: Published, frame: pd.DataFrame
) -> Table:
    """Return the table as it is printed, with a sentence for each dataset."""
    from recspectra.reporting.table import DASH, plain_table

    def share(value: float) -> str:
        return f"{100.0 * value:.2f}" if value == value else DASH

    header = ["dataset", "model", "seeds", f"{table.metrics[0]}@{table.k[0]}", "spread over seeds in %",
              "95 % interval", "trials", "spread over settings in %"]  # fmt: skip
    rows = [
        [files.titles.get(r.dataset, r.dataset), r.row, f"{r.seeds:.0f}",
         f"{r.mean:.4f}" if r.mean == r.mean else DASH, share(r.sd),
         f"{share(r.low)} to {share(r.high)}" if r.low == r.low else DASH, f"{r.trials:.0f}",
         share(r.settings)] for r in frame.itertuples()
    ]  # fmt: skip
    told = [
        "Spread over seeds: standard deviation of the seeds' means, in percent of their mean. Over settings: "
        "interquartile range of the validation results of the search's trials, in percent of their median. "
        "More stable is read as the smaller spread over seeds, told apart where the intervals do not meet.",
        *(f"{files.titles.get(d, d)}: {steadiest(part, table.reference)}."
          for d, part in frame.groupby("dataset", sort=False)),
    ]  # fmt: skip
    return plain_table(header, rows, {0, 1, 5}, table.title, table.caption, told, keys=2)


def steadiest(part: pd.DataFrame, own: str) -> str:
    """Return in words whether a model's spread over seeds is the smallest of a dataset's rows."""
    mine, others = part[part["model"] == own], part[part["model"] != own].dropna(subset=["low", "high"])
    if mine["low"].isna().all() or others.empty:
        return f"{CANNOT_TELL} (fewer than two models have several seeds)"
    low, high = mine["low"].iloc[0], mine["high"].iloc[0]
    if (others["high"] < low).any():
        return UNSTEADY
    return STEADY if (others["low"] > high).all() else CANNOT_TELL


register(
    TableKind(
        "ratios",
        columns=RATIO_COLUMNS,
        numbers=RATIO_COLUMNS[5:],
        build=ratio_table,
        lay_out=lay_out_ratios,
        keys=(*NUMBERS, *ENTRIES, "reference", *PRINTED),
        needs={"metrics": 2, "k": 1, "reference": 1},
        about="A metric divided by another, under each history, next to the printed ratio of `reference`; "
        "and what scores in the span of S-Diff's eigenvectors reach (group `span`).",
    ),
    TableKind(
        "stability",
        columns=SPREAD_COLUMNS,
        numbers=SPREAD_COLUMNS[3:],
        build=spread_table,
        lay_out=lay_out_spread,
        keys=(*NUMBERS, *ENTRIES, "views", "reference"),
        needs={"metrics": 1, "k": 1, "reference": 1},
        about="How far generative models vary over seeds, and their searches over settings.",
    ),
)
