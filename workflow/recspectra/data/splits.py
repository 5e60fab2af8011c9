"""Split recipes: one function per recipe, from a dense table to part labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from recspectra.artifacts import write_json
from recspectra.config import DatasetConfig, SplitConfig
from recspectra.data.interactions import DataError, Interactions, from_pairs
from recspectra.data.tables import PARTS, InteractionTable
from recspectra.runtime import axis_seed

Recipe = Callable[[InteractionTable, SplitConfig], np.ndarray]


def shipped(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Keep the split of the source's own files."""
    if table.parts is None:
        raise DataError("split 'shipped' needs files with `part: train|valid|test`")
    return table.parts


def temporal_user(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Give the newest share of each user's history to test, the next newest to valid.

    A user with n interactions gets floor(n * test) test and floor(n * valid) valid
    ones; equal time stamps keep the order of the file.
    """
    order, position, lengths = _positions(table)
    n_test = np.floor(lengths * config.test + 1e-9).astype(np.int64)
    n_valid = np.floor(lengths * config.valid + 1e-9).astype(np.int64)
    from_end = lengths[table.users[order]] - 1 - position
    test_share = n_test[table.users[order]]
    parts = np.zeros(len(table), dtype=np.int8)
    parts[order[from_end < test_share + n_valid[table.users[order]]]] = PARTS.index("valid")
    parts[order[from_end < test_share]] = PARTS.index("test")
    return parts


def _positions(table: InteractionTable) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (row order by user and time, position in the user's history, history lengths)."""
    by_time = np.arange(len(table)) if table.times is None else np.argsort(table.times, kind="stable")
    order = by_time[np.argsort(table.users[by_time], kind="stable")]
    lengths = np.bincount(table.users)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return order, np.arange(len(table)) - np.repeat(starts, lengths), lengths


def random(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Draw test from all interactions, then `valid` as a share of what is left."""
    shuffled = np.random.default_rng(axis_seed(config.seed, "split")).permutation(len(table))
    n_test = round(len(table) * config.test)
    n_valid = round((len(table) - n_test) * config.valid)
    parts = np.zeros(len(table), dtype=np.int8)
    parts[shuffled[:n_test]] = PARTS.index("test")
    parts[shuffled[n_test : n_test + n_valid]] = PARTS.index("valid")
    return parts


RECIPES: dict[str, Recipe] = {"shipped": shipped, "temporal-user": temporal_user, "random": random}


def split(table: InteractionTable, config: DatasetConfig) -> dict[str, Interactions]:
    """Apply a dataset's recipe and return its parts.

    Raises
    ------
    DataError
        A part is empty, or the counts differ from those the YAML expects.
    """
    dense, user_labels, item_labels = table.densified()
    parts = RECIPES[config.split.recipe](dense, config.split)
    shape = len(user_labels), len(item_labels)
    pieces = {}
    for code, name in enumerate(PARTS):
        rows = parts == code
        if not rows.any():
            raise DataError(f"dataset '{config.name}': the {name} part of the split is empty")
        times = None if dense.times is None or not config.ordered else dense.times[rows]
        pieces[name] = from_pairs(dense.users[rows], dense.items[rows], times, shape)
    return pieces


def check_counts(config: DatasetConfig, found: dict[str, Any]) -> None:
    """Compare found with expected counts; a mismatch raises `DataError` with both."""
    expected = config.expected.model_dump(exclude_none=True) if config.expected else {}
    wrong = [f"{k}: found {found[k]:,}, expected {v:,}" for k, v in expected.items() if found[k] != v]
    if wrong:
        raise DataError(f"dataset '{config.name}' is not what it should be: {'; '.join(wrong)}")


def statistics(config: DatasetConfig, pieces: dict[str, Interactions]) -> dict[str, Any]:
    """Return the counts that `stats.json` holds."""
    train = pieces["train"]
    total = sum(p.nnz for p in pieces.values())
    lengths = sum(p.lengths for p in pieces.values())
    return {
        "dataset": config.name,
        "title": config.title,
        "users": train.n_users,
        "items": train.n_items,
        "interactions": total,
        **{name: piece.nnz for name, piece in pieces.items()},
        "test_users": int((pieces["test"].lengths > 0).sum()),
        "density": total / (train.n_users * train.n_items),
        "mean_length": float(np.mean(lengths)),
        "items_unseen_in_train": int((np.bincount(train.items, minlength=train.n_items) == 0).sum()),
        "ordered": config.ordered,
        "times": train.times is not None,
        "expected": config.expected.model_dump(exclude_none=True) if config.expected else {},
        "notes": config.notes,
        "licence": config.source.licence,
        "citation": config.source.citation,
    }


def save(pieces: dict[str, Interactions], stats: dict[str, Any], folder: Path) -> None:
    """Write `train.npz`, `valid.npz`, `test.npz` and `stats.json`."""
    for name, piece in pieces.items():
        piece.save(folder / f"{name}.npz")
    write_json(folder / "stats.json", stats)
