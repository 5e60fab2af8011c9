"""Getting raw files: from a local mirror first, else by download, always checked."""

from __future__ import annotations

import functools
import hashlib
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from recspectra.config.dataset import DatasetConfig, SourceFile
from recspectra.data.interactions import DataError
from recspectra.files import atomic, git_id, open_regular

BLOCK = 1 << 17
HASHES = {"sha256": hashlib.sha256, "md5": functools.partial(hashlib.md5, usedforsecurity=False)}


def fetch(dataset: DatasetConfig, file: SourceFile, mirror: Path | None, target: Path) -> None:
    """Put one raw file at `target`, checked against its sha256 and md5 where they are known.

    A file without any known checksum is accepted; a warning on stderr gives its sha256.

    Parameters
    ----------
    dataset : DatasetConfig
        The dataset that asks (named in errors).
    file : SourceFile
        Path in the mirror, checksums, and a URL where one is known.
    mirror : Path or None
        A folder with local copies; what it holds is not downloaded.
    target : Path
        Where the copy goes; a reader sees a whole file there or none. A link there is replaced.

    Raises
    ------
    DataError
        The file is nowhere to be had, or its checksum is not the expected one.
    ArtifactError
        The copy cannot be written (disk full, read-only folder).
    """
    local = _find(dataset, file, mirror) if mirror else None
    problem = f"{mirror / file.path} does not exist" if mirror else "no mirror folder was given"
    if not (local or file.url):
        raise DataError(how_to_get(dataset, file, f"{problem}; no URL is known"))
    with atomic(target) as temporary:
        with open(temporary, "wb") as stream:
            if local:
                stream.writelines(_blocks(dataset, file, local))
            else:
                _download(dataset, file, stream, problem)
        _accept(dataset, file, temporary, str(local or file.url))


def check_raw(dataset: DatasetConfig, folder: Path, files: Sequence[SourceFile] | None = None) -> None:
    """Check the raw files of a dataset against the checksums that are known of them.

    Parameters
    ----------
    dataset : DatasetConfig
        The dataset whose files are about to be read.
    folder : Path
        Where the files of its source lie. A file that is not there is left to its reader.
    files : sequence of SourceFile, optional
        The files with what other datasets state of them, too; by default what this one states.

    Raises
    ------
    DataError
        A file has another checksum.
    """
    for file in dataset.source.files if files is None else files:
        path = folder / file.path
        if path.is_file():
            _check(dataset, file, path, str(path))


def how_to_get(dataset: DatasetConfig, file: SourceFile, problem: str) -> str:
    """Return the message that tells a user what to fetch and where to put it."""
    known = [f"{kind}: {value}" for kind, value in _checksums(file).items()]
    known += [f"or, by `git hash-object`: {file.git}"] if file.git else []
    return (
        f"dataset '{dataset.name}' needs the file '{file.path}': {problem}.\n"
        f"  Where to get it: {_where(dataset, file)}\n"
        f"  Where to put it: MIRROR/{file.path}, then run again with MIRROR=/path/to/mirror (make), "
        f"--config mirror=/path/to/mirror (Snakemake) or the variable RECSPECTRA_MIRROR\n"
        f"  {', '.join(known) or 'checksum: none is known'}\n"
        f"  Terms: {dataset.source.licence}"
    )


def _where(dataset: DatasetConfig, file: SourceFile) -> str:
    return dataset.source.fetch or dataset.source.homepage or file.url or "not known"


# ------------------------------------------------------------------ the mirror, the network


def _find(dataset: DatasetConfig, file: SourceFile, mirror: Path) -> Path | None:
    """Return the mirror's copy, None if it has none; refuse what is no file of the mirror."""
    local, problem = mirror / file.path, ""
    try:
        if not stat.S_ISREG(local.stat().st_mode):
            problem = "is not a regular file"
        elif not local.resolve().is_relative_to(mirror.resolve()):
            problem = f"is a link that leads out of the mirror, to {local.resolve()}"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    if problem:
        raise DataError(how_to_get(dataset, file, f"{local} {problem}"))
    return local


def _blocks(dataset: DatasetConfig, file: SourceFile, local: Path) -> Iterator[bytes]:
    """Read a file of the mirror; if that fails, it is the mirror's fault and not the disk's."""
    try:
        with open_regular(local) as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        problem = f"{local} cannot be read ({error.strerror})"
        raise DataError(how_to_get(dataset, file, problem)) from None


def _download(dataset: DatasetConfig, file: SourceFile, stream: BinaryIO, problem: str) -> None:
    from recspectra.data.download import DownloadError, download  # takes longer to import than a copy

    try:
        download(file, stream)
    except DownloadError as error:
        problem += f"; downloading {file.url} failed ({error})"
        raise DataError(how_to_get(dataset, file, problem)) from None


# ---------------------------------------------------------------------------- checksums


def _checksums(file: SourceFile) -> dict[str, str]:
    """Return the checksums that are known of a file."""
    known = {"sha256": file.sha256, "md5": file.md5}
    return {kind: value for kind, value in known.items() if value}


def _digest(path: Path, kind: str) -> str:
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, HASHES[kind]).hexdigest()


def _check(dataset: DatasetConfig, file: SourceFile, path: Path, origin: str) -> None:
    """Refuse a file whose checksum is wrong, unless it is the other version that git knows."""
    if file.git and git_id(path) == file.git:
        return
    for kind, expected in _checksums(file).items():
        if (found := _digest(path, kind)) != expected:
            raise DataError(
                f"{_named(dataset, file, origin)} has {kind} {found}, expected {expected} "
                f"({path.stat().st_size} bytes). "
                f"It is another version, truncated or damaged; fetch it again: {_where(dataset, file)}"
            )


def _accept(dataset: DatasetConfig, file: SourceFile, path: Path, origin: str) -> None:
    """Refuse a file whose checksum is wrong; warn of one that has nothing to be checked against."""
    _check(dataset, file, path, origin)
    if not _checksums(file):
        found, name = _digest(path, "sha256"), _named(dataset, file, origin)
        print(f"warning: {name} was not checked, no checksum is known; sha256: {found}", file=sys.stderr)


def _named(dataset: DatasetConfig, file: SourceFile, origin: str) -> str:
    return f"dataset '{dataset.name}', file '{file.path}': {origin}"
