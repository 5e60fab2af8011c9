"""Getting raw files: from a local mirror first, else by download, always checked."""

from __future__ import annotations

import http.client
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

from recspectra.artifacts import atomic, sha256
from recspectra.config import DatasetConfig, SourceFile
from recspectra.data.interactions import DataError

ATTEMPTS, TIMEOUT_S = 3, 30


def fetch(dataset: DatasetConfig, file: SourceFile, mirror: Path | None, target: Path) -> None:
    """Put one raw file at `target`, checked against its sha256.

    Parameters
    ----------
    dataset : DatasetConfig
        The dataset that asks (named in errors).
    file : SourceFile
        Path in the mirror, sha256, and a URL where one is known.
    mirror : Path or None
        A folder with local copies.
    target : Path
        Where the copy goes.

    Raises
    ------
    DataError
        The file is nowhere to be had, or its checksum is not the expected one.
    """
    local = mirror / file.path if mirror else None
    if local is not None and local.is_file():
        with atomic(target) as temporary:
            shutil.copyfile(local, temporary)
            _check(dataset, file, temporary, str(local))
        return
    problem = "no mirror folder was given" if mirror is None else f"{local} does not exist"
    if file.url:
        problem += _download(dataset, file, target)
        if target.is_file():
            return
    raise DataError(how_to_get(dataset, file, problem))


def how_to_get(dataset: DatasetConfig, file: SourceFile, problem: str) -> str:
    """Return the message that tells a user what to fetch and where to put it."""
    source = dataset.source
    return (
        f"dataset '{dataset.name}' needs the file '{file.path}': {problem}.\n"
        f"  Where to get it: {source.fetch or source.homepage}\n"
        f"  Where to put it: MIRROR/{file.path}, then run again with --config mirror=MIRROR "
        f"(or set RECSPECTRA_MIRROR)\n"
        f"  sha256: {file.sha256}\n"
        f"  Terms: {source.licence}"
    )


def _check(dataset: DatasetConfig, file: SourceFile, path: Path, origin: str) -> None:
    found = sha256(path)
    if found != file.sha256:
        raise DataError(
            f"dataset '{dataset.name}', file '{file.path}': {origin} has sha256 {found}, expected "
            f"{file.sha256} ({path.stat().st_size} bytes). It is another version, truncated or "
            f"damaged; fetch it again: {dataset.source.fetch or dataset.source.homepage}"
        )


def _download(dataset: DatasetConfig, file: SourceFile, target: Path) -> str:
    """Try to download; return why it failed (an empty text when it did not)."""
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(2.0**attempt)
        try:
            with (
                urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as response,
                atomic(target) as temporary,
                open(temporary, "wb") as stream,
            ):
                shutil.copyfileobj(response, stream)
                stream.flush()
                _check(dataset, file, temporary, str(file.url))
            return ""
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error))
    return f"; downloading {file.url} failed {ATTEMPTS} times ({reason})"
