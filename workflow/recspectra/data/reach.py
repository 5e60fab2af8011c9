"""What of a test set can be found at all: users and items that no model can know, masked targets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # tables need the words alone, without SciPy
    from recspectra.data.interactions import Interactions

COUNTS = ("cold_users", "cold_targets", "unknown_items", "unknown_targets", "masked_targets")
WITH_VALID = "_with_valid"  # suffix of the counts for a history of train and valid
COLUMNS = ("test_targets", *COUNTS, *(f"{name}{WITH_VALID}" for name in COUNTS), "masked_valid_targets")
MOST = 0.5  # share of masked targets above which a split says nothing


def warm_users(train: Interactions) -> np.ndarray:
    """Return whether each user has a training interaction, bool, shape (n_users,)."""
    return train.lengths > 0


def reach(pieces: Mapping[str, Interactions]) -> dict[str, int]:
    """Return how much of the test set no model can know, or no list can hold.

    Parameters
    ----------
    pieces : mapping
        `train`, `valid` and `test`.

    Returns
    -------
    dict
        `COLUMNS`: `test_targets`, distinct (user, item) pairs of test; `cold_users`, test users without a
        training interaction, and `cold_targets`, theirs; `unknown_items`, test items that no user has in
        train, and `unknown_targets`, theirs; `masked_targets`, those that the user has in train, so that no
        list holds them. With the suffix `_with_valid` the same for train and valid together.
        `masked_valid_targets` are those of valid that the user has in train.
    """
    train, valid, test = pieces["train"], pieces["valid"], pieces["test"]
    found = {"test_targets": int(test.matrix.nnz)}
    found |= _counts(test, train, "") | _counts(test, train.merged(valid), WITH_VALID)
    return found | {"masked_valid_targets": _masked(valid, train)}


def _counts(test: Interactions, known: Interactions, suffix: str) -> dict[str, int]:
    targets = test.matrix
    degrees = np.diff(targets.indptr)
    cold = (degrees > 0) & (known.lengths == 0)
    unknown = np.bincount(known.items, minlength=known.n_items) == 0
    of_items = np.bincount(targets.indices, minlength=test.n_items)
    values = (
        cold.sum(), degrees[cold].sum(), (unknown & (of_items > 0)).sum(), of_items[unknown].sum(),
        _masked(test, known),
    )  # fmt: skip
    return {f"{name}{suffix}": int(value) for name, value in zip(COUNTS, values, strict=True)}


def _masked(targets: Interactions, known: Interactions) -> int:
    return int(targets.matrix.multiply(known.matrix).nnz)


def refuse_masked(dataset: str, pieces: Mapping[str, Interactions]) -> None:
    """Refuse a split most of whose targets are masked.

    Raises
    ------
    DataError
        More than half of the targets of test or of valid stand in an earlier part of the same user.
    """
    from recspectra.data.interactions import DataError

    found = reach(pieces)
    counts = {
        "test": (found[f"masked_targets{WITH_VALID}"], found["test_targets"], "train or valid"),
        "valid": (found["masked_valid_targets"], int(pieces["valid"].matrix.nnz), "train"),
    }
    for part, (masked, total, where) in counts.items():
        if masked > MOST * total:
            raise DataError(
                f"dataset '{dataset}': {masked:,} of {total:,} {part} targets stand in the same user's "
                f"{where} as well. What a user has is not recommended, so they can never be hit; write "
                "`filter: {duplicates: first}` or `{duplicates: last}`"
            )
