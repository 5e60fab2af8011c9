"""Getting raw files: from a local mirror first, else by download, always checked.

A download grows in `<target>.part`, which outlives a failure or a kill and is gone on
with by the next attempt or the next run; `<target>.part.json` keeps where it came from.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import hashlib
import http.client
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recspectra.artifacts import ArtifactError, atomic, read_json, write_json
from recspectra.data.interactions import DataError
from recspectra.dataset_schema import DatasetConfig, SourceFile

ATTEMPTS = 5  # of one download, a run
TIMEOUT_S = 30.0  # of connecting and of each read, not of the whole download
BASE_DELAY_S = 1.0  # before the second attempt; doubles with every other one
MAX_WAIT_S = 60.0  # a server may ask for days
BLOCK = 1 << 17
SCHEMES = ("http", "https")
HASHES = {"sha256": hashlib.sha256, "md5": functools.partial(hashlib.md5, usedforsecurity=False)}
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")

Origin = dict[str, Any]  # "url", and "etag", "modified", "total" or None where not given


def fetch(dataset: DatasetConfig, file: SourceFile, mirror: Path | None, target: Path) -> None:
    """Put one raw file at `target`, checked against its sha256 and md5 where they are known.

    A file without any known checksum is accepted; a warning on stderr gives its sha256.

    Parameters
    ----------
    dataset : DatasetConfig
        The dataset that asks (named in errors).
    file : SourceFile
        Path in the mirror, checksums, and an http or https URL where one is known.
    mirror : Path or None
        A folder with local copies; what it holds is not downloaded.
    target : Path
        Where the copy goes; a reader sees a whole file there or none.

    Raises
    ------
    DataError
        The file is nowhere to be had, or its checksum is not the expected one.
    ArtifactError
        The copy cannot be written (disk full, read-only folder).
    """
    local = mirror / file.path if mirror else None
    if local is not None and local.is_file():
        _copy(dataset, file, local, target)
        return
    problem = "no mirror folder was given" if mirror is None else f"{local} does not exist"
    failure = _download(dataset, file, target) if file.url else "; no URL is known"
    if failure:
        raise DataError(how_to_get(dataset, file, problem + failure))


def how_to_get(dataset: DatasetConfig, file: SourceFile, problem: str) -> str:
    """Return the message that tells a user what to fetch and where to put it."""
    source = dataset.source
    known = [f"{kind}: {value}" for kind, value in _expected(file).items()]
    return (
        f"dataset '{dataset.name}' needs the file '{file.path}': {problem}.\n"
        f"  Where to get it: {_where(dataset, file)}\n"
        f"  Where to put it: MIRROR/{file.path}, then run again with --config mirror=MIRROR "
        f"(or set RECSPECTRA_MIRROR)\n"
        f"  {', '.join(known) or 'checksum: none is known'}\n"
        f"  Terms: {source.licence}"
    )


def _copy(dataset: DatasetConfig, file: SourceFile, local: Path, target: Path) -> None:
    with atomic(target) as temporary:
        with open(temporary, "wb") as stream:
            for block in _blocks(dataset, file, local):
                stream.write(block)
        _accept(dataset, file, temporary, str(local), mismatch(file, temporary))
    _Download("", target, False).discard()  # of an earlier run without the mirror


def _blocks(dataset: DatasetConfig, file: SourceFile, local: Path) -> Iterator[bytes]:
    """Read a file of the mirror; if that fails, it is the mirror's fault and not the disk's."""
    try:
        with open(local, "rb") as stream:
            while block := stream.read(BLOCK):
                yield block
    except OSError as error:
        problem = f"{local} cannot be read ({error.strerror})"
        raise DataError(how_to_get(dataset, file, problem)) from None


def _where(dataset: DatasetConfig, file: SourceFile) -> str:
    return dataset.source.fetch or dataset.source.homepage or file.url or "not known"


# ---------------------------------------------------------------------------- checksums


def _expected(file: SourceFile) -> dict[str, str]:
    """Return the checksums that are known of a file."""
    known = {"sha256": file.sha256, "md5": file.md5}
    return {kind: value for kind, value in known.items() if value}


def _digest(path: Path, kind: str) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, HASHES[kind]).hexdigest()


def mismatch(file: SourceFile, path: Path) -> str:
    """Return which checksum of the file at `path` is wrong, found and expected, or ""."""
    for kind, expected in _expected(file).items():
        if (found := _digest(path, kind)) != expected:
            return f"has {kind} {found}, expected {expected} ({path.stat().st_size} bytes)"
    return ""


def _accept(dataset: DatasetConfig, file: SourceFile, path: Path, origin: str, wrong: str) -> None:
    """Refuse a file whose checksum is wrong; warn of one that has nothing to be checked against."""
    name = f"dataset '{dataset.name}', file '{file.path}': {origin}"
    if wrong:
        raise DataError(
            f"{name} {wrong}. It is another version, truncated or damaged; "
            f"fetch it again: {_where(dataset, file)}"
        )
    if not _expected(file):
        found = _digest(path, "sha256")
        print(f"warning: {name} was not checked, no checksum is known; sha256: {found}", file=sys.stderr)


# ------------------------------------------------------------------- one whole download


class _Transient(Exception):
    """An attempt failed in a way that another one may mend, after `wait` seconds at least."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class _Refused(Exception):
    """Another attempt would fail in the same way."""


class _Stale(Exception):
    """The part cannot be gone on with: another version, or the server says so."""


@dataclass(frozen=True)
class _Download:
    """What is asked for, and the unfinished file beside its target."""

    url: str
    target: Path
    checked: bool  # a checksum is known

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    @property
    def note(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part.json")

    def discard(self) -> None:
        for path in (self.part, self.note):
            with contextlib.suppress(OSError):
                path.unlink()

    def kept(self) -> str:
        size = self.part.stat().st_size if self.part.is_file() else 0
        return f"; {size} bytes are kept in {self.part}, the next run goes on from there" if size else ""


def _download(dataset: DatasetConfig, file: SourceFile, target: Path) -> str:
    """Try to download; return why it failed (an empty text when it did not)."""
    job = _Download(str(file.url), target, bool(_expected(file)))
    if not _is_web(job.url):
        return f"; its URL {job.url} is not an {' or '.join(SCHEMES)} address"
    try:
        wrong = _attempts(job, file)
    except _Refused as error:
        return f"; downloading {job.url} failed ({error}){job.kept()}"
    except _Transient as error:
        return f"; downloading {job.url} failed {ATTEMPTS} times ({error}){job.kept()}"
    if wrong:
        job.discard()
    _accept(dataset, file, job.part, job.url, wrong)
    _publish(job)
    return ""


def _attempts(job: _Download, file: SourceFile) -> str:
    """Attempt until the whole file is there; return what is wrong with its checksum."""
    for attempt in range(ATTEMPTS - 1):
        try:
            return _attempt(job, file)
        except _Transient as error:
            time.sleep(max(BASE_DELAY_S * 2**attempt, error.wait))
    return _attempt(job, file)


def _attempt(job: _Download, file: SourceFile) -> str:
    """Go on with the part, or else start from zero, once; return what is wrong with the file."""
    with contextlib.suppress(_Stale):
        resumed = _transfer(job, *_resumable(job))
        wrong = mismatch(file, job.part)
        if not (wrong and resumed):
            return wrong
    # Two versions may have been joined; only a file in one piece shows what the server has.
    job.discard()
    _transfer(job, 0, {})
    return mismatch(file, job.part)


def _publish(job: _Download) -> None:
    with _writing(job):
        with open(job.part, "rb+") as stream:
            os.fsync(stream.fileno())
        job.part.replace(job.target)
    job.discard()


@contextlib.contextmanager
def _writing(job: _Download) -> Iterator[None]:
    """Turn a system error into one that names the file; a part that cannot grow only takes space."""
    try:
        yield
    except OSError as error:
        job.discard()
        raise ArtifactError(
            f"{job.target}: cannot be written ({error.strerror}); "
            "nothing was left behind, free space or permissions and run again"
        ) from error


# ------------------------------------------------------------------------- the transfer


def _transfer(job: _Download, offset: int, origin: Origin) -> bool:
    """Fetch what is missing after `offset` bytes; return whether it was joined to an older part.

    Raises `_Transient`, `_Refused` or `_Stale`.
    """
    if offset and offset == origin["total"]:
        return True  # killed between the last byte and the check
    with _request(job, offset, origin) as response:
        found = _describe(job, response)
        resumed = _goes_on(response.status, offset, origin, found)
        with _writing(job):
            if not resumed:
                # In this order: the old bytes must never lie beside the new note.
                job.discard()
                write_json(job.note, {k: v for k, v in found.items() if k != "start"})
            size = _append(job.part, response)
    if found["total"] is not None and size < found["total"]:
        raise _Transient(f"the connection was cut after {size} of {found['total']} bytes")
    return resumed


def _append(part: Path, response: http.client.HTTPResponse) -> int:
    """Write the body as it comes to the end of the part; return the size of the part."""
    with open(part, "ab") as stream:
        while block := _read(response):
            stream.write(block)
        return stream.tell()


def _read(response: http.client.HTTPResponse) -> bytes:
    with _network():
        return response.read1(BLOCK)  # what is there: a slow server must not hold bytes back


def _resumable(job: _Download) -> tuple[int, Origin]:
    """Return how many bytes there are to go on from, and what is known of their origin."""
    try:
        origin = read_json(job.note)
        size = job.part.stat().st_size
    except (ArtifactError, OSError):
        return 0, {}
    same = isinstance(origin, dict) and origin.get("url") == job.url and "total" in origin
    # Without validator and checksum, two versions could be joined and nobody would notice.
    safe = same and (job.checked or _validator(origin))
    return (size, origin) if safe else (0, {})


def _validator(origin: Origin) -> str | None:
    """Return what an If-Range may hold: a strong ETag, else a date."""
    etag = origin.get("etag")
    return etag if etag and not str(etag).startswith("W/") else origin.get("modified")


def _describe(job: _Download, response: http.client.HTTPResponse) -> Origin:
    """Return where the body comes from, where it starts and how long the whole file is."""
    headers = response.headers
    origin = {"url": job.url, "etag": headers["ETag"], "modified": headers["Last-Modified"]}
    if response.status != 206:
        return origin | {"start": 0, "total": response.length}
    if not (found := CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))):
        return origin | {"start": None, "total": None}
    total = int(found[2]) + 1 if found[3] == "*" else int(found[3])
    return origin | {"start": int(found[1]), "total": total}


def _goes_on(status: int, offset: int, origin: Origin, found: Origin) -> bool:
    """Say whether a response holds the rest of the part (or the whole file, from zero)."""
    if status == 200:
        return False
    if status != 206 or not offset:
        raise _Refused(f"HTTP {status} instead of the file")
    # Some servers ignore If-Range and send a piece of whatever they have now.
    known = [(origin[k], found[k]) for k in ("etag", "modified", "total") if origin[k] and found[k]]
    if found["start"] != offset or any(old != new for old, new in known):
        raise _Stale
    return True


# -------------------------------------------------------------------------- the network


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https alone; urllib's own would go on to ftp."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if not _is_web(newurl):
            raise urllib.error.HTTPError(newurl, code, f"redirect to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _is_web(url: str) -> bool:
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname)
    return False


def _request(job: _Download, offset: int, origin: Origin) -> http.client.HTTPResponse:
    """Ask for the file, or for what follows `offset` as long as it is the same version."""
    headers = {"User-Agent": "recspectra"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator := _validator(origin):
            headers["If-Range"] = validator
    with _network(resuming=bool(offset)):
        opener = urllib.request.build_opener(_WebOnly)
        return opener.open(urllib.request.Request(job.url, headers=headers), timeout=TIMEOUT_S)


@contextlib.contextmanager
def _network(resuming: bool = False) -> Iterator[None]:
    """Sort what goes wrong on the way by what may help: another attempt, a fresh start, nothing."""
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            raise _by_status(error, resuming) from None
    except (http.client.InvalidURL, ValueError) as error:
        raise _Refused(str(error)) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise _Transient(str(reason) or type(reason).__name__) from None


def _by_status(error: urllib.error.HTTPError, resuming: bool) -> Exception:
    reason = f"HTTP {error.code} {error.reason}"
    if error.code == 416 and resuming:
        return _Stale(reason)
    if error.code in (429, 503):
        return _Transient(reason, _retry_after(error.headers.get("Retry-After", "").strip()))
    return _Transient(reason) if error.code >= 500 else _Refused(reason)


def _retry_after(text: str) -> float:
    """Return the seconds that a Retry-After asks for (a number or a date), capped; else 0."""
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        if text.isdecimal():
            return float(min(int(text), MAX_WAIT_S))
        seconds = email.utils.mktime_tz(email.utils.parsedate_tz(text)) - time.time()
        return max(0.0, min(seconds, MAX_WAIT_S))
    return 0.0
