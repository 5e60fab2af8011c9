"""Results frozen in `results/reference/`, and how far a study of today is from them.

`{study}/{scale}/{dataset}/` (`only` without a scale) holds that dataset's rows of the study's files, its
claims and `about.json`: versions, machine, scale with its caps, seeds, trials. Datasets are apart,
so those of several runs can stand side by side.
"""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from recspectra.config.base import safe_name
from recspectra.files import read_json, write_json, write_text
from recspectra.reporting.escape import spreadsheet
from recspectra.reporting.results import ABSENT, COLUMNS, StudyError, StudyResults, read_csv

FROZEN = ("metrics", "runs", "tuning")
CLAIMS = "claims.csv"  # kept for whoever reads it; compared is what was measured
MOST_LOST = 6  # runs that a message names
NAMED = ("model", "variant", "fit", "seed")
RUN = ["dataset", "model", "variant", "fit", "seed"]
NUMBER = [*RUN, "key", "protocol", "history", "mask", "users", "metric", "k"]
OUTCOMES = ["dataset", "model", "variant", "runs", "numbers", "equal", "largest difference", "of", "outcome"]
ABOUT = ("name", "scale", "seeds", "tuning", "provenance")


def freeze(folder: Path | str, target: Path | str) -> list[Path]:
    """Copy what a finished study measured, a folder for each dataset.

    Parameters
    ----------
    folder : Path
        `results/studies/{study}`.
    target : Path
        `results/reference`.

    Returns
    -------
    list of Path
        The folders written.

    Raises
    ------
    StudyError, ArtifactError
        The study is not finished, lacks runs that are kept (`MODELS=`, `MODEL_GROUPS=` or `SEEDS=` may have
        left them out), or a file cannot be written.
    """
    files = StudyResults(folder)
    for dataset in _datasets(files, files.metrics):
        _check_none_is_lost(files, dataset, _place(files, target) / dataset / "runs.csv")
    paths = {name: files.folder / f"{name}.csv" for name in FROZEN}
    tables = {
        name: read_csv(path, COLUMNS[name].split(), absent=ABSENT.get(name))
        for name, path in paths.items()
        if path.is_file()
    }
    # A narrowed study may have no claims left; those of its last full run still lie there.
    if files.config.claims and (verdicts := files.folder / CLAIMS).is_file():
        tables["claims"] = read_csv(verdicts, ["dataset"])
    about = {name: files.study[name] for name in ABOUT if name in files.study}
    places = []
    for dataset in _datasets(files, files.metrics):
        place = _place(files, target) / dataset
        for name, table in tables.items():
            rows = table[table["dataset"] == dataset]
            write_text(place / f"{name}.csv", spreadsheet(rows).to_csv(index=False, lineterminator="\n"))
        if "claims" not in tables:
            (place / CLAIMS).unlink(missing_ok=True)
        write_json(place / "about.json", about)
        places.append(place)
    return places


def _check_none_is_lost(files: StudyResults, dataset: str, kept: Path) -> None:
    """Refuse to write over numbers of runs that this run of the study lacks."""
    if not kept.is_file():
        return
    before = _named(read_csv(kept, COLUMNS["runs"].split()))
    now = _named(files.runs[files.runs["dataset"] == dataset])
    known = {run[:end] for run in now for end in range(1, len(NAMED) + 1)}
    lost = dict.fromkeys(_shortest(run, known) for run in before if run not in now)
    if lost:
        told = ", ".join(" ".join(run) for run in list(lost)[:MOST_LOST])
        more = f" and {len(lost) - MOST_LOST} more" if len(lost) > MOST_LOST else ""
        raise StudyError(
            f"{kept}: keeps {told}{more}, which this run of the study lacks; run them as well, or remove "
            f"{kept.parent} first"
        )


def _named(runs: pd.DataFrame) -> dict[tuple[str, ...], None]:
    """Return what tells runs of a dataset apart, in their order."""
    words = [runs["model"], runs["variant"], "fit " + runs["fit"], "seed " + runs["seed"].astype(str)]
    return dict.fromkeys(zip(*words, strict=True))


def _shortest(run: tuple[str, ...], known: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Return as little of a run's name as nothing known begins with."""
    return next(run[:end] for end in range(1, len(run) + 1) if run[:end] not in known)


def compare(folder: Path | str, target: Path | str) -> pd.DataFrame:
    """Set the numbers of a study beside the frozen ones of the same scale.

    Parameters
    ----------
    folder : Path
        `results/studies/{study}`.
    target : Path
        `results/reference`.

    Returns
    -------
    DataFrame
        A row for each variant of a model on a dataset, with columns `OUTCOMES`: how many runs and numbers
        both have, how many are equal, the largest difference (infinite where one side has no number) and
        which number it is of. `outcome` is
        `equal`, `differs`, `other configuration` (of the same label, with another key, if only in one of
        its groups), `new` or `not run`.

    Raises
    ------
    StudyError
        Nothing is frozen of this study and scale, or a file is wrong.
    """
    files = StudyResults(folder)
    frozen = _place(files, target)
    now = _numbers(files.folder / "metrics.csv")
    known = [_numbers(p) for d in _datasets(files, now) if (p := frozen / d / "metrics.csv").is_file()]
    if not known:
        there = ", ".join(sorted(p.name for p in frozen.glob("*"))) or "nothing"
        raise StudyError(
            f"{frozen}: {there} is frozen there, none of the study's datasets; `make freeze` does it"
        )
    both = now.merge(pd.concat(known), on=NUMBER, how="outer", suffixes=("", "_frozen"), indicator="side")
    rows = [_outcome(label, part) for label, part in both.groupby(RUN[:3], sort=True)]
    return pd.DataFrame(rows, columns=OUTCOMES)


def about(target: Path | str, study: str) -> list[str]:
    """Return a line for each frozen dataset of a study: scale, machine and versions."""
    lines = []
    for path in sorted(Path(target).glob(f"{study}/*/*/about.json")):
        made = read_json(path)["provenance"]
        versions = ", ".join(f"{name} {version}" for name, version in sorted(made["packages"].items()))
        lines.append(
            f"{path.parent.name}, scale {path.parts[-3]}: {made['processor']}, {made['machine']}; {versions}"
        )
    return lines


def _place(files: StudyResults, target: Path | str) -> Path:
    scale = files.study.get("scale") or {}
    scale = (scale.get("name") or "only") if isinstance(scale, dict) else scale
    place = Path(target) / safe_name(files.config.name, f"{files.folder}: name")
    return place / safe_name(scale, f"{files.folder / 'study.json'}: scale.name")


def _datasets(files: StudyResults, numbers: pd.DataFrame) -> list[str]:
    """Return the names of the datasets of some numbers; each becomes a folder."""
    where = f"{files.folder / 'metrics.csv'}: dataset"
    return [safe_name(name, where) for name in numbers["dataset"].unique()]


def _numbers(path: Path) -> pd.DataFrame:
    columns, absent = COLUMNS["metrics"].split(), ABSENT["metrics"]
    frame = read_csv(path, columns, ("value",), absent=absent).drop_duplicates()
    return frame[[*NUMBER, "value", "status"]]


def _outcome(label: tuple[str, str, str], part: pd.DataFrame) -> dict[str, object]:
    shared = part[part["side"] == "both"]
    same = (shared["value"] == shared["value_frozen"]) | (
        shared["value"].isna() & shared["value_frozen"].isna()
    )
    same &= shared["status"] == shared["status_frozen"]
    far = (shared["value"] - shared["value_frozen"]).abs()
    far[shared["value"].isna() != shared["value_frozen"].isna()] = math.inf  # a number that came or went
    first = shared.loc[far.idxmax()] if far.notna().any() else None
    return {
        **dict(zip(RUN[:3], label, strict=True)),
        "runs": len(shared[RUN].drop_duplicates()),
        "numbers": len(shared),
        "equal": int(same.sum()),
        "largest difference": far.max(),
        "of": "" if first is None or same.all() else f"{first['metric']}@{first['k']}, seed {first['seed']}",
        "outcome": _word(part, bool(same.all())),
    }


def _word(part: pd.DataFrame, same: bool) -> str:
    sides = set(part["side"])
    if "both" in sides and not same:
        return "differs"
    now, then = (set(part.loc[part["side"] != side, "key"]) for side in ("right_only", "left_only"))
    if now - then and then - now:
        return "other configuration"
    return "equal" if "both" in sides else "new" if "left_only" in sides else "not run"
