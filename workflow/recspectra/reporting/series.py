"""What each figure draws, as data frames: exactly what `fig-{name}.csv` holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from recspectra.config.catalog import variant_label
from recspectra.config.scale import CAPPED, CAPPED_MARK, USABLE
from recspectra.config.study import FigureConfig, View
from recspectra.reporting.results import JOIN, StudyFiles, aggregate, select_runs

LINES = ["panel", "series", "x", "y", "se", "seeds"]
BARS = ["panel", "series", "stage", "seconds", "runs"]
CURVES = ["panel", "curve", "series", "seed", "epoch", "value"]
CELLS = ["panel", "series", "x", "y", "value", "se", "seeds"]
SHARES = ["panel", "signal", "band", "low", "high", "pairs", "share"]


@dataclass(frozen=True)
class Drawing:
    """The data of a figure.

    Attributes
    ----------
    frame : DataFrame
        Columns `LINES`, `BARS`, `CURVES` or `SHARES`; empty when there is nothing to draw.
    caption : str
        What the numbers are, in words.
    x, y : str
        Axis labels.
    reason : str
        Why there is nothing to draw.
    """

    frame: pd.DataFrame
    caption: str
    x: str
    y: str
    reason: str = ""


def drawing(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return what a figure of any kind draws."""
    what = KINDS[figure.kind](files, figure)
    return (
        what if what.reason or figure.kind in WITHOUT_FITS else _marked(what, _capped_labels(files, figure))
    )


def _capped_labels(files: StudyFiles, figure: FigureConfig) -> list[str]:
    """Return the systems of a figure that had a fit which a cap ended; of a sweep without its points."""
    runs = _runs(files, figure)
    return list(dict.fromkeys(runs.loc[runs["status"] == CAPPED, "title" if figure.param else "label"]))


def _marked(what: Drawing, labels: list[str]) -> Drawing:
    """Return a drawing in which the lines and bars of some systems have a mark, and the caption says why."""
    if not labels:
        return what
    note = f"{CAPPED_MARK} a cap of the scale ended fits of {', '.join(labels)}."
    frame = what.frame
    if "series" in frame:
        marked = {label: f"{CAPPED_MARK} {label}" for label in labels}
        frame = frame.assign(series=frame["series"].replace(marked))
    return replace(what, frame=frame, caption=f"{what.caption} {note}")


WITHOUT_FITS = ("inference", "complexity", "energy", "snr", "frequency-response", "tuning")


def _sorry(reason: str) -> str:
    return f"Nothing to draw: {reason}."


def _panels(files: StudyFiles, datasets: pd.Series) -> pd.Series:
    """Return a panel for each dataset; no name when there is one dataset alone."""
    names = datasets.map(lambda name: files.titles.get(name, name))
    return names if datasets.nunique() > 1 else names.map(lambda _: "")


def _runs(files: StudyFiles, figure: FigureConfig) -> pd.DataFrame:
    groups = [figure.group] if figure.group else None
    return select_runs(files, groups, figure.datasets, model=figure.model)


def _plain_runs(files: StudyFiles, figure: FigureConfig) -> pd.DataFrame:
    """Return the runs of a figure; without a group, sweeps are left out if there is more."""
    runs = _runs(files, figure)
    if figure.group:
        return runs
    plain = runs[[not swept for swept in runs["swept"]]]
    return plain if len(plain) else runs


# ------------------------------------------------------------------------- sensitivity


def sensitivity(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return a metric along a swept parameter, averaged over seeds."""
    label, view = f"{figure.metric}@{figure.k}", figure.view or preferred(files, figure.protocol)
    axes = (figure.param or "parameter", f"{label} (mean over users)")
    runs = _runs(files, figure)
    runs = runs[[figure.param in swept for swept in runs["swept"]]]
    points = aggregate(_measured(files, figure, runs, view), [*SERIES, "x"]) if len(runs) else None
    drawn = points[points["mean"].notna()] if points is not None else []
    if not len(drawn):
        reason = f"no finished run sweeps '{figure.param}' and has {label} under '{figure.protocol}'"
        return Drawing(pd.DataFrame(columns=LINES), _sorry(reason), *axes, reason)
    caption = f"{label} against {figure.param}; {seen(view)}; protocol {figure.protocol}"
    caption += "; bands are standard errors over seeds" if (drawn["se"] > 0).any() else ""
    lost = len(points) - len(drawn)
    caption += f"; {lost} point(s) left out, their runs failed" if lost else ""
    return Drawing(_lines(files, drawn), caption + ".", *axes)


def heatmap(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return a metric over the points of two swept parameters, averaged over seeds."""
    label, view = f"{figure.metric}@{figure.k}", figure.view or preferred(files, figure.protocol)
    axes = (figure.param or "parameter", figure.other_param or "other parameter")
    runs = _runs(files, figure)
    runs = runs[[{figure.param, figure.other_param} <= set(swept) for swept in runs["swept"]]]
    points = pd.DataFrame()
    if len(runs):
        runs = runs.assign(y=[swept[figure.other_param] for swept in runs["swept"]])
        both = _measured(files, figure, runs, view, "y")
        points = aggregate(both, ["dataset", "title", "x", "y"])
        points = points[points["mean"].notna()]
    if points.empty:
        reason = f"no finished run sweeps '{axes[0]}' and '{axes[1]}' and has {label}"
        return Drawing(pd.DataFrame(columns=CELLS), _sorry(reason), *axes, reason)
    frame = points.assign(panel=_panels(files, points["dataset"]), series=points["title"])
    frame = frame.rename(columns={"mean": "value"}).sort_values(["panel", "y", "x"], kind="stable")
    caption = f"{label} over {axes[0]} and {axes[1]}; {seen(view)}; protocol {figure.protocol}."
    return Drawing(frame[CELLS].reset_index(drop=True), caption, *axes)


SERIES = ["dataset", "title", "base", "fit", "others"]


def preferred(files: StudyFiles, protocol: str) -> View | None:
    """Return the view train+valid/train+valid if there is one, else the first."""
    views = files.views(protocol)
    full = View(history="train+valid", mask="train+valid")
    return full if full in views else views[0] if views else None


def seen(view: View) -> str:
    """Return a view in words."""
    return f"history {view.history}, mask {view.mask}"


def _measured(
    files: StudyFiles, figure: FigureConfig, runs: pd.DataFrame, view: View | None, *also: str
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


def _lines(files: StudyFiles, points: pd.DataFrame) -> pd.DataFrame:
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


def positions(values: pd.Series) -> dict:
    """Return an order of swept values: numbers by size, anything else as it comes."""
    unique = list(dict.fromkeys(values))
    return {v: i for i, v in enumerate(sorted(unique) if all(map(is_number, unique)) else unique)}


def is_number(value: object) -> bool:
    """Tell whether a swept value is a number (True and False are not)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# ------------------------------------------------------------------------------ spectra


def snr(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return log SNR against the diffusion step."""
    caption = "Logarithm of the signal-to-noise ratio at each diffusion step."
    return _spectral(files, figure, caption, "diffusion step", "log SNR (natural logarithm)")


def frequency_response(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return the gain of filters against the eigenvalue."""
    caption = "Gain of each filter at the eigenvalues of the graph Laplacian; small is smooth."
    return _spectral(files, figure, caption, "Laplacian eigenvalue (graph frequency)", "gain", short=True)


def _spectral(
    files: StudyFiles, figure: FigureConfig, caption: str, x: str, y: str, short: bool = False
) -> Drawing:
    rows = files.spectral[files.spectral["figure"] == figure.name]
    rows = rows[rows["dataset"].isin(figure.datasets)] if figure.datasets else rows
    rows = rows[np.isfinite(rows["x"]) & np.isfinite(rows["y"])]  # log SNR at step 0 is infinite
    frame = rows.assign(panel=_panels(files, rows["dataset"]), se=float("nan"), seeds=1)
    frame = _shortened(frame) if short and frame["dataset"].nunique() > 1 else frame
    frame = frame.sort_values("x", kind="stable")
    order = {name: i for i, name in enumerate(dict.fromkeys(rows["dataset"] + "\0" + rows["series"]))}
    place = (frame["dataset"] + "\0" + frame["series"]).map(order)
    frame = frame.assign(place=place).sort_values("place", kind="stable")[LINES]
    reason = "" if len(frame) else f"spectral.csv has no numbers for figure '{figure.name}'"
    return Drawing(frame.reset_index(drop=True), _sorry(reason) if reason else caption, x, y, reason)


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """Name filters by their kind alone, settings in the panel's title, where each panel has one of a kind.

    Every dataset has settings of its own, so with them in the names each panel would have
    colours of its own for the same filters.
    """
    parts = frame["series"].str.split(" ", n=1, expand=True).reindex(columns=[0, 1]).fillna("")
    kinds = frame.assign(kind=parts[0]).groupby(["dataset", "kind"])["series"].nunique()
    if (kinds > 1).any():
        return frame
    longest = parts[1].groupby(frame["dataset"]).agg(lambda texts: max(texts, key=len))
    settings = frame["dataset"].map(longest)
    panel = frame["panel"].where(settings == "", frame["panel"] + " (" + settings + ")")
    return frame.assign(series=parts[0], panel=panel)


# ------------------------------------------------------------------------------- timing


def timing(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return the median seconds of the eigenpairs, fit and scoring of each system, fastest first."""
    runs = _plain_runs(files, figure)
    runs = runs[runs["status"].isin(USABLE)].drop_duplicates([*JOIN, "label"])
    runs = runs.assign(panel=_panels(files, runs["dataset"]), series=runs["label"])
    stages = {"eigenpairs": "spectrum_seconds", "fit": "fit_seconds", "scoring": "score_seconds"}
    parts = [_median(runs, stage, column) for stage, column in stages.items()]
    frame = pd.concat(parts).dropna(subset="seconds")
    frame = frame[(frame["stage"] != "eigenpairs") | (frame["seconds"] > 0)]
    if frame.empty:
        reason = "no finished run has a time"
        return Drawing(frame, _sorry(reason), "seconds", "", reason)
    panels = {panel: i for i, panel in enumerate(dict.fromkeys(runs["panel"]))}
    learning = frame[frame["stage"] != "scoring"]
    speed = learning.groupby(["panel", "series"])["seconds"].sum()
    keys = pd.MultiIndex.from_frame(frame[["panel", "series"]])
    frame = frame.assign(place=frame["panel"].map(panels), speed=speed.reindex(keys).to_numpy())
    frame = frame.sort_values(["place", "speed", "series", "stage"], kind="stable")[BARS]
    caption = (
        "Median wall-clock seconds to compute the eigenpairs that a system needs (once for all its "
        f"runs), to fit, and to score all users, on {machines(runs)}."
    )
    return Drawing(frame.reset_index(drop=True), caption, "seconds (log scale)", "")


def _median(runs: pd.DataFrame, stage: str, column: str) -> pd.DataFrame:
    groups = runs.groupby(["panel", "series"], sort=False)[column]
    result = groups.agg(seconds="median", runs="count").reset_index()
    return result.assign(stage=stage)[BARS]


def machines(runs: pd.DataFrame) -> str:
    """Return devices and threads in words: `cpu, 2 threads; cuda, 4 threads`."""
    pairs = runs[["device", "threads"]].drop_duplicates().sort_values(["device", "threads"])
    words = [f"{d}, {t} thread{'' if t == '1' else 's'}" for d, t in pairs.itertuples(index=False) if d]
    return "; ".join(words) or "an unknown device"


def inference(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return the seconds of one batch against the numbers of users and of items, part by part."""
    rows = files.inference.dropna(subset="seconds")
    rows = rows[rows["system"] == figure.model] if figure.model else rows
    panels = {"users": "more users, same items", "items": "more items, same users"}
    words = rows["axis"].map(panels).fillna(rows["axis"])
    value = rows["items"].where(rows["axis"] == "items", rows["users"]).astype("int64")
    frame = rows.assign(
        panel=words,
        series=rows["system"] + ", " + rows["part"],
        x=value,
        y=rows["seconds"],
        se=np.nan,
        seeds=1,
    )[LINES]
    axes = ("number of users or items", "seconds for a batch of 100 users")
    if frame.empty:
        return Drawing(frame, _sorry("no inference time is on disk"), *axes, "no inference time is on disk")
    where = ", ".join(f"{d}, {int(t)} thread{'' if t == 1 else 's'}" for d, t in
                      rows[["device", "threads"]].drop_duplicates().itertuples(index=False))  # fmt: skip
    caption = f"Median seconds to score one batch of 100 users, random weights, on {where}."
    return Drawing(frame.reset_index(drop=True), caption, *axes)


def complexity(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return time and memory of a training step against each size, beside what the formula says.

    Both are relative to the smallest size.
    """
    rows = files.complexity.dropna(subset=["measured", "formula"])
    axes = ("size", "relative to the smallest size")
    if rows.empty:
        return Drawing(pd.DataFrame(columns=LINES), _sorry("no cost is on disk"), *axes, "no cost is on disk")
    first = rows.groupby(["axis", "measure"], sort=False)[["measured", "formula"]].transform("first")
    words = {"users": "|U|, users", "bands": "B, bands", "steps": "T, length of histories",
             "edges": "|E|, edges"}  # fmt: skip
    panel = rows["measure"] + " against " + rows["axis"].map(words).fillna(rows["axis"])
    parts = [
        pd.DataFrame({"panel": panel, "series": name, "x": rows["size"], "y": rows[column] / first[column]})
        for name, column in (("measured", "measured"), ("formula of the paper", "formula"))
    ]
    frame = pd.concat(parts).assign(se=np.nan, seeds=1)[LINES]
    order = {name: i for i, name in enumerate(dict.fromkeys(panel))}
    frame = frame.sort_values("panel", key=lambda names: names.map(order), kind="stable")
    base = rows.groupby("measure", sort=False)["measured"].min()
    where = ", ".join(rows["device"].unique())
    caption = (
        "One training step of WPGRec (all users summarised, all nodes filtered, 128 targets, gradients) on "
        f"random data, {where}; the smallest takes {base.get('seconds', float('nan')):.3g} s and "
        f"{base.get('megabytes', float('nan')):.3g} MB beyond what is loaded."
    )
    return Drawing(frame.reset_index(drop=True), caption, *axes)


# ------------------------------------------------------------------------- bands of WPGRec

QUANTITIES = {"energy": "share of energy", "gate": "gate weight", "flatness": "spectral flatness"}


def bands(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return energy, gate weight and flatness of each wavelet packet band, a panel a dataset and variant."""
    rows = files.bands
    rows = rows[rows["group"] == figure.group] if figure.group else rows
    for column, wanted in (("dataset", figure.datasets), ("model", [figure.model] if figure.model else None)):
        rows = rows[rows[column].isin(wanted)] if wanted else rows
    axes = ("frequency (cycles per interaction)", "mean over users")
    if rows.empty:
        reason = "no finished run of this figure has bands"
        return Drawing(pd.DataFrame(columns=LINES), _sorry(reason), *axes, reason)
    titles = rows["dataset"].map(lambda name: files.titles.get(name, name))
    variant = rows["variant"].where(rows["variant"] != "default", "")
    rows = rows.assign(
        panel=[f"{t}, {v}" if v else t for t, v in zip(titles, variant, strict=True)],
        series=rows["quantity"].map(QUANTITIES),
        x=[f"{low:.3g} to {high:.3g}" for low, high in zip(rows["low"], rows["high"], strict=True)],
    )
    groups = rows.groupby(["panel", "low", "x", "series"], sort=False)
    frame = groups.agg(y=("mean", "mean"), se=("sd", "mean"), seeds=("seed", "nunique")).reset_index()
    order = {name: i for i, name in enumerate(dict.fromkeys(rows["panel"]))}
    series = {name: i for i, name in enumerate(QUANTITIES.values())}
    frame = frame.assign(place=frame["panel"].map(order), rank=frame["series"].map(series))
    frame = frame.sort_values(["place", "low", "rank"], kind="stable")[LINES]
    caption = (
        "What the gate sees and gives in each band of the wavelet packets, from slow to fast changes of a "
        "history: the band's share of the energy, its weight (both sum to 1) and its spectral flatness "
        "(1: noise, 0: a single frequency). Bars are means, whiskers standard deviations over users."
    )
    return Drawing(frame.reset_index(drop=True), caption, *axes)


# ---------------------------------------------------------------------- learning curves


def learning_curves(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return training loss and validation recall@20 against the epoch."""
    runs = _plain_runs(files, figure)
    by = ["dataset", "model", "variant", "group", "seed", "fit"]
    rows = runs[[*by, "label"]].drop_duplicates().merge(files.learning, on=by)
    rows = rows.dropna(subset=["epoch", "value"]).drop(columns="group").drop_duplicates()
    frame = rows.assign(panel=_panels(files, rows["dataset"]), series=rows["label"])[CURVES]
    caption = "Training loss (left) and recall@20 on the validation data (right); one line a seed."
    reason = "" if len(frame) else "no run of this figure wrote a learning curve"
    text = _sorry(reason) if reason else caption
    return Drawing(frame.reset_index(drop=True), text, "epoch", "", reason)


# ------------------------------------------------------------------------------- tuning


def tuning(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return the best validation recall@20 so far against the number of trials."""
    axes = ("trials", "best validation recall@20 so far")
    rows = files.tuning
    for column, wanted in (("dataset", figure.datasets), ("model", [figure.model] if figure.model else None)):
        rows = rows[rows[column].isin(wanted)] if wanted else rows
    failed = int((~rows["status"].isin(USABLE)).sum())
    rows = rows.dropna(subset=["trial", "best"]).sort_values("trial", kind="stable")
    rows = rows.assign(panel=_panels(files, rows["dataset"]), series=tuning_labels(rows), se=float("nan"))
    frame = rows.assign(x=rows["trial"].astype("int64"), y=rows["best"], seeds=1)
    order = {name: i for i, name in enumerate(dict.fromkeys(files.tuning["dataset"]))}
    frame = frame.assign(place=frame["dataset"].map(order)).sort_values("place", kind="stable")[LINES]
    reason = "" if len(frame) else "no system of this figure was tuned"
    caption = "Best recall@20 on the validation data after each trial of the search."
    caption += f" {failed} trial(s) failed and leave the line where it was." if failed else ""
    return Drawing(frame.reset_index(drop=True), _sorry(reason) if reason else caption, *axes, reason)


def tuning_labels(trials: pd.DataFrame) -> pd.Series:
    """Name tuning jobs by system, and by key where a system has several jobs on a dataset."""
    jobs = trials.groupby(["dataset", "model"])["key"].transform("nunique")
    return trials["title"].where(jobs <= 1, trials["title"] + " [" + trials["key"] + "]")


# ------------------------------------------------------------------------------- energy


def energy(files: StudyFiles, figure: FigureConfig) -> Drawing:
    """Return the share of the users' signals in each band of the graph's spectrum."""
    rows = files.energy
    rows = rows[rows["dataset"].isin(figure.datasets)] if figure.datasets else rows
    rows = rows.dropna(subset="share")
    spectra = rows[["dataset", "operator", "rank"]].drop_duplicates()
    names = (
        rows["dataset"].map(lambda name: files.titles.get(name, name)) + ", " + rows["rank"] + " eigenpairs"
    )
    if spectra["dataset"].duplicated().any():
        names = names + " of " + rows["operator"]
    frame = rows.assign(panel=names)[SHARES].drop_duplicates()
    reason = "" if len(frame) else "energy.csv has no numbers for this figure"
    caption = (
        "Share of a signal's energy per band of eigenvalues of the graph Laplacian, mean over users: the "
        "mean row of all users (global trend), a user's row without its part along that mean "
        "(user-specific), and the row as it is. Energy that no computed eigenpair holds lies at larger "
        "eigenvalues. A graph of users and items is nearly bipartite: about half of the energy of a "
        "smooth signal on items alone lies near 2."
    )
    return Drawing(
        frame.reset_index(drop=True), _sorry(reason) if reason else caption, "share of energy", "", reason
    )


KINDS: dict[str, Callable[[StudyFiles, FigureConfig], Drawing]] = {
    "sensitivity": sensitivity,
    "heatmap": heatmap,
    "inference": inference,
    "complexity": complexity,
    "bands": bands,
    "snr": snr,
    "frequency-response": frequency_response,
    "timing": timing,
    "learning-curves": learning_curves,
    "tuning": tuning,
    "energy": energy,
}
