"""Split recipes: one function per recipe, from a dense table to part labels.

Ties in time are pinned: everything sorts with a *stable* sort on the time stamp, so
interactions of one second keep the order of the file. Another rule moves about a
quarter of MovieLens-1M's leave-one-out targets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from recspectra.config.dataset import DatasetConfig, SplitConfig
from recspectra.config.moments import moment
from recspectra.data.filters import keep
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError, Interactions, from_pairs
from recspectra.data.reach import reach, refuse_masked
from recspectra.data.tables import PARTS, InteractionTable
from recspectra.files import write_json
from recspectra.identity import split_digests
from recspectra.runtime import axis_seed

Recipe = Callable[[InteractionTable, SplitConfig], np.ndarray]
TRAIN, VALID, TEST, DROPPED = 0, 1, 2, -1
DRAWN = ("random", "random-user", "k-fold")


def shipped(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Keep the split of the source's own files (valid and test swapped on `exchange`).

    With `valid`, that share of train (rounded down) is drawn as the validation part that the files lack:
    train and valid together are what the files call train.
    """
    if table.parts is None:
        raise DataError("split 'shipped' needs files with `part: train|valid|test`")
    if config.draws_valid:
        return _with_valid_drawn(table.parts, config)
    if not config.exchange:
        return table.parts
    return np.array([TRAIN, TEST, VALID], dtype=np.int8)[table.parts]


def _with_valid_drawn(shipped: np.ndarray, config: SplitConfig) -> np.ndarray:
    """Return the parts of the files with some of train as validation."""
    if (shipped == VALID).any():
        raise DataError("split 'shipped': the files have a validation part; take `valid` (and `seed`) out")
    rows, parts = np.flatnonzero(shipped == TRAIN), shipped.copy()
    order = np.random.default_rng(axis_seed(config.seed, "split")).permutation(rows)
    parts[order[: int(len(rows) * config.valid + 1e-9)]] = VALID
    return parts


def random(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Draw test, then valid, from all interactions."""
    order = np.random.default_rng(axis_seed(config.seed, "split")).permutation(len(table))
    n_test, n_valid = _sizes(np.array([len(table)]), config)
    parts = np.full(len(table), TRAIN, dtype=np.int8)
    parts[order[: n_test[0]]] = TEST
    parts[order[n_test[0] : n_test[0] + n_valid[0]]] = VALID
    return parts


def random_user(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Draw test and valid from each user's interactions."""
    shuffled = np.random.default_rng(axis_seed(config.seed, "split")).permutation(len(table))
    return _tail_of_users(table, shuffled, config)


def temporal_user(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Give each user's newest interactions to test, the next newest to valid."""
    return _tail_of_users(table, _by_time(table), config)


def temporal(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Give the newest of all interactions to test, the next newest to valid."""
    if table.times is None:
        raise DataError("split 'temporal' needs time stamps; use temporal-user for ordered data without")
    order = _by_time(table)
    n_test, n_valid = _sizes(np.array([len(table)]), config)
    parts = np.full(len(table), TRAIN, dtype=np.int8)
    parts[order[len(table) - n_test[0] :]] = TEST
    parts[order[len(table) - n_test[0] - n_valid[0] : len(table) - n_test[0]]] = VALID
    return parts


def temporal_global(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Give all that happened from one moment on to test, and what happened shortly before it to valid.

    What happened in one second is never divided, so that no test interaction is as early as any before the
    cut. With `warm_only` what is held out of users without a training interaction is dropped.
    """
    if table.times is None:
        raise DataError("split 'temporal-global' needs time stamps; name the `time` column")
    times = np.sort(table.times)
    n_test, n_valid = (int(n[0]) for n in _sizes(np.array([len(table)]), config))
    cut = moment(config.cut) if config.cut is not None else times[len(times) - n_test] if n_test else np.inf
    before = int(np.searchsorted(times, cut))
    if before in (0, len(times)):
        raise DataError(f"split 'temporal-global': all interactions lie on one side of the cut ({cut:.0f}); "
                        f"they are from {times[0]:.0f} to {times[-1]:.0f} (seconds since 1970)")  # fmt: skip
    begin = moment(config.valid_cut) if config.valid_cut is not None else times[max(before - n_valid, 0)]
    parts = np.select([table.times >= cut, table.times >= begin], [TEST, VALID], TRAIN).astype(np.int8)
    if config.warm_only:
        trained = np.zeros(int(table.users.max()) + 1, dtype=bool)
        trained[table.users[parts == TRAIN]] = True
        parts[~trained[table.users]] = DROPPED
    return parts


def leave_one_out(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Give each user's newest interaction to test and the one before it to valid.

    A user with fewer than three interactions is dropped.
    """
    return _leave_out(table, 1)


def leave_n_out(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Give each user's `n` newest interactions to test and the `n` before them to valid.

    A user with fewer than 2 n + 1 interactions is dropped.
    """
    return _leave_out(table, config.n)


def _leave_out(table: InteractionTable, n: int) -> np.ndarray:
    order, position, lengths = _positions(table, _by_time(table))
    from_end = lengths[table.users[order]] - 1 - position
    parts = np.full(len(table), TRAIN, dtype=np.int8)
    parts[order[from_end < 2 * n]] = VALID
    parts[order[from_end < n]] = TEST
    parts[lengths[table.users] < 2 * n + 1] = DROPPED
    if (parts == DROPPED).all():
        raise DataError(
            f"no user has {2 * n + 1} interactions, as the split needs; the most are {lengths.max()}"
        )
    return parts


def k_fold(table: InteractionTable, config: SplitConfig) -> np.ndarray:
    """Deal each user's interactions out to folds; test one of them, validate on the next.

    A user's interactions are dealt in random order from a random fold on, so folds differ by one at most.
    """
    rng = np.random.default_rng(axis_seed(config.seed, "split"))
    order, position, lengths = _positions(table, rng.permutation(len(table)))
    first = rng.integers(0, config.folds, len(lengths))
    folds = np.empty(len(table), dtype=np.int64)
    folds[order] = (position + first[table.users[order]]) % config.folds
    behind = (folds - (config.fold - 1)) % config.folds
    return np.select([behind == 0, behind == 1], [TEST, VALID], TRAIN).astype(np.int8)


def _sizes(lengths: np.ndarray, config: SplitConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return how many of so many interactions go to test and to valid (rounded down)."""
    n_test = np.floor(lengths * config.test + 1e-9).astype(np.int64)
    base = lengths if config.valid_of == "all" else lengths - n_test
    return n_test, np.floor(base * config.valid + 1e-9).astype(np.int64)


def _by_time(table: InteractionTable) -> np.ndarray:
    """Return row numbers from oldest to newest; file order where there are no times."""
    return np.arange(len(table)) if table.times is None else np.argsort(table.times, kind="stable")


def _tail_of_users(table: InteractionTable, order: np.ndarray, config: SplitConfig) -> np.ndarray:
    """Give the end of each user's rows, in the given order, to test, what precedes to valid."""
    order, position, lengths = _positions(table, order)
    n_test, n_valid = _sizes(lengths, config)
    owner = table.users[order]
    from_end = lengths[owner] - 1 - position
    parts = np.full(len(table), TRAIN, dtype=np.int8)
    parts[order[from_end < n_test[owner] + n_valid[owner]]] = VALID
    parts[order[from_end < n_test[owner]]] = TEST
    return parts


def _positions(table: InteractionTable, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (rows grouped by user in the given order, position in the group, group sizes)."""
    grouped = order[np.argsort(table.users[order], kind="stable")]
    lengths = np.bincount(table.users)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return grouped, np.arange(len(table)) - np.repeat(starts, lengths), lengths


RECIPES: dict[str, Recipe] = {
    "shipped": shipped,
    "random": random,
    "random-user": random_user,
    "temporal": temporal,
    "temporal-user": temporal_user,
    "temporal-global": temporal_global,
    "leave-one-out": leave_one_out,
    "leave-n-out": leave_n_out,
    "k-fold": k_fold,
}


def split(table: InteractionTable, config: DatasetConfig) -> tuple[dict[str, Interactions], list[str]]:
    """Return what `split_with_ids` does, without the ids."""
    pieces, _, said = split_with_ids(table, config)
    return pieces, said


def split_with_ids(
    table: InteractionTable, config: DatasetConfig
) -> tuple[dict[str, Interactions], Ids, list[str]]:
    """Apply a dataset's recipe and return its parts.

    Returns
    -------
    pieces, ids, said : dict, Ids, list of str
        `train`, `valid` and `test`; the ids of their users and items; lines on what was dropped.

    Raises
    ------
    DataError
        A part is empty, or most targets are masked.
    """
    said = []
    dense, user_labels, item_labels = table.densified()
    parts = RECIPES[config.split.recipe](dense, config.split)
    if (parts == DROPPED).any():
        dropped = len(np.unique(dense.users[parts == DROPPED]))
        said.append(f"dropped {dropped:,} users {_why_dropped(config.split)}")
        dense, user_labels, item_labels = keep(table, parts != DROPPED).densified()
        parts = parts[parts != DROPPED]
    shape = len(user_labels), len(item_labels)
    if min(shape) < 2:
        raise DataError(
            f"dataset '{config.name}' has {shape[0]} user(s) and {shape[1]} item(s) after filter and "
            "split; at least two of each are needed"
        )
    for code, name in enumerate(PARTS):
        if not (parts == code).any():
            why = _why_empty(name, dense, config)
            raise DataError(f"dataset '{config.name}': the {name} part of the split is empty{why}")
    pieces = _pieces(dense, parts, config, shape)
    refuse_masked(config.name, pieces)
    return pieces, Ids(user_labels, item_labels), said


def _why_empty(part: str, table: InteractionTable, config: DatasetConfig) -> str:
    """Return what may be done about a part that is empty."""
    recipe, share = config.split.recipe, getattr(config.split, part, 0)
    if part == "valid" and recipe == "shipped":
        return "; `split: {recipe: shipped, valid: 0.1}` draws one from train"
    if recipe in ("temporal-user", "random-user") and share:
        most = np.bincount(table.users).max()
        return (
            f": {share:g} of a user's interactions is rounded down, and the most that a user has are {most}; "
            "`leave-one-out` takes users of three and more, `random` and `temporal` look at all together"
        )
    return ""


def _why_dropped(config: SplitConfig) -> str:
    if config.recipe == "temporal-global":
        return "without a training interaction (`warm_only`)"
    least = {1: "three"}.get(config.n, f"{2 * config.n + 1:,}")
    return f"with fewer than {least} interactions"


def _pieces(
    table: InteractionTable, parts: np.ndarray, config: DatasetConfig, shape: tuple[int, int]
) -> dict[str, Interactions]:
    """Return the parts of a dense table, each user's rows from the oldest to the newest."""
    order = _positions(table, _by_time(table) if config.ordered else np.arange(len(table)))[0]
    # An order that was taken from another file says nothing of moments.
    times = table.times if config.ordered and config.reader.order_from is None else None
    pieces: dict[str, Interactions] = {}
    for code, name in enumerate(PARTS):
        known = order[parts[order] <= code]
        held = parts[known] == code
        rows = known[held]
        of_part = None if times is None else times[rows]
        piece = from_pairs(table.users[rows], table.items[rows], of_part, shape)
        mixed = config.ordered and _is_mixed(config)
        preceding = _preceding(table.users[known], None if times is None else times[known], held)
        pieces[name] = replace(piece, preceding=preceding if mixed else None)
    return pieces


def _is_mixed(config: DatasetConfig) -> bool:
    """Return whether a user's held-out rows may stand between those of train."""
    split = config.split
    return split.recipe in DRAWN or split.draws_valid or config.reader.order_from is not None


def _preceding(owner: np.ndarray, times: np.ndarray | None, held: np.ndarray) -> np.ndarray | None:
    """Return how many of the user's rows of earlier parts come before each row of a part.

    Row numbers would say the same, and tell a fit where test rows lie.

    Parameters
    ----------
    owner, times, held : arrays
        User and time of each row of the part and of earlier ones, and which are of the part. Rows are
        grouped by user, the oldest first.

    Returns
    -------
    int32 array or None
        None where times, and behind equal ones the rows of the part, give the same order.
    """
    keys = (held, owner) if times is None else (held, times, owner)
    if np.array_equal(np.lexsort(keys), np.arange(len(owner))):
        return None
    counts = np.concatenate([[0], np.cumsum(~held)])
    return (counts[1:] - counts[np.searchsorted(owner, owner)])[held].astype(np.int32)


def check_counts(config: DatasetConfig, found: dict[str, Any]) -> list[str]:
    """Compare found with expected counts; return lines that say both, or what was found.

    Raises
    ------
    DataError
        A count differs.
    """
    expected = config.expected.model_dump(exclude_none=True) if config.expected else {}
    wrong = [f"{k}: found {found[k]:,}, expected {v:,}" for k, v in expected.items() if found[k] != v]
    if wrong:
        raise DataError(f"dataset '{config.name}' is not what it should be: {'; '.join(wrong)}")
    names = ("users", "items", "interactions", *PARTS)
    also = {name: f", expected {count:,}" for name, count in expected.items()}
    return [f"{name}: found {found[name]:,}{also.get(name, '')}" for name in names]


def statistics(config: DatasetConfig, pieces: dict[str, Interactions]) -> dict[str, Any]:
    """Return the counts and digests that `stats.json` holds.

    `density` is the share of (user, item) pairs that are observed, `repeats` how many interactions repeat an
    earlier pair; the others are described in `reach`.
    """
    train = pieces["train"]
    total = sum(p.nnz for p in pieces.values())
    distinct = sum(p.matrix for p in pieces.values()).nnz
    lengths = sum(p.lengths for p in pieces.values())
    seen = np.bincount(train.items, minlength=train.n_items)
    return {
        "dataset": config.name,
        "users": train.n_users,
        "items": train.n_items,
        "interactions": total,
        **{name: piece.nnz for name, piece in pieces.items()},
        "test_users": int((pieces["test"].lengths > 0).sum()),
        **reach(pieces),
        "repeats": total - distinct,
        "density": distinct / (train.n_users * train.n_items),
        "mean_length": float(np.mean(lengths)),
        "items_unseen_in_train": int((seen == 0).sum()),
        "ordered": config.ordered,
        "times": train.times is not None,
        "digests": split_digests(pieces, config.ordered),
    }


def save(pieces: dict[str, Interactions], stats: dict[str, Any], folder: Path) -> None:
    """Write `train.npz`, `valid.npz`, `test.npz` and `stats.json`."""
    for name, piece in pieces.items():
        piece.save(folder / f"{name}.npz")
    write_json(folder / "stats.json", stats)
