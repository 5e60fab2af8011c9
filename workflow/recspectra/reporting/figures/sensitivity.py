"""A metric along a swept parameter."""

from __future__ import annotations

import pandas as pd

from recspectra.config.catalog import variant_label
from recspectra.config.scale import CAPPED, CAPPED_MARK
from recspectra.config.study import FigureConfig, View
from recspectra.reporting.figures.base import LINES, FigureData, drawn, runs_of
from recspectra.reporting.figures.lines import positions
from recspectra.reporting.results import JOIN, StudyResults, aggregate, preferred, seen

SERIES = ["dataset", "title", "base", "fit", "others"]


def sensitivity(files: StudyResults, figure: FigureConfig) -> FigureData:
    """Return a metric along a swept parameter, averaged over seeds."""
    label, view = f"{figure.metric}@{figure.k}", figure.view or preferred(files, figure.protocol)
    axes = (figure.param or "parameter", f"{label} (mean over users)")
    runs = runs_of(files, figure)
    runs = runs[[figure.param in swept for swept in runs["swept"]]]
    points = aggregate(measured(files, figure, runs, view), [*SERIES, "x"]) if len(runs) else None
    shown = points[points["mean"].notna()] if points is not None else []
    if not len(shown):
        reason = f"no finished run sweeps '{figure.param}' and has {label} under '{figure.protocol}'"
        return drawn(pd.DataFrame(columns=LINES), "", *axes, reason)
    caption = f"{label} against {figure.param}; {seen(view)}; protocol {figure.protocol}"
    caption += "; bands are standard errors over seeds" if (shown["se"] > 0).any() else ""
    lost = len(points) - len(shown)
    caption += f"; {lost} point(s) left out, their runs failed" if lost else ""
    return FigureData(_named_lines(files, shown), caption + ".", *axes)


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
    """Name lines by what differs among them; datasets get panels if each has several lines."""
    points = points.assign(name=points["dataset"].map(lambda d: files.titles.get(d, d)))
    inside = [c for c in ("title", "base", "fit", "others") if points[c].nunique() > 1]
    split = points["dataset"].nunique() > 1 and bool(inside)
    parts = inside if inside or points["dataset"].nunique() == 1 else ["name"]
    names = pd.Series(_joined(points, parts or ["title"]), index=points.index)
    capped = points["status"].str.contains(CAPPED).groupby([points["name"], names]).transform("any")
    frame = pd.DataFrame(
        {
            "panel": points["name"] if split else "",
            "series": names.where(~capped, f"{CAPPED_MARK} " + names),
            "x": points["x"],
            "y": points["mean"],
            "se": points["se"],
            "seeds": points["seeds"],
        }
    )
    order = {name: i for i, name in enumerate(dict.fromkeys(frame["panel"] + "\0" + frame["series"]))}
    place = (frame["panel"] + "\0" + frame["series"]).map(order)
    position = frame["x"].map(positions(frame["x"]))
    frame = frame.assign(place=place, position=position).sort_values(["place", "position"], kind="stable")
    return frame[LINES].reset_index(drop=True)


def _joined(points: pd.DataFrame, columns: list[str]) -> list[str]:
    rows = points[columns].itertuples(index=False)
    return [", ".join(str(part) for part in row if part) or "default" for row in rows]
