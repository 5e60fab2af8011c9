"""Who is above whom in how many worlds, and the smallest change of protocol that turns a claim around.

`worlds.csv` holds both: a row for each pair of models, and one for each claim of a gain or an ablation and
each of its rivals. Values are means; chance is not counted, which the words say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from recspectra.evaluation.turning import COLUMNS as VALUES
from recspectra.evaluation.turning import DIMENSIONS, Turn, shares_above, table_of, turning
from recspectra.files import write_text
from recspectra.reporting.claims.common import Case
from recspectra.reporting.escape import markdown
from recspectra.reporting.published import Published
from recspectra.reporting.results import (
    StudyError,
    StudyResults,
    names_of,
    read_csv,
    read_parquet,
    select_runs,
    write_csv,
)
from recspectra.reporting.words import paragraphs

COLUMNS = [
    "scope", "claim", "dataset", "statement", "subject", "rival", "protocol", *DIMENSIONS, "difference",
    "worlds", "above", "changes", "near", *(f"to_{name}" for name in DIMENSIONS), "to_difference",
]  # fmt: skip
NUMBERS = ["k", "difference", "worlds", "above", "changes", "near", "to_k", "to_difference"]
BEST = "the best rival"


def read_values(files: StudyResults, dataset: str) -> pd.DataFrame:
    """Return the values of every run of a dataset in every world.

    Raises
    ------
    StudyError
        Nobody has scored them, or the file is of another version.
    """
    path = files.folder / "worlds" / f"{dataset}.parquet"
    if not path.is_file():
        raise StudyError(f"{path}: file not found; run the study again")
    frame = read_parquet(path)
    if missing := [name for name in VALUES if name not in frame.columns]:
        raise StudyError(f"{path}: column {', '.join(missing)} is missing; delete it and run the study again")
    return frame


def wants_worlds(files: StudyResults) -> bool:
    """Tell whether a study asks for worlds."""
    return any(figure.kind == "worlds" for figure in files.config.figures)


def build(files: StudyResults, published: Published) -> pd.DataFrame:
    """Return what `worlds.csv` holds."""
    tables = {d: table_of(read_values(files, d)) for d in files.config.datasets}
    tables = {dataset: table for dataset, table in tables.items() if not table.empty}
    rows = [row for dataset, table in tables.items() for row in _pairs(files, dataset, table)]
    for claim in files.config.claims:
        if claim.kind in ("gain", "ablation"):
            case = Case(files, claim, published)
            rows += [row for d in case.datasets if d in tables for row in _claimed(case, d, tables[d])]
    return pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))


def standings(files: StudyResults, dataset: str, groups: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """Return worlds x models of some groups, fitted as the first of them is, under their labels.

    Two settings of a model that groups call the same are told apart by their groups.
    """
    runs = files.runs[files.runs["dataset"].eq(dataset) & files.runs["group"].isin(groups)]
    if runs.empty:
        return pd.DataFrame(index=table.index)
    fit = runs["fit"].iloc[0]
    rows = select_runs(files, groups, None, [fit])  # of all datasets: a model has one label on them all
    names = {f"{name}\0{fit}": label for name, label in zip(names_of(rows), rows["label"], strict=True)}
    return table[[name for name in names if name in table]].rename(columns=names)


def _name(*parts: str) -> str:
    return "\0".join(parts)


def main_groups(files: StudyResults) -> list[str]:
    """Return the groups whose models are set against each other: those of the figures of worlds."""
    named = [figure.group for figure in files.config.figures if figure.kind == "worlds" and figure.group]
    return list(dict.fromkeys(named)) or ["main"]


def _pairs(files: StudyResults, dataset: str, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield a row for each pair of models."""
    own = standings(files, dataset, main_groups(files), table)
    shares, count = shares_above(own), len(own.dropna())
    for subject in shares.index:
        for rival in shares.columns:
            if subject != rival:
                above = {"above": shares.loc[subject, rival], "worlds": count}
                yield {"scope": "pair", "dataset": dataset, "subject": subject, "rival": rival, **above}


def _claimed(case: Case, dataset: str, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield the rows of one claim on a dataset: a gain over each rival and the best of them, or the pairs."""
    claim = case.claim
    base = _world(case)
    if base is None:
        return
    for statement, subject, rivals in _contests(case, dataset):
        present = {label: name for name, label in rivals.items() if name in table}
        if subject[0] not in table or not present:
            continue
        gaps = {label: table[subject[0]] - table[name] for label, name in present.items()}
        if claim.kind == "gain" and len(gaps) > 1:
            gaps = {BEST: pd.concat(gaps, axis=1).min(axis=1, skipna=False), **gaps}
        for rival, gap in gaps.items():
            gap = gap.dropna()
            if tuple(base.values()) in gap.index:
                head = {"scope": "claim" if rival == BEST or len(gaps) == 1 else "rival", "claim": claim.name}
                head |= {"dataset": dataset, "statement": statement, "subject": subject[1], "rival": rival}
                yield head | {"protocol": claim.protocol, **base} | _cells(turning(gap, base))


def _contests(case: Case, dataset: str) -> Iterator[tuple[str, tuple[str, str], dict[str, str]]]:
    """Yield (statement, (run, label) of the subject, {run: label} of the rivals)."""
    claim, fit = case.claim, case.claim.fit
    named = {p[1:]: (_name(*p[1:], key, fit), label) for p, (label, key, _) in case.models.items()
             if p[0] == dataset}  # fmt: skip
    if claim.kind == "gain":
        rivals = dict(named[place] for place in named if case.is_rival(*place))
        if (claim.model, claim.variant) in named:
            yield claim.statement, named[claim.model, claim.variant], rivals
        return
    for pair in claim.pairs:
        if (claim.model, pair.better) in named and (claim.model, pair.worse) in named:
            yield pair.claim, named[claim.model, pair.better], dict([named[claim.model, pair.worse]])


def _world(case: Case) -> dict[str, object] | None:
    """Return the world in which a claim was measured."""
    claim, view = case.claim, case.view(case.measures[0])
    about = case.files.protocols.get(claim.protocol, {})
    if view is None or about.get("target", "test") != "test":
        return None
    users = about.get("users", "all")
    return {"metric": claim.metric, "k": claim.k, "ties": about.get("ties", "larger-id"),
            "history": view.history, "mask": view.mask, "users": users}  # fmt: skip


def _cells(turn: Turn) -> dict[str, Any]:
    to = {f"to_{name}": turn.change.get(name) for name in DIMENSIONS}
    return {"difference": turn.base, "worlds": turn.worlds, "above": turn.above, "changes": turn.changes,
            "near": turn.near, **to, "to_difference": turn.difference}  # fmt: skip


# -------------------------------------------------------------------------- files and words


def read(files: StudyResults) -> pd.DataFrame:
    """Read `worlds.csv` back from disk."""
    return read_csv(files.folder / "worlds.csv", COLUMNS, NUMBERS, "draw the study first")


def tell(files: StudyResults, frame: pd.DataFrame) -> list[str]:
    """Return what `worlds.csv` says of each claim, a paragraph a claim and dataset."""
    rows = frame[frame["scope"] == "claim"]
    titles = {claim.name: claim.title for claim in files.config.claims}
    told = [
        row | {"title": files.titles.get(row["dataset"], row["dataset"]), "question": titles[row["claim"]],
               "changed": changed(row)}
        for row in rows.to_dict("records")
    ]  # fmt: skip
    return paragraphs("worlds.j2", rows=told)


def changed(row: dict[str, Any]) -> list[str]:
    """Return in words what differs in the nearest world that turns a claim around."""
    whose = {"all": "all users", "activity-1": "the least active quarter",
             "activity-4": "the most active quarter"}  # fmt: skip
    words = {
        "metric": "{to} in place of {base}", "k": "cut-off {to:.0f} in place of {base:.0f}",
        "ties": "equal scores by {to} in place of {base}", "history": "history {to} in place of {base}",
        "mask": "mask {to} in place of {base}", "users": "users: {to} in place of {base}",
    }  # fmt: skip
    found = []
    for name, text in words.items():
        to = row[f"to_{name}"]
        if not (pd.isna(to) or to == ""):
            found.append(text.format(to=whose.get(to, to), base=whose.get(row[name], row[name])))
    return found


def draw_worlds(files: StudyResults, published: Published) -> list[str]:
    """Write `worlds.csv` and `worlds.md`; return their names."""
    if not wants_worlds(files):
        return []
    path = files.folder / "worlds.csv"
    write_csv(path, build(files, published))
    lines = tell(files, read(files))
    write_text(path.with_suffix(".md"), "\n\n".join(map(markdown, lines)) + "\n")
    return ["worlds.csv", "worlds.md"]
