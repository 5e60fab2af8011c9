"""Claims of papers, judged by a study's own numbers: `claims.csv`, and what is said of it.

`claims.csv` holds every number and every verdict; sentences and tables are made from it alone. A claim goes
from `metrics.csv` to a page through five files: `results.py`, `claims/common.py`, the module of its kind,
this one and `pages/study.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.study import ClaimConfig
from recspectra.evaluation import simultaneous
from recspectra.files import write_text
from recspectra.reporting.claims.ablation import judge_ablation
from recspectra.reporting.claims.common import (
    CANNOT_TELL,
    COLUMNS,
    NUMBERS,
    TEXTS,
    TOO_FEW,
    TOO_FEW_USERS,
    Case,
)
from recspectra.reporting.claims.gain import judge_gain
from recspectra.reporting.claims.listed import LISTED, judge_listed
from recspectra.reporting.claims.order import judge_order
from recspectra.reporting.claims.settings import judge_flat, judge_optimum
from recspectra.reporting.claims.value import judge_value
from recspectra.reporting.escape import markdown
from recspectra.reporting.footnotes import scale_of
from recspectra.reporting.published import Published
from recspectra.reporting.results import StudyResults, read_csv, write_csv
from recspectra.reporting.table import Table, plain_table, to_markdown
from recspectra.reporting.words import p_value, paragraphs, percent, points, signed

MISMATCH = "\u2020"  # of a printed value that may not be compared with ours
HOLDS_ZERO = "the interval holds 0"
HOLDS_BOTH = "the interval holds values inside and outside the margin"
SHOWN = {"gain": "rival", "optimum": "rival", "flat": "rival", "listed": LISTED}  # scope of a table's rows
JUDGES = {"gain": judge_gain, "ablation": judge_ablation, "order": judge_order, "value": judge_value,
          "optimum": judge_optimum, "flat": judge_flat, "listed": judge_listed}  # fmt: skip


def judge(files: StudyResults, published: Published) -> pd.DataFrame:
    """Return what `claims.csv` holds: all claims of a study, judged."""
    cases = [Case(files, claim, published) for claim in files.config.claims]
    rows = [_with_trials(case, row) for case in cases for row in JUDGES[case.claim.kind](case)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    words = [name for name in COLUMNS if name in TEXTS]
    frame[words] = frame[words].astype(object).where(frame[words].notna(), "")
    return give_reasons(frame.astype(dict.fromkeys(NUMBERS, "float64")))


def give_reasons(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `claims.csv` in which each that cannot be told says why; old files left some out."""
    reasons = rows["reason"].str.replace("variation over seeds not covered", TOO_FEW, regex=False)
    untold = (rows["verdict"] == CANNOT_TELL) & rows["ci_low"].notna()
    compared = rows["kind"].isin(["gain", "ablation", "optimum"])
    around = untold & compared & (rows["ci_low"] <= 0) & (rows["ci_high"] >= 0)
    around &= ~(reasons.str.startswith(HOLDS_ZERO) | reasons.str.contains(TOO_FEW_USERS, regex=False))
    partly = untold & ~compared & (reasons == "")
    endless = (around | partly) & np.isinf(rows["ci_low"])
    two_apart = f"{TOO_FEW_USERS} the two apart"
    own = np.select([endless, around, partly], [two_apart, HOLDS_ZERO, HOLDS_BOTH], "")
    joint = ["; ".join(filter(None, both)) for both in zip(own, reasons, strict=True)]
    return rows.assign(reason=np.array(joint, dtype=object))


def _with_trials(case: Case, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose reason says that a scale cut the search, where it did."""
    config = case.files.config
    tuned = config.tuning and any(e.tune and e.group in case.claim.groups for e in config.models)
    made = scale_of(case.files).count_trials(config.tuning.trials) if tuned else 0
    if not row.get("verdict") or not tuned or made == config.tuning.trials:
        return row
    note = f"settings were searched with {made} of {config.tuning.trials} trials"
    return row | {"reason": "; ".join(filter(None, [row.get("reason", ""), note]))}


def read(folder: Path) -> pd.DataFrame:
    """Read `claims.csv` back from disk."""
    absent = dict.fromkeys(("unlike", "unlike_rival"), "")  # in files of earlier versions
    return give_reasons(
        read_csv(Path(folder) / "claims.csv", COLUMNS, NUMBERS, "draw the study first", absent)
    )


def tell(files: StudyResults, claim: ClaimConfig, rows: pd.DataFrame) -> list[str]:
    """Return what the rows of a claim say: a paragraph for each dataset, then how it was measured."""
    titles = [files.titles.get(name, name) for name in rows["dataset"]]
    lines = rows.assign(title=titles).to_dict("records")
    return paragraphs("claims.j2", claim=claim, rows=lines, titles=files.titles, draws=simultaneous.DRAWS)


def tell_left_out(files: StudyResults) -> list[str]:
    """Return a line that says what a user narrowed away from a study; nothing where it is whole."""
    return paragraphs("narrowed.j2", out=files.left_out)


def layout(files: StudyResults, claim: ClaimConfig, rows: pd.DataFrame) -> Table:
    """Lay out the rows of a claim as a small table."""
    if claim.kind == "order":
        return _order_table(files, rows[rows["scope"] == "model"])
    shown = rows[rows["scope"] == SHOWN.get(claim.kind, "claim")]
    listed = claim.kind == "listed"
    words = {
        "paper": (shown["paper"] + ", " + shown["place"]) if listed else [],
        "metric": (shown["metric"] + "@" + shown["k"].astype(int).astype(str)) if listed else [],
        "dataset": [files.titles.get(name, name) for name in shown["dataset"]],
        "history": shown["history"],
        "claim": shown["statement"] if claim.kind in ("ablation", "listed") else [],
        "measured with": shown["reading"].where(shown["reading"] != "", claim.metric)
        if claim.rival_metric else [],
        "model": shown["subject"], "set against": shown["rival"], "verdict": shown["verdict"],
        "note": shown["reason"],
    }  # fmt: skip
    spans = zip(shown["ci_low"].map(signed), shown["ci_high"].map(signed), strict=True)
    cells = words | {
        "value": shown["ours"].map(points), "value of that": shown["ours_rival"].map(points),
        "difference": shown["difference"].map(signed),
        "95% interval": [f"{low} to {high}" if low else "" for low, high in spans],
        "p": shown["p"].map(p_value), "gain": shown["gain"].map(percent),
        "printed gain": shown["published_gain"].map(percent) if listed else [],
        "printed": _with_mark(shown["published"], shown["unlike"]),
        "printed of that": _with_mark(shown["published_rival"], shown["unlike_rival"]),
    }  # fmt: skip
    order = ("dataset", "history", "claim", "paper", "measured with", "metric", "model", "value",
             "set against", "value of that", "difference", "95% interval", "p", "gain", "printed gain",
             "verdict", "printed", "printed of that", "note")  # fmt: skip
    header = [name for name in order if any(cells[name])]
    lines = [list(row) for row in zip(*(cells[name] for name in header), strict=True)]
    unlike = {*shown["unlike"], *shown["unlike_rival"]} - {""}
    notes = [f"{MISMATCH} {why}: not compared with ours." for why in sorted(unlike)]
    return plain_table(header, lines, {i for i, name in enumerate(header) if name in words}, notes=notes)


def _with_mark(values: pd.Series, unlike: pd.Series) -> list[str]:
    """Return printed values, those that may not be compared with ours marked."""
    return [points(value) + (MISMATCH if why and points(value) else "")
            for value, why in zip(values, unlike, strict=True)]  # fmt: skip


def _order_table(files: StudyResults, rows: pd.DataFrame) -> Table:
    """Lay out places: a line a model, its number and place in every setting."""
    models = list(dict.fromkeys(rows.sort_values("rank", kind="stable")["subject"]))
    header, columns = ["model"], [models]
    settings = rows.groupby(["dataset", "history", "mask"], sort=False)
    for letter, ((dataset, history, mask), part) in zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", settings, strict=False):
        header += [f"{letter}: {files.titles.get(dataset, dataset)}, history {history}, mask {mask}"]
        header += [f"place {letter}"]
        own = part.set_index("subject").reindex(models)
        columns.append(own["ours"].map(points))
        spans = own[["rank", "rank_low", "rank_high"]].itertuples(index=False)
        columns.append(["" if pd.isna(a) else f"{a:.0f} ({b:.0f} to {c:.0f})" for a, b, c in spans])
    return plain_table(header, [list(row) for row in zip(*columns, strict=True)], words={0})


def draw_claims(files: StudyResults, published: Published) -> list[str]:
    """Write `claims.csv` and `claims.md`; return their names."""
    if not files.config.claims:
        return []
    path = files.folder / "claims.csv"
    write_csv(path, judge(files, published))
    frame, parts = read(files.folder), [markdown(text) for text in tell_left_out(files)]
    for claim in files.config.claims:
        rows = frame[frame["claim"] == claim.name]
        table = layout(files, claim, rows)
        parts += [f"### {markdown(claim.title)}", markdown(claim.caption)]
        parts += [markdown(text) for text in tell(files, claim, rows)]
        parts += [to_markdown(table)] if table.rows else []
    write_text(path.with_suffix(".md"), "\n\n".join(filter(None, parts)) + "\n")
    return ["claims.csv", "claims.md"]
