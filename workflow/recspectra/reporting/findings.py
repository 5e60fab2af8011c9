"""Findings: a published claim set against the study's own numbers, in sentences and a table.

`finding-{name}.csv` holds every number. The sentences are made from that file alone, so
nothing is said that is not on disk. A difference is called one only if the paired test over
users, corrected for the number of comparisons of the finding, says so.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.config.study import FindingConfig, View
from recspectra.files import write_text
from recspectra.reporting.escape import markdown
from recspectra.reporting.evaluator import COLUMNS as EVALUATOR_COLUMNS
from recspectra.reporting.evaluator import NUMBERS as EVALUATOR_NUMBERS
from recspectra.reporting.evaluator import build_evaluator, evaluator_sentences, evaluator_table
from recspectra.reporting.not_converged import cut_off_sentence
from recspectra.reporting.printed import Counterpart, percent, points, signed
from recspectra.reporting.published import Published
from recspectra.reporting.rank_correlation import COLUMNS as ORDER_COLUMNS
from recspectra.reporting.rank_correlation import NUMBERS as ORDER_NUMBERS
from recspectra.reporting.rank_correlation import build_order, order_sentences, order_table
from recspectra.reporting.results import (
    StudyError,
    StudyFiles,
    preferred,
    read_drawn,
    seen,
    systems,
    write_csv,
)
from recspectra.reporting.table import Table, plain_table, to_markdown

COLUMNS = [
    "dataset", "claim", "first", "second", "model", "variant", "baseline", "metric", "k", "mean_first",
    "mean_second", "difference", "low", "high", "p", "p_holm", "users", "status", "published_first",
    "published_second", "verdict",
]  # fmt: skip
NUMBERS = ["k", "mean_first", "mean_second", "difference", "low", "high", "p", "p_holm", "users",
           "published_first", "published_second"]  # fmt: skip
ALPHA = 0.05
ABOVE, BELOW, EQUAL, UNKNOWN = "above", "below", "not distinguishable", "not measured"


# ------------------------------------------------------------------------------ numbers


def build(files: StudyFiles, finding: FindingConfig, published: Published) -> pd.DataFrame:
    """Return the numbers of a finding, what `finding-{name}.csv` holds."""
    if finding.kind == "evaluator":
        return build_evaluator(files, finding, published)
    if finding.kind == "ranking":
        return build_order(files, finding)
    pairs = _with_best(files, finding) if finding.kind == "claim-best" else _of_variants(files, finding)
    pairs = _compared(files, finding, pairs)
    return _printed(files, finding, pairs, published)[COLUMNS]


def _with_best(files: StudyFiles, finding: FindingConfig) -> pd.DataFrame:
    """Return (system of the claim, other system) for every other system, or those `against`, by dataset."""
    runs = systems(files, finding.groups, finding.datasets, finding.fit)
    own = runs[(runs["model"] == finding.model) & (runs["variant"] == finding.variant)]
    others = runs[runs["model"] != finding.model]
    rivals = "every baseline"
    if finding.against:
        others = others[others["model"].isin(finding.against)]
        rivals = "each of " + ", ".join(_title(files, model) for model in finding.against)
    claim = f"{_title(files, finding.model)} is above {rivals}"
    return own.merge(others, on="dataset", how="right", suffixes=("_first", "_second")).assign(claim=claim)


def _of_variants(files: StudyFiles, finding: FindingConfig) -> pd.DataFrame:
    """Return the pairs of variants that the finding names, for every dataset."""
    runs = systems(files, finding.groups, finding.datasets, finding.fit)
    runs = runs[runs["model"] == finding.model]
    named = pd.DataFrame(
        [(pair.claim, pair.better, pair.worse) for pair in finding.pairs],
        columns=["claim", "variant_first", "variant_second"],
    )
    datasets = pd.DataFrame({"dataset": finding.datasets or files.config.datasets})
    frame = datasets.merge(named, how="cross")
    for place in ("first", "second"):
        part = runs.add_suffix(f"_{place}").rename(columns={f"dataset_{place}": "dataset"})
        frame = frame.merge(part, on=["dataset", f"variant_{place}"], how="left")
        frame[f"label_{place}"] = frame[f"label_{place}"].fillna(frame[f"variant_{place}"])
        frame[f"model_{place}"] = finding.model
    return frame


def _title(files: StudyFiles, model: str) -> str:
    known = dict(zip(files.runs["model"], files.runs["title"], strict=True))
    return known.get(model, model)


def _compared(files: StudyFiles, finding: FindingConfig, pairs: pd.DataFrame) -> pd.DataFrame:
    """Add means, differences, intervals and p-values over users."""
    view = finding.view or preferred(files, finding.protocol)
    parts = [
        _compared_on(part, user_values(files, finding, view, dataset))
        for dataset, part in pairs.groupby("dataset", sort=False)
    ]
    frame = pd.concat(parts) if parts else pairs.reindex(columns=[*pairs.columns, *MEASURED])
    from recspectra.evaluation.significance import holm  # scipy: only where there are findings

    corrected = holm(frame["p"].to_numpy(dtype=np.float64)) if len(frame) else frame["p"]
    frame = frame.assign(p_holm=corrected, metric=finding.metric, k=finding.k)
    verdicts = [_verdict(*line) for line in frame[["difference", "p_holm"]].itertuples(index=False)]
    return frame.assign(verdict=verdicts)


MEASURED = ["mean_first", "mean_second", "difference", "low", "high", "p", "users"]


def _compared_on(pairs: pd.DataFrame, values: pd.DataFrame) -> pd.DataFrame:
    """Compare the pairs of one dataset; those that share their first system share the resamples."""
    from recspectra.evaluation.significance import compare

    pairs = pairs.assign(**dict.fromkeys(MEASURED, np.nan))
    pairs["users"] = float(len(values)) if len(values) else np.nan
    keys = {place: _keys(pairs, place) for place in ("first", "second")}
    for place, key in keys.items():
        pairs[f"mean_{place}"] = [values[k].mean() if k in values else np.nan for k in key]
    for first, rows in pairs.groupby(pd.Series(keys["first"], index=pairs.index), sort=False).groups.items():
        known = [row for row in rows if keys["second"].loc[row] in values and first in values]
        if known:
            others = values[[keys["second"].loc[row] for row in known]].to_numpy()
            found = compare(values[first].to_numpy(), others)
            for row, one in zip(known, found, strict=True):
                pairs.loc[row, MEASURED[2:6]] = [one.difference, one.low, one.high, one.p]
    return pairs


def _keys(pairs: pd.DataFrame, place: str) -> pd.Series:
    names = [f"model_{place}", f"variant_{place}", f"key_{place}"]
    rows = pairs[names].astype(object).fillna("").itertuples(index=False)
    return pd.Series(["\0".join(row) for row in rows], index=pairs.index)


def user_values(files: StudyFiles, finding: FindingConfig, view: View | None, dataset: str) -> pd.DataFrame:
    """Return a finding's metric of every user (rows) under every system (columns).

    A user's value is the mean over seeds. Columns are `model`, `variant` and `key`, joined.

    Raises
    ------
    StudyError
        The file of the dataset is missing or lacks users of a system.
    """
    path = files.folder / "per_user" / f"{dataset}.parquet"
    if not path.is_file():
        raise StudyError(f"{path}: file not found; a finding needs it; evaluate the study again")
    rows = _matching(path, finding, view)
    if rows.empty:
        return pd.DataFrame()
    names = rows["model"].astype(str) + "\0" + rows["variant"].astype(str) + "\0" + rows["key"].astype(str)
    rows = pd.DataFrame({"name": names, "user": rows["user"], "value": rows["value"].astype("float64")})
    values = rows.groupby(["user", "name"], sort=True)["value"].mean().unstack()
    if values.isna().any(axis=None):
        raise StudyError(f"{path}: systems were measured on different users; delete it and evaluate again")
    return values


def _matching(path: Path, finding: FindingConfig, view: View | None) -> pd.DataFrame:
    from pyarrow import parquet

    if view is None or "user" not in parquet.read_schema(path).names:  # no run finished
        return pd.DataFrame()
    wanted = {"protocol": finding.protocol, "history": view.history, "mask": view.mask, "fit": finding.fit}
    wanted |= {"metric": finding.metric, "k": finding.k}
    columns = ["model", "variant", "key", "user", "value"]
    filters = [(name, "==", value) for name, value in wanted.items()]
    return pd.read_parquet(path, columns=columns, filters=filters)


def _verdict(difference: float, p: float) -> str:
    if pd.isna(difference):
        return UNKNOWN
    if pd.isna(p) or p >= ALPHA or difference == 0.0:
        return EQUAL
    return ABOVE if difference > 0 else BELOW


def _printed(
    files: StudyFiles, finding: FindingConfig, pairs: pd.DataFrame, published: Published
) -> pd.DataFrame:
    """Add the printed values, whether the paper compares with a system, and statuses."""
    other = Counterpart(published, finding)
    pairs = pairs.rename(columns={"label_first": "first", "label_second": "second"})
    pairs = pairs.fillna({"model_first": finding.model, "variant_first": finding.variant})
    places = {
        place: pairs[["dataset", f"model_{place}", f"variant_{place}"]] for place in ("first", "second")
    }
    values = {
        f"published_{place}": [other.value(*line, finding.metric) for line in part.itertuples(index=False)]
        for place, part in places.items()
    }
    compared = [
        bool(finding.against) or other.known(*line[1:]) for line in places["second"].itertuples(index=False)
    ]
    first = pairs["first"].fillna(_title(files, finding.model))
    statuses = [_status(*line) for line in zip(pairs["status_first"], pairs["status_second"], strict=True)]
    return pairs.assign(
        **values,
        first=first,
        baseline=[str(known).lower() for known in compared],
        status=statuses,
        model=pairs["model_second"],
        variant=pairs["variant_second"],
    )


def _status(first: object, second: object) -> str:
    """Return `ok`, or what kept the pair from being compared."""
    words = {"first": first, "second": second}
    lost = [
        f"{place}: {'no run' if pd.isna(text) else text}" for place, text in words.items() if text != "ok"
    ]
    return "; ".join(lost) or "ok"


# ---------------------------------------------------------------------------- sentences


def sentences(
    files: StudyFiles, finding: FindingConfig, frame: pd.DataFrame, published: Published
) -> list[str]:
    """Return what the numbers of a finding say, one paragraph a dataset."""
    if frame.empty:
        return ["No run of this study belongs to this finding, so nothing can be said."]
    other = Counterpart(published, finding)
    if finding.kind == "evaluator":
        return evaluator_sentences(files, finding, frame, other)
    if finding.kind == "ranking":
        return order_sentences(files, finding, frame)
    view = finding.view or preferred(files, finding.protocol)
    what = f"{finding.metric}@{finding.k}, protocol {finding.protocol}, {seen(view) if view else 'no view'}"
    told = [f"Measured: {what}, fitted on {finding.fit}. {_method(frame)}"]
    tell = _best if finding.kind == "claim-best" else _ablation
    for dataset, part in frame.groupby("dataset", sort=False):
        text = tell(files.titles.get(dataset, dataset), part, other, dataset)
        told.append(f"{text} {cut_off_sentence(files, finding, dataset)}".strip())
    return told


def _method(frame: pd.DataFrame) -> str:
    count = int(frame["p"].notna().sum())
    return (
        "Differences are means over users, with 95% bootstrap intervals (10,000 resamples of the users); p "
        "is that of the paired t-test, corrected by Holm for "
        f"{count} comparison{'' if count == 1 else 's'}. A difference counts if p is below {ALPHA:g}. "
        "Neither says anything about other splits of the data."
    )


def _best(title: str, part: pd.DataFrame, other: Counterpart, dataset: str) -> str:
    """Say which system is best, how far the claim holds, and what is left of the published gain."""
    first, own = part["first"].iloc[0], part["mean_first"].iloc[0]
    if pd.isna(own):
        why = part["status"].str.extract(r"first: ([^;]+)")[0].dropna()
        reason = why.iloc[0] if len(why) else "not measured"
        return f"{title}: {first} has no number here ({reason}), so the claim cannot be looked at."
    measured = part[part["mean_second"].notna()].sort_values("mean_second", ascending=False, kind="stable")
    if measured.empty:
        return (
            f"{title}: {first} has {own:.4f}, but no other system has a number. {_lost(part, other)}".strip()
        )
    published = measured[measured["baseline"] == "true"]
    rivals = published if len(published) else measured
    printed = len(published) and other.table is not None
    baselines = "of the paper's baselines" if printed else "baseline" + "s" * (len(rivals) > 1)
    top, rival = measured.iloc[0], rivals.iloc[0]
    best = (top["second"], top["mean_second"]) if top["mean_second"] > own else (first, own)
    outside = ", which the paper does not compare with," if _outside(top, best[0]) else ""
    told = [f"{title} ({rival['users']:.0f} users): {best[0]}{outside} is best with {best[1]:.4f}."]
    gain = own / rival["mean_second"] - 1.0
    against = (
        "against that"
        if rival["second"] == best[0]
        else f"against {rival['second']}, the best of them with {rival['mean_second']:.4f}"
    )
    told.append(
        f"{len(rivals)} {baselines} {'were' if len(rivals) > 1 else 'was'} measured. {first} has {own:.4f}, "
        f"{percent(gain)} {against}, {_difference(rival)}."
    )
    told.append(_claim(part["claim"].iloc[0], rivals))
    told += [_survives(gain, other, dataset), _lost(part, other)]
    return " ".join(filter(None, told))


def _outside(top: pd.Series, best: str) -> bool:
    return best == top["second"] and top["baseline"] == "false"


def _difference(line: pd.Series) -> str:
    return (
        f"a difference of {signed(line['difference'])} ({signed(line['low'])} to {signed(line['high'])}; "
        f"p {_p(line['p_holm'])})"
    )


def _p(value: float) -> str:
    return "unknown" if pd.isna(value) else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def _claim(claim: str, rivals: pd.DataFrame) -> str:
    counts = {word: int((rivals["verdict"] == word).sum()) for word in (ABOVE, EQUAL, BELOW)}
    word = "does not hold" if counts[BELOW] else "is not decided" if counts[EQUAL] else "holds"
    return (
        f'"{claim}" {word}: above {counts[ABOVE]} of {len(rivals)}, not distinguishable from '
        f"{counts[EQUAL]}, below {counts[BELOW]}."
    )


def _survives(gain: float, other: Counterpart, dataset: str) -> str:
    """Say what is left of the published gain over the best published baseline."""
    printed = other.gain(dataset)
    if printed is None:
        return ""
    text = f"Published{other.where(dataset)}: {percent(printed.gain)} over {printed.rival} "
    text += f"({printed.own:.4f} against {printed.value:.4f}); "
    if gain <= 0 or printed.gain <= 0:
        return text + "of that gain nothing is left."
    return text + f"{percent(gain)} is {gain / printed.gain:.0%} of that gain."


def _lost(part: pd.DataFrame, other: Counterpart) -> str:
    """Say which systems have no number, and why."""
    failed = part[part["mean_second"].isna()]
    words = [
        f"{name} ({status.removeprefix('second: ')})"
        for name, status in zip(failed["second"], failed["status"], strict=True)
    ]
    told = f"Without a number: {', '.join(words)}." if words else ""
    ours = set(zip(part["model"], part["variant"], strict=True))
    absent = [] if other.finding.against else other.absent(ours)
    return " ".join(filter(None, [told, f"Not in this study: {', '.join(absent)}." if absent else ""]))


def _ablation(title: str, part: pd.DataFrame, other: Counterpart, dataset: str) -> str:
    """Say of each pair of variants whether the better is above the worse."""
    words = {ABOVE: "holds", BELOW: "does not hold, it is the other way round", EQUAL: "is not decided"}
    told = [f"{title}:"]
    for _, line in part.iterrows():
        pair = f"{line['first']} against {line['second']}"
        if line["verdict"] == UNKNOWN:
            why = (
                line["status"].replace("first:", f"{line['first']}:").replace("second:", f"{line['second']}:")
            )
            told.append(f'"{line["claim"]}" cannot be looked at ({why}).')
            continue
        numbers = f"{line['mean_first']:.4f} against {line['mean_second']:.4f}, {_difference(line)}"
        told.append(f'"{line["claim"]}" {words[line["verdict"]]} ({pair}): {numbers}.')
        if pd.notna(line["published_first"]) and pd.notna(line["published_second"]):
            pair = f"{line['published_first']:.4f} against {line['published_second']:.4f}"
            told.append(f"Published{other.where(dataset)}: {pair}.")
    return " ".join(told)


def _why(line: pd.Series) -> str:
    """Return the status of a pair with the systems' names in it."""
    return line["status"].replace("first:", f"{line['first']}:").replace("second:", f"{line['second']}:")


# ------------------------------------------------------------------------------- layout


def layout(files: StudyFiles, finding: FindingConfig, frame: pd.DataFrame) -> Table:
    """Lay out the numbers of a finding as a small table."""
    if finding.kind == "evaluator":
        return evaluator_table(files, finding, frame)
    if finding.kind == "ranking":
        return order_table(files, frame)
    label = f"{finding.metric}@{finding.k}"
    header = ["dataset", "system", label, "set against", f"{label} of that", "difference", "95% interval"]
    header += ["p (Holm)", "system is", "published (system)", "published (set against)"]
    some = frame[["published_first", "published_second"]].notna().any(axis=None)
    rows = []
    for _, line in frame.iterrows():
        gap = "" if pd.isna(line["low"]) else f"{signed(line['low'])} to {signed(line['high'])}"
        verdict = line["verdict"] if line["status"] == "ok" else f"{line['verdict']} ({_why(line)})"
        cells = [
            files.titles.get(line["dataset"], line["dataset"]),
            line["first"],
            points(line["mean_first"]),
        ]
        cells += [line["second"], points(line["mean_second"]), signed(line["difference"]), gap]
        cells += [_p(line["p_holm"]).removeprefix("= ") if pd.notna(line["p_holm"]) else "", verdict]
        cells += [points(line["published_first"]), points(line["published_second"])] if some else []
        rows.append(cells)
    return plain_table(header if some else header[:9], rows, words={0, 1, 3, 8})


def read(folder: Path, finding: FindingConfig) -> pd.DataFrame:
    """Read a finding's numbers back from disk."""
    path = Path(folder) / f"finding-{finding.name}.csv"
    columns, numbers = (COLUMNS, NUMBERS)
    if finding.kind == "evaluator":
        columns, numbers = (EVALUATOR_COLUMNS, EVALUATOR_NUMBERS)
    if finding.kind == "ranking":
        columns, numbers = (ORDER_COLUMNS, ORDER_NUMBERS)
    return read_drawn(path, columns, numbers, "draw the study first")


def draw_finding(files: StudyFiles, finding: FindingConfig, published: Published) -> list[str]:
    """Write `finding-{name}.csv` and `.md`; return their names."""
    path = files.folder / f"finding-{finding.name}.csv"
    write_csv(path, build(files, finding, published))
    frame = read(files.folder, finding)
    parts = [f"### {markdown(finding.title)}"]
    parts += [markdown(finding.caption)] if finding.caption else []
    parts += [markdown(text) for text in sentences(files, finding, frame, published)]
    parts += [to_markdown(layout(files, finding, frame)).rstrip()] if len(frame) else []
    write_text(path.with_suffix(".md"), "\n\n".join(parts) + "\n")
    return [path.with_suffix(suffix).name for suffix in (".csv", ".md")]
