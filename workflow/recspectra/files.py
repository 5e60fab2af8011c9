"""Files on disk: atomic writes, safe reads, provenance.

A reader sees a whole file or none: everything is written to a temporary file in the same folder,
flushed to the disk and renamed. An npz holds a CRC of each of its arrays, and all of them are
compared when it is read, so that damage done later is seen.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import re
import secrets
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

PACKAGE = "recspectra"
PACKAGE_DIR = Path(__file__).resolve().parent
WRITE_ERRORS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENAMETOOLONG,
}
REPAIR = "delete it and run again (`make check` lists all such files, `make redo WHAT=damaged` rebuilds them)"


class ArtifactError(Exception):
    """A file cannot be read or written; the message says which and what to do."""


# ----------------------------------------------------------------------------- writing


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block ends without error.

    Raises
    ------
    ArtifactError
        The disk is full, the folder is read-only, or another write error.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = _create(path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp"))
        mode = temporary.stat().st_mode
        yield temporary
        _flush(temporary)
        temporary.chmod(mode)  # safetensors puts a file of its own there, with another mode
        temporary.replace(path)
    except Exception as error:
        if (code := _errno(error)) not in WRITE_ERRORS:
            raise
        raise ArtifactError(
            f"{path}: cannot be written ({os.strerror(code)}); "
            "nothing was left behind, free space or permissions and run again"
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _create(path: Path) -> Path:
    """Make an empty file with the mode that the umask leaves; never one through a link."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    return path


def _errno(error: Exception) -> int | None:
    """Return the number of a system error; safetensors gives it in its text alone."""
    if type(error).__name__ == "SafetensorError":
        found = re.search(r"\(os error (\d+)\)", str(error))
        return int(found[1]) if found else None
    return error.errno if isinstance(error, OSError) else None


def _flush(path: Path) -> None:
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path | str, value: Any) -> None:
    """Write indented JSON with sorted keys atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def write_npz(path: Path | str, **arrays: Any) -> None:
    """Write a compressed npz atomically; equal arrays give equal bytes."""
    import numpy as np

    with atomic(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(stream, **arrays)


TIMING = ("seconds",)  # arrays that differ whenever the same numbers are computed again


def sha256_of_arrays(arrays: Mapping[str, Any]) -> str:
    """Return the sha256 of named arrays (type, shape and content), those in `TIMING` left out."""
    import numpy as np

    digest = hashlib.sha256()
    for name in sorted(set(arrays) - set(TIMING)):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    return digest.hexdigest()


# ----------------------------------------------------------------------------- reading


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """Read every array of an npz, without pickle, and compare it with its CRC.

    Raises
    ------
    ArtifactError
        The file is missing, truncated, corrupted or holds pickled objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.comment for member in archive.infolist()):  # a damaged length swallows what follows
                raise ValueError("its list of arrays is damaged")
            return {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}
    except FileNotFoundError:
        raise ArtifactError(f"{path}: file not found") from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and NumPy raise a dozen kinds
        raise ArtifactError(f"{path}: truncated or corrupted ({error}); {REPAIR}") from None


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Read one array to the end of its member, where its CRC is compared."""
    import numpy as np

    with archive.open(name) as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read():
            raise ValueError(f"{name} holds more than its header says")
    return array


def read_json(path: Path | str) -> Any:
    """Read JSON; a broken file raises `ArtifactError` with its name."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: file not found") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: truncated or corrupted ({error}); {REPAIR}") from None


def sha256(path: Path | str) -> str:
    """Return the sha256 of a file in hex digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_id(path: Path | str) -> str:
    """Return what `git hash-object` says of a file, in hex digits."""
    digest = hashlib.sha1(b"blob %d\0" % Path(path).stat().st_size, usedforsecurity=False)
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, lambda: digest).hexdigest()


# -------------------------------------------------------------------------- provenance

VERSIONED = ("numpy", "scipy", "pandas", "torch", "pydantic", "snakemake")


def provenance() -> dict[str, Any]:
    """Return the versions and the machine that made a result."""
    versions = {}
    for name in VERSIONED:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "recspectra": __import__(PACKAGE).__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "processor": _processor(),
        "packages": versions,
    }


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
