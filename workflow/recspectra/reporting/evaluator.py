"""Evaluator findings: the same lists under two definitions of a metric.

If a paper's own row was made with one evaluator and its baselines' rows with another, part
of the printed gain is the evaluator. Here every system has a number under both, so the gain
can be taken three ways: mixed as in the paper, and with either metric for all.
"""

from __future__ import annotations

import pandas as pd

from recspectra.config.study import FindingConfig, View
from recspectra.reporting.printed import Counterpart, percent, points, signed
from recspectra.reporting.published import Published
from recspectra.reporting.results import JOIN, StudyFiles, aggregate, preferred, seen, systems
from recspectra.reporting.table import Table, plain_table

COLUMNS = [
    "dataset", "system", "model", "variant", "claimed", "baseline", "first", "second", "difference",
    "published", "printed_with", "status",
]  # fmt: skip
NUMBERS = ["first", "second", "difference", "published"]
FIRST, SECOND = "first", "second"


def build_evaluator(files: StudyFiles, finding: FindingConfig, published: Published) -> pd.DataFrame:
    """Return every system's number under both metrics and the printed one."""
    other = Counterpart(published, finding)
    runs = systems(files, finding.groups, finding.datasets, finding.fit)
    frame = runs.rename(columns={"label": "system"})
    asked = zip((FIRST, SECOND), finding.measured, strict=True)
    for place, (protocol, metric) in asked:
        means = _means(files, finding, protocol, metric)
        frame = frame.merge(
            means.rename(columns={"mean": place}), on=["dataset", "model", "variant"], how="left"
        )
    lines = list(frame[["dataset", "model", "variant"]].itertuples(index=False, name=None))
    claimed = (frame["model"] == finding.model) & (frame["variant"] == finding.variant)
    return frame.assign(
        claimed=claimed.map({True: "true", False: "false"}),
        baseline=[_baseline(finding, other, *line[1:]) for line in lines],
        difference=frame[FIRST] - frame[SECOND],
        published=[other.value(*line, finding.metric) for line in lines],
        printed_with=[_made_with(finding, other, line) for line in lines],
    )[COLUMNS]


def _baseline(finding: FindingConfig, other: Counterpart, model: str, variant: str) -> str:
    return str(model != finding.model and other.known(model, variant)).lower()


def _made_with(finding: FindingConfig, other: Counterpart, line: tuple[str, str, str]) -> str:
    """Return which of the two metrics a printed value was made with, nothing if nobody knows."""
    if other.table is None:
        return FIRST if line[1] == finding.model else SECOND
    names = other.definitions(*line, finding.metric)
    return FIRST if finding.metric in names else SECOND if finding.other_metric in names else ""


def _means(files: StudyFiles, finding: FindingConfig, protocol: str, metric: str) -> pd.DataFrame:
    """Return the mean over seeds of a metric for the finding's systems."""
    view = _view(files, finding, protocol)
    m = files.metrics
    m = m[(m["protocol"] == protocol) & (m["metric"] == metric) & (m["k"] == finding.k)]
    m = m[(m["history"] == view.history) & (m["mask"] == view.mask)] if view else m.iloc[:0]
    runs = systems(files, finding.groups, finding.datasets, finding.fit)[
        ["dataset", "model", "variant", "key", "fit"]
    ]
    rows = runs.merge(m, on=[name for name in JOIN if name != "seed"])
    return aggregate(rows, ["dataset", "model", "variant"])[["dataset", "model", "variant", "mean"]]


def _view(files: StudyFiles, finding: FindingConfig, protocol: str) -> View | None:
    """Return the finding's view, else the protocol's own: published numbers were made so."""
    views = files.protocols.get(protocol, {}).get("views") or []
    own = [View(history=view["history"], mask=view["mask"]) for view in views]
    return finding.view or (own[0] if own else preferred(files, protocol))


# ---------------------------------------------------------------------------- sentences


def evaluator_sentences(
    files: StudyFiles, finding: FindingConfig, frame: pd.DataFrame, other: Counterpart
) -> list[str]:
    """Return what the evaluator makes of the published gain, one paragraph a dataset."""
    first, second = f"{finding.metric}@{finding.k}", f"{finding.other_metric}@{finding.k}"
    view = _view(files, finding, finding.protocol)
    head = f"The same lists are measured by {first} (protocol {finding.protocol}) and {second} (protocol "
    head += f"{finding.other_protocol}); {seen(view) if view else 'no view'}, fitted on {finding.fit}."
    told = [head]
    for dataset, part in frame.groupby("dataset", sort=False):
        told.append(f"{files.titles.get(dataset, dataset)}: {_told(finding, part, other, dataset)}")
    return told


def _told(finding: FindingConfig, part: pd.DataFrame, other: Counterpart, dataset: str) -> str:
    own = part[(part["claimed"] == "true") & part[FIRST].notna() & part[SECOND].notna()]
    rivals = part[(part["baseline"] == "true") & part[FIRST].notna() & part[SECOND].notna()]
    if own.empty or rivals.empty:
        return "the claim's system or every baseline lacks a number, so nothing can be said."
    own = own.iloc[0]
    first, second = f"{finding.metric}@{finding.k}", f"{finding.other_metric}@{finding.k}"
    told = []
    if printed := other.gain(dataset):
        told.append(
            f"The paper prints{other.where(dataset)} {own['system']} {printed.own:.4f}, best baseline "
            f"{printed.rival} {printed.value:.4f}, {percent(printed.gain)}."
        )
    mixed = _mixed(own, rivals)
    if mixed:
        told.append(f"Our runs, measured as the paper's rows were: {_gain(*mixed)}.")
    gains = {name: _one(own, rivals, place) for name, place in ((first, FIRST), (second, SECOND))}
    told += [f"{name} for all: {_gain(*gain)}." for name, gain in gains.items()]
    if mixed:
        gap = 100.0 * (_ratio(*gains[first]) - _ratio(*mixed))
        told.append(f"With {first} for all instead of the paper's mix the gain moves by {gap:+.1f} points.")
    return " ".join(told)


Pair = tuple[str, float, str, float]  # system, its number, best baseline, its number


def _mixed(own: pd.Series, rivals: pd.DataFrame) -> Pair | None:
    """Return the gain with each row measured as the paper's was; unknown rows are left out."""
    known = rivals[rivals["printed_with"] != ""]
    made = {own["printed_with"], *known["printed_with"]}
    if known.empty or "" in made or len(made) == 1:
        return None
    values = known[FIRST].where(known["printed_with"] == FIRST, known[SECOND])
    best = values.idxmax()
    return own["system"], own[own["printed_with"]], known.loc[best, "system"], values[best]


def _one(own: pd.Series, rivals: pd.DataFrame, place: str) -> Pair:
    best = rivals[place].idxmax()
    return own["system"], own[place], rivals.loc[best, "system"], rivals.loc[best, place]


def _ratio(_: str, own: float, __: str, value: float) -> float:
    return own / value - 1.0


def _gain(system: str, own: float, rival: str, value: float) -> str:
    return f"{system} {own:.4f}, best baseline {rival} {value:.4f}, {percent(own / value - 1.0)}"


def evaluator_table(files: StudyFiles, finding: FindingConfig, frame: pd.DataFrame) -> Table:
    """Lay out an evaluator finding."""
    first, second = f"{finding.metric}@{finding.k}", f"{finding.other_metric}@{finding.k}"
    header = ["dataset", "system", first, second, "difference", "published", "published with", "status"]
    names = {FIRST: first, SECOND: second}
    rows = []
    for _, line in frame.iterrows():
        made = names.get(line["printed_with"], "unknown") if pd.notna(line["published"]) else ""
        cells = [files.titles.get(line["dataset"], line["dataset"]), line["system"]]
        cells += [points(line[FIRST]), points(line[SECOND]), signed(line["difference"])]
        rows.append([*cells, points(line["published"]), made, line["status"]])
    return plain_table(header, rows, words={0, 1, 6, 7})
