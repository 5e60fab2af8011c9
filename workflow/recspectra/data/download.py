"""One download by pooch, within limits: https, size, time. A download that was cut starts from zero."""

from __future__ import annotations

import functools
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import pooch
from requests import RequestException, Response
from requests.exceptions import SSLError

from recspectra.config.dataset import SourceFile

ATTEMPTS = 5
PAUSE_S = 1.0  # before the second attempt; doubles with every other one
TIMEOUT_S = 30.0  # of connecting and of each read
DEADLINE_S = 7200.0  # of all attempts together
BLOCK = 1 << 17
HEADERS = {"User-Agent": "recspectra", "Accept-Encoding": "identity"}


class DownloadError(Exception):
    """The file cannot be had from its URL; the message says why, in one line."""


class _Refused(ValueError):
    """An answer breaks one of our own limits."""


def download(file: SourceFile, stream: BinaryIO) -> None:
    """Fill a binary stream from the file's URL; no checksum is looked at.

    Redirects to another host and attempts that failed are said on stderr.

    Raises
    ------
    DownloadError
        The server, the network or one of the limits (see `SourceFile`) does not allow it.
    OSError
        The stream cannot be written.
    """
    try:
        _run_within(DEADLINE_S, functools.partial(_attempt, file, stream))
    except (OSError, ValueError) as error:
        network = isinstance(error, RequestException) or getattr(error, "errno", None) is None
        if not network:
            raise
        raise DownloadError(_reason(error)) from None


def _run_within(seconds: float, work: Callable[[], None]) -> None:
    """Run `work` in a thread that is left behind if it takes longer.

    A timeout of each read does not end what trickles, nor the search for a host's address.
    """
    done: Future[None] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except Exception as error:
            done.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not done.done():
        raise TimeoutError(f"it took longer than {seconds:g} s")
    done.result()


def _attempt(file: SourceFile, stream: BinaryIO) -> None:
    """Download from zero until it works, or fails in a way that stays."""
    hooks = {"response": functools.partial(_inspect, file)}
    get = pooch.HTTPDownloader(chunk_size=BLOCK, timeout=TIMEOUT_S, headers=HEADERS, hooks=hooks)
    for attempt in range(ATTEMPTS):
        stream.seek(0)
        stream.truncate()
        try:
            get(file.url, _Capped(file, stream), None)
            return
        except RequestException as error:
            if attempt == ATTEMPTS - 1 or not _may_pass(error):
                raise
            pause = PAUSE_S * 2**attempt
            print(f"note: {file.url}: {_reason(error)}; trying again in {pause:g} s", file=sys.stderr)
        time.sleep(pause)


def _may_pass(error: RequestException) -> bool:
    """Return whether another attempt may succeed: no answer, too many requests, a broken server."""
    if error.response is None:
        return not isinstance(error, SSLError | ValueError)
    return error.response.status_code >= 500 or error.response.status_code == 429


def _inspect(file: SourceFile, response: Response, *args: Any, **options: Any) -> None:
    """Check an answer before its redirect is followed or its body is read."""
    if response.is_redirect:
        _check_redirect(file, response.url, urljoin(response.url, response.headers["Location"]))
    elif response.ok and response.status_code != 200:
        raise _Refused(f"HTTP {response.status_code} instead of the file")
    elif (length := response.headers.get("Content-Length", "")).isdecimal():
        _check_size(file, int(length))
    # The bytes as sent are the file: a .gz announced as gzip stays packed, and nothing grows on the way.
    response.raw.headers.discard("Content-Encoding")


def _check_redirect(file: SourceFile, url: str, goal: str) -> None:
    if not file.allows(goal):
        raise _Refused(f"it redirects to {goal}, which is not https")
    if urlsplit(url).netloc != urlsplit(goal).netloc:
        print(f"note: {url} redirects to another host, {goal}", file=sys.stderr)


def _check_size(file: SourceFile, size: int) -> None:
    if size > file.max_gb * 1e9:
        raise _Refused(f"it is larger than `max_gb: {file.max_gb:g}`; the dataset's YAML can raise that")


@dataclass
class _Capped:
    """A stream that takes no more than the file may have, whatever was announced."""

    file: SourceFile
    stream: BinaryIO

    def write(self, block: bytes) -> None:
        _check_size(self.file, self.stream.tell() + len(block))
        self.stream.write(block)

    def flush(self) -> None:
        self.stream.flush()


def _reason(error: BaseException) -> str:
    """Return what lies at the root of an error, in one line."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return " ".join(str(error).split()) or type(error).__name__
