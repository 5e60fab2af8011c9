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
import stat
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
MODEL_FILE = "model.rs"  # the model of a run, in its folder
MOST_JSON = 2**28
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
    _refuse_target(path)
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


def _refuse_target(path: Path) -> None:
    """Refuse what is no name of a file, and to put a file in the place of a pipe or a device."""
    if not path.name or "\0" in str(path):
        raise ArtifactError(f"{str(path)!r}: is no name of a file; nothing was written")
    with contextlib.suppress(OSError):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # of a folder the system says so
            raise ArtifactError(f"{path}: is a pipe or a device, not a file; nothing was written")


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


def open_regular(path: Path | str, follow: bool = True) -> IO[bytes]:
    """Open a regular file to read its bytes; whatever else has that name may wait or go on for ever.

    Parameters
    ----------
    path : Path
        The file.
    follow : bool
        Whether it may be a link to one.

    Raises
    ------
    OSError
        It is a pipe, a device or a folder, it is a link and `follow` is false, or it cannot be opened.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "is a link, not a file", str(path)) from None
        raise
    mode = os.fstat(handle).st_mode
    if not stat.S_ISREG(mode):
        os.close(handle)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise OSError(errno.EINVAL, "is not a regular file", str(path))
    return open(handle, "rb")


def read_npz(path: Path | str) -> dict[str, np.ndarray]:
    """Read every array of an npz, without pickle, and compare it with its CRC.

    Raises
    ------
    ArtifactError
        The file is missing, truncated, corrupted or holds pickled objects.
    """
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            check_size(archive)
            if any(member.comment for member in archive.infolist()):  # a damaged length swallows what follows
                raise ValueError("its list of arrays is damaged")
            arrays = {name.removesuffix(".npy"): read_member(archive, name) for name in archive.namelist()}
            check_rows(arrays)
            return arrays
    except FileNotFoundError:
        raise ArtifactError(f"{path}: file not found") from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and NumPy raise a dozen kinds
        raise ArtifactError(f"{path}: truncated or corrupted ({error}); {REPAIR}") from None


def machine_memory() -> int:
    """Return the bytes of memory that this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_size(archive: zipfile.ZipFile) -> None:
    """Refuse arrays that no memory holds: a few megabytes of zip may unpack to terabytes."""
    unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > (memory := machine_memory()):
        raise ValueError(
            f"its arrays take {unpacked / 2**30:,.1f} GB, this machine has {memory / 2**30:,.1f} GB of memory"
        )


def check_rows(arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse rows that do not follow each other: compiled code would read what lies beyond the arrays."""
    starts, items = arrays.get("indptr"), arrays.get("items")
    if starts is None or items is None:
        return
    whole = starts.ndim == items.ndim == 1 and starts.dtype.kind in "iu" and items.dtype.kind in "iu"
    ends = whole and len(starts) and starts[0] == 0 and starts[-1] == len(items)
    if not ends or (starts[1:] < starts[:-1]).any():
        raise ValueError("its rows (indptr) do not follow each other to the end of its items")


def read_member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
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
        with open_regular(path) as stream:
            found = stream.read(MOST_JSON + 1)
        if len(found) > MOST_JSON:
            raise ArtifactError(f"{path}: is larger than {MOST_JSON:,} bytes, which no record is; {REPAIR}")
        return json.loads(found.decode("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"{path}: file not found") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path}: truncated or corrupted ({error}); {REPAIR}") from None


def sha256(path: Path | str) -> str:
    """Return the sha256 of a file in hex digits."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def git_id(path: Path | str) -> str:
    """Return what `git hash-object` says of a file, in hex digits."""
    digest = hashlib.sha1(b"blob %d\0" % Path(path).stat().st_size, usedforsecurity=False)
    with open_regular(path) as stream:
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


def checkout() -> str:
    """Return the commit of the checkout that runs, with `-dirty` if files differ; "" where none is known."""
    git = ["git", "-C", str(PACKAGE_DIR), "-c", "core.fsmonitor=", "describe", "--always", "--dirty",
           "--exclude=*", "--abbrev=12"]  # fmt: skip
    if not (PACKAGE_DIR.parents[1] / ".git").exists():
        return ""  # installed: a repository around it is another one
    try:
        done = subprocess.run(git, capture_output=True, text=True, check=False, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as stream:
        for line in stream:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
