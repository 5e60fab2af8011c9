"""From a dataset's files to one table of interactions: read, checked, filtered."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from recspectra.config.dataset import DatasetConfig, SourceFile
from recspectra.data import filters
from recspectra.data.readers import read
from recspectra.data.sources import check_raw
from recspectra.data.tables import InteractionTable, check_duplicates


def prepare(
    config: DatasetConfig, folder: Path, files: Sequence[SourceFile] | None = None
) -> tuple[InteractionTable, list[str]]:
    """Read and filter a dataset.

    Parameters
    ----------
    config : DatasetConfig
        The dataset.
    folder : Path
        Where the files of its source lie; one's own file is found by its path.
    files : sequence of SourceFile, optional
        The files with the checksums that other datasets state of them, too.

    Returns
    -------
    table, said : InteractionTable, list of str
        The interactions with the source's ids; lines on what was read and dropped.

    Raises
    ------
    DataError
        A file is missing, has another checksum, or holds what cannot be read.
    """
    check_raw(config, folder, files)
    table = read(config, folder)
    said = [f"{config.name}: {table.account.words()}"]
    said.append(f"{check_duplicates(table, config.name):,} repeated pairs")
    table, filtered = filters.apply(table, config.filter)
    return table, [*said, *filtered, f"kept {len(table):,} interactions"]
