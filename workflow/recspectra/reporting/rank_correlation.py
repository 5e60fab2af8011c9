"""Ranking findings: do the systems stand in the same order on other data or another view?"""

from __future__ import annotations

from itertools import product

import pandas as pd

from recspectra.config.study import FindingConfig, View
from recspectra.reporting.printed import points
from recspectra.reporting.results import JOIN, StudyFiles, aggregate, preferred, seen, systems
from recspectra.reporting.table import Table, plain_table

COLUMNS = ["dataset", "history", "mask", "system", "model", "variant", "mean", "place", "tau", "status"]
NUMBERS = ["mean", "place", "tau"]
MOVES = 3  # systems named in a sentence


def build_order(files: StudyFiles, finding: FindingConfig) -> pd.DataFrame:
    """Return each system's number and place in every setting, and the setting's tau.

    A setting is a dataset and a view. Places count the systems that have a number in every
    setting; tau is Kendall's (b) between a setting and the first.
    """
    runs = systems(files, finding.groups, finding.datasets, finding.fit)
    settings = _settings(files, finding)
    frames = [_measured(files, finding, runs, dataset, view) for dataset, view in settings]
    common = set.intersection(*(set(f.loc[f["mean"].notna(), "system"]) for f in frames)) if frames else set()
    for frame in frames:
        inside = frame["system"].isin(common)
        frame["place"] = frame["mean"].where(inside).round(4).rank(method="min", ascending=False)
        frame["tau"] = _tau(frames[0], frame, common)
    return pd.concat(frames, ignore_index=True)[COLUMNS] if frames else pd.DataFrame(columns=COLUMNS)


def _settings(files: StudyFiles, finding: FindingConfig) -> list[tuple[str, View]]:
    views = finding.views or [v for v in [finding.view or preferred(files, finding.protocol)] if v]
    return list(product(finding.datasets or files.config.datasets, views))


def _measured(
    files: StudyFiles, finding: FindingConfig, runs: pd.DataFrame, dataset: str, view: View
) -> pd.DataFrame:
    m = files.metrics
    m = m[(m["protocol"] == finding.protocol) & (m["metric"] == finding.metric) & (m["k"] == finding.k)]
    m = m[(m["dataset"] == dataset) & (m["history"] == view.history) & (m["mask"] == view.mask)]
    own = runs[runs["dataset"] == dataset].rename(columns={"label": "system"})
    cells = aggregate(own.drop(columns="status").merge(m, on=[n for n in JOIN if n != "seed"]), ["system"])
    rows = own[["dataset", "system", "model", "variant", "status"]].merge(
        cells[["system", "mean"]], on="system", how="left"
    )
    return rows.assign(history=view.history, mask=view.mask)


def _tau(first: pd.DataFrame, other: pd.DataFrame, common: set[str]) -> float:
    from scipy.stats import kendalltau  # only where there are findings

    names = sorted(common)
    if len(names) < 2:
        return float("nan")
    values = [frame.set_index("system")["mean"].loc[names].round(4) for frame in (first, other)]
    return float(kendalltau(*values).statistic)


# ---------------------------------------------------------------------------- sentences


def order_sentences(files: StudyFiles, finding: FindingConfig, frame: pd.DataFrame) -> list[str]:
    """Return what the places say, one paragraph a setting."""
    parts = list(frame.groupby(["dataset", "history", "mask"], sort=False))
    count = int(parts[0][1]["place"].notna().sum())
    told = [
        f"Measured: {finding.metric}@{finding.k}, protocol {finding.protocol}, fitted on {finding.fit}. "
        f"Places are among the {count} systems that have a number everywhere; tau is Kendall's rank "
        "correlation with the first setting: 1 is the same order, 0 is chance."
    ]
    first = parts[0][1].set_index("system")["place"]
    for number, (key, part) in enumerate(parts):
        told.append(f"{_name(files, key)}: {_leaders(part)} {_moves(first, part) if number else ''}".strip())
    return told


def _name(files: StudyFiles, key: tuple[str, str, str]) -> str:
    dataset, history, mask = key
    return f"{files.titles.get(dataset, dataset)}, {seen(View(history=history, mask=mask))}"


def _leaders(part: pd.DataFrame) -> str:
    ranked = part.dropna(subset="place").sort_values("place", kind="stable").head(MOVES)
    if ranked.empty:
        return "no system has a number everywhere."
    names = [f"{name} {mean:.4f}" for name, mean in zip(ranked["system"], ranked["mean"], strict=True)]
    return f"first are {', '.join(names)}."


def _moves(first: pd.Series, part: pd.DataFrame) -> str:
    """Say how far the order agrees with the first one, and who moved most."""
    tau = part["tau"].iloc[0]
    if pd.isna(tau):
        return ""
    here = part.set_index("system")["place"]
    gap = (here - first.reindex(here.index)).dropna()
    moved = gap[gap.abs() >= 1].sort_values(key=lambda g: -g.abs(), kind="stable").head(MOVES)
    words = [f"{name} from {first[name]:.0f} to {here[name]:.0f}" for name in moved.index]
    return f"tau {tau:.2f}; " + (f"moved most: {', '.join(words)}." if words else "nobody moved.")


def order_table(files: StudyFiles, frame: pd.DataFrame) -> Table:
    """Lay out a ranking finding: a line a system, a pair of columns a setting."""
    keys = list(dict.fromkeys(frame[["dataset", "history", "mask"]].itertuples(index=False, name=None)))
    names = [f"{chr(65 + i)}: {_name(files, key)}" for i, key in enumerate(keys)]
    header = ["system", *(text for name in names for text in (name, f"place {name[0]}"))]
    cells = {
        (line.system, (line.dataset, line.history, line.mask)): line for line in frame.itertuples(index=False)
    }
    rows = []
    for system in dict.fromkeys(frame.sort_values("place", kind="stable")["system"]):
        row = [system]
        for key in keys:
            line = cells.get((system, key))
            place = "" if line is None or pd.isna(line.place) else f"{line.place:.0f}"
            row += [points(line.mean) if line is not None else "", place]
        rows.append(row)
    return plain_table(header, rows, words={0})
