"""Checks that look at several published tables, or at percentages beside the table they are from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from recspectra.reporting.published import Published

Finding = tuple[str, str, str, str]  # dataset, method, cells, detail
HALF_DIGIT = 5e-5  # the cells are printed with four digits
FEWEST = 2  # one equal number among some hundred is chance


def differs_across_tables(published: Published, table_id: str) -> Iterable[Finding]:
    """One model, dataset and metric with two values in two tables of a paper."""
    rows = published.values(table_id)
    for method in published.table(table_id).same:
        other_id, other = published.origin(table_id, method)
        theirs = published.values(other_id)
        both = rows[rows["method"] == method].merge(
            theirs[theirs["method"] == other], on=["dataset", "metric"], suffixes=("", "_other")
        )
        for _, line in both[both["value"] != both["value_other"]].iterrows():
            detail = f"the same model is {other} in {other_id}, with {line['value_other']:.4f}"
            yield line["dataset"], method, f"{line['metric']}={line['value']:.4f}", detail


def repeated_across_tables(published: Published, table_id: str) -> Iterable[Finding]:
    """Several cells of a row are printed, digit by digit, for another model in another table."""
    rows = _numbers(published, table_id)
    paper = table_id.split("/")[0]
    others = [name for name in published.tables if name != table_id and name.startswith(f"{paper}/")]
    theirs = pd.concat([_numbers(published, name) for name in others]) if others else rows.iloc[:0]
    mine = rows.merge(theirs, on=["dataset", "name", "value"], suffixes=("", "_other"))
    mine = mine[mine["origin"] != mine["origin_other"]]
    for (dataset, method), part in mine.groupby(["dataset", "method"], sort=False):
        cells = part.groupby("metric", sort=False)
        whole = rows[(rows["dataset"] == dataset) & (rows["method"] == method)]
        # A large table meets any small one by chance; what counts is most of a row.
        if cells.ngroups < max(FEWEST, len(whole) / 2):
            continue
        words = [f"{metric}={found['value'].iloc[0]:.4f} is {_places(found)}" for metric, found in cells]
        detail = (
            f"{cells.ngroups} of the row's {len(whole)} cells are other models' cells: {'; '.join(words)}"
        )
        shown = ", ".join(f"{metric}={found['value'].iloc[0]:.4f}" for metric, found in cells)
        yield dataset, method, shown, detail


def _numbers(published: Published, table_id: str) -> pd.DataFrame:
    """Return the metrics of a table with their names without cut-off and the row they stand for."""
    rows = published.values(table_id)
    parts = rows["metric"].str.extract(r"^([a-z]+)@\d+$")
    rows = rows.assign(name=parts[0], table=table_id)[parts[0].notna()]
    return rows.assign(origin=[published.origin(table_id, method) for method in rows["method"]])


def _places(found: pd.DataFrame) -> str:
    places = found[["method_other", "metric_other", "table_other"]].drop_duplicates()
    return " and ".join(f"{m}'s {metric} in {table}" for m, metric, table in places.itertuples(index=False))


def improvements(published: Published, table_id: str) -> Iterable[Finding]:
    """A printed improvement that is not the ratio of the printed cells over the best other method."""
    printed = published.improvements
    claims = printed[printed["id"] == table_id]
    values = published.values(table_id)
    for claim in claims.itertuples(index=False):
        column = values[values["metric"] == claim.metric].set_index(["dataset", "method"])["value"]
        datasets = [claim.dataset] if claim.dataset else list(dict.fromkeys(values["dataset"]))
        found = [_over_best(column.loc[name], claim.method, claim.over) for name in datasets]
        low, high = (sum(part[i] for part in found) / len(found) for i in (0, 1))
        printed, slack = float(claim.value), 0.5 * 10.0 ** -len(claim.value.partition(".")[2])
        if low - slack <= printed <= high + slack:
            continue
        cells = f"{claim.metric}: {printed:+g}% ({claim.where})"
        detail = f"the printed cells give {(low + high) / 2:+.2f}%" + _why(claim, column, datasets, slack)
        yield claim.dataset or "all", claim.method, cells, detail


def _over_best(column: pd.Series, method: str, over: str) -> tuple[float, float]:
    """Return the least and most that the gain in percent can be, given four printed digits."""
    best = column[over] if over else column.drop(method).max()
    return _gain(column[method], best, -HALF_DIGIT), _gain(column[method], best, HALF_DIGIT)


def _gain(own: float, other: float, shift: float) -> float:
    return 100.0 * ((own + shift) / (other - shift) - 1.0)


def _why(claim: tuple, column: pd.Series, datasets: list[str], slack: float) -> str:
    """Say which baseline or which single dataset gives the printed percentage, if any does."""
    if len(datasets) == 1:
        rows = column.loc[datasets[0]]
        best = rows.drop(claim.method).idxmax()
        names = [m for m in rows.index if m != claim.method and _fits(claim, rows, m, slack)]
        text = f" over {claim.over or best}"
        return text + (
            f"; it is the gain over {' or '.join(names)}" if names else "; no other method gives it"
        )
    alone = [name for name in datasets if _fits(claim, column.loc[name], claim.over, slack)]
    return f" as the mean over {len(datasets)} datasets" + (
        f"; it is the gain on {' or '.join(alone)} alone" if alone else "; no single dataset gives it"
    )


def _fits(claim: tuple, rows: pd.Series, over: str, slack: float) -> bool:
    low, high = _over_best(rows, claim.method, over)
    return low - slack <= float(claim.value) <= high + slack


RULES: dict[str, Callable[[Published, str], Iterable[Finding]]] = {
    "differs-across-tables": differs_across_tables,
    "repeated-across-tables": repeated_across_tables,
    "improvement": improvements,
}
