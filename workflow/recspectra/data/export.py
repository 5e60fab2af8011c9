"""Datasets and rankings in other tools' formats, so that they can check the numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from recspectra.data.interactions import Interactions
from recspectra.data.tables import PARTS
from recspectra.files import write_text


def recbole(pieces: dict[str, Interactions], name: str, folder: Path) -> list[Path]:
    """Write `{name}.train.inter`, `.valid.inter` and `.test.inter` (RecBole's atomic files).

    Users and items are written as this project numbers them. Where there are no time
    stamps the position in the user's history stands in their place.
    """
    paths = []
    for part in PARTS:
        piece = pieces[part]
        starts = np.repeat(piece.indptr[:-1], piece.lengths)
        times = piece.times if piece.times is not None else np.arange(piece.nnz) - starts
        frame = pd.DataFrame(
            {"user_id:token": piece.users, "item_id:token": piece.items, "timestamp:float": times}
        )
        paths.append(folder / f"{name}.{part}.inter")
        write_text(paths[-1], frame.to_csv(sep="\t", index=False, lineterminator="\n"))
    return paths


def trec_run(lists: np.ndarray, users: np.ndarray, tag: str) -> str:
    """Return the top lists of some users as a TREC run: `user Q0 item rank score tag`.

    The score is the negated rank, so that every tool sorts the list as it is.
    """
    chosen = lists[users]
    rows, columns = np.nonzero(chosen >= 0)
    lines = (
        f"{users[r]} Q0 {chosen[r, c]} {c + 1} {-(c + 1)} {tag}\n" for r, c in zip(rows, columns, strict=True)
    )
    return "".join(lines)


def trec_qrels(truth: Interactions) -> str:
    """Return test interactions as TREC qrels: `user 0 item 1`."""
    pairs = np.unique(np.stack([truth.users, truth.items], axis=1), axis=0)
    return "".join(f"{user} 0 {item} 1\n" for user, item in pairs)
