"""What the workflow will make of a dataset, in words, before it runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from recspectra.config.dataset import DatasetConfig
from recspectra.data import filters, leaks, reach_words, splits
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.readers import read
from recspectra.data.tables import PARTS, InteractionTable, check_duplicates, counts_in_words

FIRST = 3
LABEL = 12


def describe(config: DatasetConfig, folder: Path) -> Iterator[str]:
    """Read, filter and split a dataset, write nothing, and say what came out.

    Parameters
    ----------
    config : DatasetConfig
        The dataset.
    folder : Path
        Where the files of its source lie; one's own file is found by its path.

    Yields
    ------
    str
        Lines: file, columns, first rows, rows read and dropped, ids unified, steps of the filter, and
        the parts of the split with the test users that have training items (warm) and that have none.

    Raises
    ------
    DataError
        As the workflow would; what was understood until then has been said.
    """
    for lines in _steps(config, folder):
        for label, words in lines:
            yield f"{label:<{LABEL}}{words}".rstrip()


def _steps(config: DatasetConfig, folder: Path) -> Iterator[list[tuple[str, str]]]:
    yield [("dataset", f"{config.name} ({config.title})"), *_files(config, folder)]
    table = read(config, folder)
    yield [*table.account.layout.items(), *_first_rows(table), *_rows(table)]
    repeated = check_duplicates(table, config.name)
    yield [("", f"{repeated:,} interactions repeat an earlier one of the same user and item")]
    kept, said = filters.apply(table, config.filter)
    yield [("filter" if not number else "", words) for number, words in enumerate(said)]
    yield [("" if said else "filter", _counted(kept, "kept" if said else "drops nothing:"))]
    yield [("split", _split_in_words(config))]
    pieces, said = splits.split(kept, config)
    told = leaks.describe(leaks.leaks(pieces))
    yield [*(("", words) for words in said), *_parts(config, pieces), *(("", words) for words in told)]


def _files(config: DatasetConfig, folder: Path) -> list[tuple[str, str]]:
    """Return the dataset's files; refuse one that is not there."""
    if config.path:
        return [("file", config.path)]
    for file in config.source.files:
        if not (folder / file.path).is_file():
            raise DataError(
                f"dataset '{config.name}': there is no file {folder / file.path}; say where its files are "
                "(MIRROR=/path/to/mirror)"
            )
    parts = {f.path: "" if f.part == "all" else f" ({f.part})" for f in config.source.files}
    files = [f"{folder / path}{part}" for path, part in parts.items()] or [f"none; {config.reader.format}"]
    return [("file" if not number else "", words) for number, words in enumerate(files)]


def _first_rows(table: InteractionTable) -> list[tuple[str, str]]:
    columns = {"user": table.users, "item": table.items, "rating": table.ratings, "time": table.times}
    shown = {
        role: [role, *(_date(v) if role == "time" else f"{v}" for v in column[:FIRST])]
        for role, column in columns.items()
        if column is not None
    }
    widths = {role: max(map(len, cells)) for role, cells in shown.items()}
    rows = [
        "  ".join(shown[role][row].ljust(widths[role]) for role in shown)
        for row in range(min(FIRST, len(table)) + 1)
    ]
    return [("first rows" if not number else "", row) for number, row in enumerate(rows)]


def _date(seconds: float) -> str:
    """Return a time as a number and, where it may be one, as a date."""
    number = f"{seconds:.15g}"
    try:
        date = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return number
    return f"{number} ({date:%Y-%m-%d %H:%M:%S} UTC)"


def _rows(table: InteractionTable) -> list[tuple[str, str]]:
    account = table.account
    dropped = sum(account.dropped.values())
    reasons = f" ({counts_in_words(account.dropped)})" if dropped else ""
    lines = [
        (
            "rows",
            f"{account.rows_in:,} in the source: {account.rows_read:,} read, {dropped:,} dropped{reasons}",
        )
    ]
    examples = f": {', '.join(account.examples)}" if account.examples else ""
    lines.append(("ids", f"{account.unified:,} spellings unified{examples}"))
    lines.append(("read", _counted(table, "")))
    if table.times is not None:
        lines.append(("times", f"from {_date(table.times.min())} to {_date(table.times.max())}"))
    else:
        lines.append(("times", "none"))
    return lines


def _counted(table: InteractionTable, verb: str) -> str:
    users, items = len(np.unique(table.users)), len(np.unique(table.items))
    return f"{verb} {len(table):,} interactions of {users:,} users with {items:,} items".strip()


SPLIT_WORDS = {"leave-n-out": ", n {n}", "k-fold": ", fold {fold} of {folds}"}


def _split_in_words(config: DatasetConfig) -> str:
    split = config.split
    shares = SPLIT_WORDS.get(split.recipe, "").format(**dict(split))
    if split.cut is not None:
        shares = f", test from {split.cut} on, valid " + (
            f"from {split.valid_cut} on" if split.valid_cut else f"{split.valid:g}"
        )
    elif split.recipe not in ("shipped", "leave-one-out", *SPLIT_WORDS):
        of = " of the rest" if split.valid_of == "train" else ""
        shares = f", test {split.test:g}, valid {split.valid:g}{of}"
    if split.draws_valid:
        shares = f", valid {split.valid:g} of train"
    order = "rows of a user are ordered in time" if config.ordered else "no order in time"
    return f"{split.recipe}{shares}; {order}"


def _parts(config: DatasetConfig, pieces: dict[str, Interactions]) -> list[tuple[str, str]]:
    train, stats = pieces["train"], splits.statistics(config, pieces)
    sizes = ", ".join(f"{part} {pieces[part].nnz:,}" for part in PARTS)
    users, cold = stats["test_users"], stats["cold_users"]
    return [
        ("", f"{sizes} interactions of {train.n_users:,} users with {train.n_items:,} items"),
        ("test users", f"{users:,}: {users - cold:,} warm, {cold:,} cold (no training item)"),
        *(("", line) for line in reach_words.describe(stats)),
    ]
