"""What a file was made from: keys of configurations, digests of data and of files.

A path holds the key of a configuration. What the configuration does not say (the split, the code, the
eigenpairs) is written into the file as a digest, and whoever reads the file compares it.
NumPy is not loaded here: the Snakefile imports this module.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from recspectra.config.yaml_io import canonical_json
from recspectra.files import ArtifactError, read_json, sha256, sha256_of_arrays, write_json

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

SHORT = 12  # hex digits of a digest in messages and names


# ------------------------------------------------------------------------------- keys


def key_of(config: BaseModel) -> str:
    """Return the first 10 hex digits of the hash of a sorted configuration."""
    return hash_of(config.model_dump())[:10]


def hash_of(value: Any) -> str:
    """Return the sha256 of plain values, in hex digits; the order of keys does not count."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# ------------------------------------------------------------------------------- data


class Part(Protocol):
    """What a digest is taken of: `data.interactions.Interactions`, which lies a floor above."""

    indptr: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    preceding: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """(n_users, n_items)."""


def data_digest(part: Part) -> str:
    """Return the sha256 of the content of one part: rows, items, order and shape, not of its file."""
    arrays = {"indptr": part.indptr, "items": part.items, "shape": _shape(part)}
    optional = {"times": part.times, "preceding": part.preceding}
    return sha256_of_arrays(arrays | {k: array for k, array in optional.items() if array is not None})


def _shape(part: Part) -> Any:
    import numpy as np

    return np.array(part.shape, dtype=np.int64)


def fit_digest(train: Part, valid: Part, ordered: bool) -> str:
    """Return the digest of what a fit or a search sees of a split."""
    return _seen_by_fit(data_digest(train), data_digest(valid), ordered)


def _seen_by_fit(train: str, valid: str, ordered: bool) -> str:
    return hash_of({"train": train, "valid": valid, "ordered": ordered})


def split_digests(pieces: Mapping[str, Part], ordered: bool) -> dict[str, str]:
    """Return the digest of each part, of what a `fit` sees, and of the whole `split`.

    Parameters
    ----------
    pieces : mapping
        `train`, `valid` and `test`.
    ordered : bool
        Whether the order of a user's interactions means time.
    """
    parts = {name: data_digest(piece) for name, piece in pieces.items()}
    seen = _seen_by_fit(parts["train"], parts["valid"], ordered)
    return parts | {"fit": seen, "split": hash_of(parts | {"ordered": ordered})}


def check_made_from(path: Path | str, found: str | None, expected: str, redo: Path | str) -> None:
    """Refuse a file that was made from other interactions than those that stand beside it now.

    Parameters
    ----------
    path : Path
        The file that holds the digest.
    found, expected : str
        Digest in the file (None or empty in one of an earlier version), and that of the data on disk.
    redo : Path or str
        What `make redo` must be given to make the file again.

    Raises
    ------
    ArtifactError
        They differ, or the file has none.
    """
    if not found or found != expected:
        made = f"from data with digest {found[:SHORT]}" if found else "by a version that kept no digest"
        raise ArtifactError(
            f"{path}: was made {made}; the split on disk has {expected[:SHORT] or 'none'}, so its numbers "
            f"are not of this split; `make redo WHAT={redo}` makes it again"
        )


def check_code(path: Path | str, found: str | None, expected: str, redo: Path | str) -> None:
    """Refuse a file that other code made than what stands in the checkout now.

    As `check_made_from`, with the hash of the code in the file and that of the code now.
    """
    if not found or found != expected:
        raise ArtifactError(
            f"{path}: was made by other code than this checkout's, so its numbers may be others; "
            f"`make redo WHAT={redo}` makes it again"
        )


# ------------------------------------------------------------------------------ files


class FileDigests:
    """sha256 of big files, kept between calls in a small JSON.

    A digest is taken from there while size, times and inode of the file are the same. The time of
    change (ctime) is among them: `cp -p` and `rsync -a` set the time of modification back, not that.

    Parameters
    ----------
    place : Path
        The JSON file; one that is missing or damaged is made again.
    """

    settled = 2.0  # seconds: a file that changed this recently may change again with equal times

    def __init__(self, place: Path | str) -> None:
        self.place = Path(place)

    @functools.cached_property
    def _known(self) -> dict[str, Any]:
        with contextlib.suppress(ArtifactError):
            found = read_json(self.place)
            return found if isinstance(found, dict) else {}
        return {}

    def of(self, path: Path | str) -> str:
        """Return size and sha256 of a file as text; "missing" where there is none that can be read."""
        path = Path(path).resolve()
        try:
            stamp = _stamp(path)
            entry = self._known.get(str(path))
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
                return f"{stamp[0]} bytes, sha256 {entry[1]}"
            found = sha256(path)
            settled = time.time() - stamp[2] / 1e9 > self.settled and _stamp(path) == stamp
        except OSError:
            return "missing"
        if settled:
            self._keep(path, [stamp, found])
        return f"{stamp[0]} bytes, sha256 {found}"

    def differ(self, one: Path | str, other: Path | str) -> bool:
        """Return whether two files that are there differ in content; sizes are compared first."""
        one, other = Path(one), Path(other)
        if one.samefile(other):
            return False
        return one.stat().st_size != other.stat().st_size or self.of(one) != self.of(other)

    def _keep(self, path: Path, entry: list[Any]) -> None:
        self._known[str(path)] = entry
        with contextlib.suppress(ArtifactError):  # on a full or read-only disk it is hashed again next time
            write_json(self.place, self._known)


def _stamp(path: Path) -> list[int]:
    """Return size, time of modification, time of change and inode of a file."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
