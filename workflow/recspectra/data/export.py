"""Datasets and rankings in other tools' formats, with the user's own ids: so these can check the numbers."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.tables import PARTS
from recspectra.files import write_text

# RecBole reads its files with pandas, which takes these words for a missing value, and pads with [PAD].
LOST_IN_RECBOLE = {
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A",
    "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "[PAD]",
}  # fmt: skip
# Of a dataset of this name RecBole reads a copy of its own, whatever `data_path` says.
SHIPPED_WITH_RECBOLE = "ml-100k"
ELSEWHERE = "write CSV or Parquet instead, or give it another id"


# --------------------------------------------------------------------------------------------- RecBole


def recbole(pieces: dict[str, Interactions], ids: Ids, name: str, folder: Path) -> list[Path]:
    """Write a dataset with its split for RecBole, as benchmark files.

    `{name}/{name}.train.inter`, `.valid.inter`, `.test.inter` are atomic files: tabs, no quoting, a header of
    `field:type`. `{name}.yaml` names them (`benchmark_filename`), so that RecBole splits nothing itself.
    Where there are no time stamps the position in the user's history stands in their place.

    Parameters
    ----------
    pieces : dict
        `train`, `valid` and `test`.
    ids : Ids
        Of the dataset.
    name : str
        Name of the dataset.
    folder : Path
        Where to write; RecBole's `data_path`.

    Raises
    ------
    DataError
        RecBole could not read an id as it is; nothing is written.
    """
    name = f"{name}-own" if name == SHIPPED_WITH_RECBOLE else name
    users, items = (_recbole_ids(given, role) for given, role in ((ids.users, "user"), (ids.items, "item")))
    texts = {part: _atomic_file(pieces, part, users, items) for part in PARTS}
    paths = [folder / name / f"{name}.{part}.inter" for part in PARTS]
    for path, text in zip(paths, texts.values(), strict=True):
        write_text(path, text)
    write_text(folder / f"{name}.yaml", _recbole_settings(name))
    return [*paths, folder / f"{name}.yaml"]


def _recbole_ids(ids: np.ndarray, role: str) -> np.ndarray:
    def problem(text: str) -> str:
        if re.search(r"[\t\r\n]", text):
            return "holds a tab or a line break, which separate in its files"
        if text.startswith('"'):
            return "starts with a quote, which its reader takes away"
        return "is read as a missing value or as padding" if text in LOST_IN_RECBOLE else ""

    return _checked(ids, role, "RecBole", problem)


def _checked(ids: np.ndarray, role: str, format_name: str, problem: Callable[[str], str]) -> np.ndarray:
    """Return ids as texts; refuse the first that a format cannot carry."""
    texts = ids.astype(str).astype(object)
    for position, text in enumerate(texts):
        if why := problem(text):
            raise DataError(f"{role} {text!r} (position {position}): for {format_name} it {why}; {ELSEWHERE}")
    return texts


def _atomic_file(pieces: dict[str, Interactions], part: str, users: np.ndarray, items: np.ndarray) -> str:
    piece = pieces[part]
    times = piece.times if piece.times is not None else _places(pieces, part)
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    rows = zip(users[piece.users], items[piece.items], times.tolist(), strict=True)
    return "\n".join([*lines, *(f"{user}\t{item}\t{time!r}" for user, item, time in rows)]) + "\n"


def _places(pieces: dict[str, Interactions], part: str) -> np.ndarray:
    """Return where each interaction of a part stands in its user's history; train, valid, test in turn."""
    piece = pieces[part]
    before = sum((pieces[name].lengths for name in PARTS[: PARTS.index(part)]), np.zeros(piece.n_users, int))
    return np.arange(piece.nnz) - np.repeat(piece.indptr[:-1] - before, piece.lengths)


def _recbole_settings(name: str) -> str:
    settings = {
        "data_path": "./",
        "benchmark_filename": list(PARTS),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp",
        "eval_args": {"order": "TO", "mode": "full"},
    }  # fmt: skip
    head = f"# In this folder: run_recbole(model='BPR', dataset='{name}', config_file_list=['{name}.yaml'])\n"
    return head + yaml.safe_dump(settings, sort_keys=False)


# ------------------------------------------------------------------------------------------- rankings


def lists_csv(lists: np.ndarray, users: Iterable[int], ids: Ids, path: Path) -> None:
    """Write the top lists of some users as `user,item,rank`, with the quoting of RFC 4180.

    It is what `read_lists` reads, and a study's entry `lists:`.
    """
    users = np.asarray(users)
    rows, columns = np.nonzero(lists[users] >= 0)
    frame = pd.DataFrame(
        {
            "user": ids.users.astype(str).astype(object)[users[rows]],
            "item": ids.items.astype(str).astype(object)[lists[users[rows], columns]],
            "rank": columns + 1,
        }
    )
    write_text(path, frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL))


def trec_run(lists: np.ndarray, users: np.ndarray, tag: str, ids: Ids) -> str:
    """Return the top lists of some users as a TREC run: `user Q0 item rank score tag`.

    The score is the negated rank, so that every tool sorts the list as it is.

    Raises
    ------
    DataError
        An id holds a blank: blanks separate in TREC files.
    """
    names, items = _trec_ids(ids)
    chosen = lists[users]
    rows, columns = np.nonzero(chosen >= 0)
    return "".join(
        f"{names[users[r]]} Q0 {items[chosen[r, c]]} {c + 1} {-(c + 1)} {tag}\n"
        for r, c in zip(rows, columns, strict=True)
    )


def trec_qrels(truth: Interactions, ids: Ids) -> str:
    """Return test interactions as TREC qrels: `user 0 item 1`; it raises what `trec_run` does."""
    names, items = _trec_ids(ids)
    pairs = np.unique(np.stack([truth.users, truth.items], axis=1), axis=0)
    return "".join(f"{names[user]} 0 {items[item]} 1\n" for user, item in pairs)


def _trec_ids(ids: Ids) -> tuple[np.ndarray, np.ndarray]:
    def problem(text: str) -> str:
        return "holds a blank, which separates in its files" if re.search(r"\s", text) else ""

    return _checked(ids.users, "user", "TREC", problem), _checked(ids.items, "item", "TREC", problem)
