"""What is dropped from raw interactions before the split, each step counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recspectra.config.dataset import FilterConfig
from recspectra.data.interactions import DataError
from recspectra.data.tables import InteractionTable
from recspectra.runtime import axis_seed


def apply(table: InteractionTable, config: FilterConfig) -> tuple[InteractionTable, list[str]]:
    """Apply rating threshold, sampling of users, duplicates and k-core, in this order.

    Parameters
    ----------
    table : InteractionTable
        With ids as the source writes them.
    config : FilterConfig
        What to drop.

    Returns
    -------
    table, said : InteractionTable, list of str
        What is left, its account with what was dropped; and one line per step that dropped
        something, or on what a reader might not expect.

    Raises
    ------
    DataError
        A threshold is asked for without ratings, or nothing is left.
    """
    said: list[str] = []
    if config.min_rating is None and table.ratings is not None and (negative := (table.ratings < 0).sum()):
        said.append(
            f"{negative:,} negative ratings count like all others; `filter: {{min_rating: 0}}` drops them"
        )
    dropped: dict[str, int] = {}
    for words, step in (
        (f"rating below {config.min_rating}", _rated),
        (f"not among {config.sample_users} drawn users", _sampled),
        (f"repeated pairs (the {config.duplicates} is kept)", _distinct),
        (f"outside the {config.k_core_users}/{config.k_core_items}-core", _core),
    ):
        before = len(table)
        table = step(table, config)
        if len(table) < before:
            dropped[words] = before - len(table)
            said.append(f"dropped {before - len(table):,} interactions: {words}")
    if not len(table):
        raise DataError("the filter leaves no interactions; " + "; ".join(said))
    return replace(table, account=replace(table.account, filtered=dropped)), said


def keep(table: InteractionTable, rows: np.ndarray) -> InteractionTable:
    """Return some rows of a table (a mask or indices)."""
    columns = {
        name: None if getattr(table, name) is None else getattr(table, name)[rows]
        for name in ("users", "items", "times", "ratings", "parts")
    }
    return replace(table, **columns)


def _rated(table: InteractionTable, config: FilterConfig) -> InteractionTable:
    if config.min_rating is None:
        return table
    if table.ratings is None:
        raise DataError("filter.min_rating is set, but the data have no ratings; name their column (rating)")
    return keep(table, table.ratings >= config.min_rating)


def _sampled(table: InteractionTable, config: FilterConfig) -> InteractionTable:
    users = np.unique(table.users)
    if config.sample_users is None or config.sample_users >= len(users):
        return table
    rng = np.random.default_rng(axis_seed(config.seed, "sample-users"))
    return keep(table, np.isin(table.users, rng.choice(users, config.sample_users, replace=False)))


def _distinct(table: InteractionTable, config: FilterConfig) -> InteractionTable:
    """Keep the first or last of equal pairs; where there are no times, file order is time."""
    if config.duplicates == "all":
        return table
    _, users = np.unique(table.users, return_inverse=True)
    labels, items = np.unique(table.items, return_inverse=True)
    keys = users.astype(np.int64) * len(labels) + items
    order = np.arange(len(table)) if table.times is None else np.argsort(table.times, kind="stable")
    if config.duplicates == "last":
        order = order[::-1]
    _, first = np.unique(keys[order], return_index=True)
    if len(first) == len(table):
        return table
    return keep(table, np.sort(order[first]))


def _core(table: InteractionTable, config: FilterConfig) -> InteractionTable:
    """Drop rare users and items in turn until none is left."""
    rows = np.arange(len(table))
    _, users = np.unique(table.users, return_inverse=True)
    _, items = np.unique(table.items, return_inverse=True)
    while len(rows):
        enough = np.bincount(users[rows])[users[rows]] >= config.k_core_users
        enough &= np.bincount(items[rows])[items[rows]] >= config.k_core_items
        if enough.all():
            break
        rows = rows[enough]
    return table if len(rows) == len(table) else keep(table, rows)
