"""A metric along a swept parameter, as difference from one of its values."""

from __future__ import annotations

from typing import Any

import pandas as pd

from recspectra.config.scale import CAPPED, CAPPED_MARK
from recspectra.config.study import FigureConfig, View, variant_label
from recspectra.reporting.figures.base import LINES, FigureData, drawn, listed, panels, runs_of
from recspectra.reporting.figures.lines import positions, tick
from recspectra.reporting.figures.paired import Asked, differences, panels_of, view_of
from recspectra.reporting.results import JOIN, StudyResults, aggregate, names_of, seen

SERIES = ["dataset", "title", "base", "fit", "others"]
SHOWN = [*LINES, "value", "low", "high"]


def sensitivity(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return a metric along a swept parameter, averaged over seeds.

    Where the metric of every user is on disk, `y` is the difference from the reference value of the
    parameter with its paired interval; else it is the metric itself, with the spread over seeds.
    """
    label, view = f"{figure.metric}@{figure.k}", view_of(files, figure)
    param = figure.param or "parameter"
    runs = runs_of(files, figure)
    runs = runs[[figure.param in swept for swept in runs["swept"]]]
    by = [*SERIES, "x", "model", "variant", "key"]
    points = aggregate(measured(files, figure, runs, view), by) if len(runs) else None
    shown = points[points["mean"].notna()] if points is not None else []
    if not len(shown):
        reason = f"no finished run sweeps '{figure.param}' and has {label} under '{figure.protocol}'"
        return drawn(pd.DataFrame(columns=SHOWN), "", param, label, reason)
    shown, reference = _set_against(files, figure, shown, runs)
    what = f"{label}, difference from {reference}" if reference else f"{label} (mean over users)"
    caption = f"{label} against {param}; {seen(view)}; protocol {figure.protocol}"
    if reference:
        caption += f"; difference from {reference}, paired by user; bands hold for all points at once, 95%"
    elif (shown["se"] > 0).any():
        caption += "; bands are standard errors over seeds"
    lost = len(points) - len(shown)
    caption += f"; {lost} point(s) left out, their runs failed" if lost else ""
    frame = _named_lines(files, shown)
    names = listed([name for name in dict.fromkeys(frame["series"]) if name])
    best = frame.loc[frame["y"].idxmax()]
    alt = f"Lines of {what}, against {param}{': ' + names if names else ''}. Highest at {tick(best['x'])}."
    return drawn(frame, caption + ".", param, what, "", alt, f"0: {reference}" if reference else "")


def _set_against(
    files: StudyResults, figure: FigureConfig, points: pd.DataFrame, runs: pd.DataFrame
) -> tuple[pd.DataFrame, str]:
    """Add `y`, `low` and `high` of each point; return as well what they are differences from, or ""."""
    points = points.assign(name=names_of(points))
    values = {name: _reference(files, figure, part) for name, part in points.groupby(SERIES, sort=False)}
    own = [values[tuple(row)] for row in points[SERIES].itertuples(index=False)]
    at = points.assign(own=own)
    bases = at[at["x"] == at["own"]].set_index(SERIES)["name"].to_dict()
    asked = [
        Asked(row.dataset, row.name, bases.get(tuple(getattr(row, part) for part in SERIES), ""))
        for row in points.itertuples()
    ]
    found = differences(panels_of(files, figure, runs), asked)
    if not found:
        error = points["se"].astype(float)
        spread = {"low": points["mean"] - error, "high": points["mean"] + error}
        return points.assign(y=points["mean"], **spread), ""
    ends = [
        (found[pair].difference, found[pair].low, found[pair].high)
        if pair in found
        else ((0.0, 0.0, 0.0) if pair.subject == pair.rival else (float("nan"),) * 3)
        for pair in asked
    ]
    columns = dict(zip(("y", "low", "high"), zip(*ends, strict=True), strict=True))
    words = list(dict.fromkeys(tick(value) for value in values.values()))
    return points.assign(**columns), f"{figure.param} = {' or '.join(words)}"


def _reference(files: StudyResults, figure: FigureConfig, points: pd.DataFrame) -> Any:
    """Return the value that a line is set against: the figure's, that of runs without sweep, or the first."""
    swept = list(positions(points["x"]))
    wanted = [figure.reference] if figure.reference is not None else []
    plain = files.runs[[not own for own in files.runs["swept"]]]
    for column in ("dataset", "model"):
        plain = plain[plain[column] == points[column].iloc[0]]
    wanted += [params.get(figure.param) for params in plain["params"]]
    return next((value for value in wanted if value in swept), swept[0])


def measured(
    files: StudyResults, figure: FigureConfig, runs: pd.DataFrame, view: View | None, *also: str
) -> pd.DataFrame:
    """Return the metric of each swept run, with what tells one line from another (and columns `also`)."""
    runs = runs.assign(
        x=[swept[figure.param] for swept in runs["swept"]],
        base=[_base(v, s) for v, s in zip(runs["variant"], runs["swept"], strict=True)],
        others=[_others(swept, figure.param) for swept in runs["swept"]],
    )
    kept = list(dict.fromkeys([*JOIN, *SERIES, "x", *also]))
    runs = runs[kept].drop_duplicates(kept)
    m = files.metrics
    wanted = (m["protocol"] == figure.protocol) & (m["metric"] == figure.metric) & (m["k"] == figure.k)
    if view:
        wanted &= (m["history"] == view.history) & (m["mask"] == view.mask)
    return runs.merge(m[wanted], on=JOIN)


def _base(variant: str, swept: dict) -> str:
    """Return the variant without the swept values: `no-wavelet` of `no-wavelet[c=0.2]`."""
    point = variant_label("default", swept)
    return "" if variant == point else variant.removesuffix(f"[{point}]")


def _others(swept: dict, param: str) -> str:
    return ", ".join(f"{name}={value}" for name, value in swept.items() if name != param)


def _named_lines(files: StudyResults, points: pd.DataFrame) -> pd.DataFrame:
    """Name lines by what differs among them; each dataset has a panel."""
    panel = panels(files, points["dataset"])
    inside = [c for c in ("title", "base", "fit", "others") if points[c].nunique() > 1]
    names = pd.Series(_joined(points, inside or ["title"]), index=points.index)
    capped = points["status"].str.contains(CAPPED).groupby([panel, names]).transform("any")
    frame = points.assign(panel=panel, series=names.where(~capped, f"{CAPPED_MARK} " + names))
    frame = frame.rename(columns={"mean": "value"})
    order = {name: i for i, name in enumerate(dict.fromkeys(frame["panel"] + "\0" + frame["series"]))}
    place = (frame["panel"] + "\0" + frame["series"]).map(order)
    position = frame["x"].map(positions(frame["x"]))
    frame = frame.assign(place=place, position=position).sort_values(["place", "position"], kind="stable")
    return frame[SHOWN].reset_index(drop=True)


def _joined(points: pd.DataFrame, columns: list[str]) -> list[str]:
    rows = points[columns].itertuples(index=False)
    return [", ".join(str(part) for part in row if part) or "default" for row in rows]
