"""A server on this machine that misbehaves by a script, and what is fetched from it."""

from __future__ import annotations

import hashlib
import json
import random
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recspectra.data import sources
from recspectra.data.interactions import DataError
from recspectra.dataset_schema import DatasetConfig, SourceConfig, SourceFile

CONTENT = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(300_000)
HALF = 120_000
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"

# ------------------------------------------------------------------------- the server


@dataclass
class Answer:
    """One answer of the server: a status, or a body and how well it is sent."""

    content: bytes = CONTENT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    etag: str | None = '"v1"'
    modified: str | None = None
    ranges: bool = True  # Range is understood, and
    if_range: bool = True  # If-Range as well
    ahead: int = 0  # how much too late a piece starts
    length: bool = True
    chunked: bool = False
    cut: int | None = None  # send so much of the body, then close
    reset: bool = False  # drop the connection without any answer
    stall: bool = False  # after `cut` bytes (or before any header) keep silent
    dribble: int = 0  # so many pieces with pauses


class Handler(BaseHTTPRequestHandler):
    """Gives the answers of a list, one a request, and keeps what it was asked."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.requests.append({k.lower(): v for k, v in self.headers.items()})
        self.server.paths.append(self.path)
        script = self.server.script
        answer = script.pop(0) if script else Answer(status=404, headers={"X-Script": "ended"})
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.connection.close()
        if answer.stall and answer.cut is None:
            return self.server.released.wait(5) and None
        return self.send(answer)

    def send(self, answer: Answer) -> None:
        start = self.start_of(answer)
        body = answer.content[start + answer.ahead :] if answer.status == 200 else b""
        self.send_response(206 if start else answer.status)
        headers = {"ETag": answer.etag, "Last-Modified": answer.modified, "Connection": "close"}
        if answer.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif answer.length:
            headers["Content-Length"] = str(len(body))
        if start:
            whole = len(answer.content)
            headers["Content-Range"] = f"bytes {start + answer.ahead}-{whole - 1}/{whole}"
        for name, value in (headers | answer.headers).items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        self.send_body(answer, body if answer.cut is None else body[: max(0, answer.cut - start)])

    def start_of(self, answer: Answer) -> int:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        if not asked or not answer.ranges or answer.status != 200:
            return 0
        if answer.if_range and condition and condition not in (answer.etag, answer.modified):
            return 0
        return int(asked[1])

    def send_body(self, answer: Answer, body: bytes) -> None:
        size = -(-len(body) // answer.dribble) if answer.dribble else len(body)
        for place in range(0, len(body), size or 1):
            piece = body[place : place + size]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if answer.chunked else piece)
            if answer.dribble:
                self.server.released.wait(0.05)
        if answer.chunked and answer.cut is None:
            self.wfile.write(b"0\r\n\r\n")
        if answer.stall:
            self.server.released.wait(5)


class Server(ThreadingHTTPServer):
    """A server on a free port of this machine."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Answer] = []
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.released = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/raw.csv"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the play."""

    def asked(self, header: str) -> list[str | None]:
        return [request.get(header) for request in self.requests]


# ------------------------------------------------------------------------ what is asked

SHA, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
DATASET = DatasetConfig.model_construct(
    name="tiny",
    source=SourceConfig(
        name="tiny", licence="for tests alone", citation="-", homepage="https://example.org/tiny"
    ),
)


def raw(url: str | None = None, sha256: str | None = SHA, md5: str | None = None) -> SourceFile:
    return SourceFile(path="sub/raw.csv", sha256=sha256, md5=md5, url=url)


@dataclass
class Place:
    """Where a download goes."""

    folder: Path

    @property
    def target(self) -> Path:
        return self.folder / "raw.csv"

    @property
    def part(self) -> Path:
        return self.folder / "raw.csv.part"

    @property
    def note(self) -> Path:
        return self.folder / "raw.csv.part.json"

    def names(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir()) if self.folder.exists() else []

    def has_only(self, content: bytes = CONTENT) -> bool:
        return self.names() == ["raw.csv"] and self.target.read_bytes() == content

    def fetch(self, file: SourceFile, mirror: Path | None = None) -> None:
        sources.fetch(DATASET, file, mirror, self.target)

    def failure(self, file: SourceFile, mirror: Path | None = None) -> str:
        """Fetch in vain; return the message."""
        with pytest.raises(DataError) as caught:
            self.fetch(file, mirror)
        assert not self.target.exists()
        return str(caught.value)

    def leave_part(self, content: bytes, url: str, **origin: object) -> None:
        """Make what an earlier run leaves that was ended midway."""
        self.folder.mkdir(exist_ok=True)
        self.part.write_bytes(content)
        note = {"url": url, "etag": '"v1"', "modified": None, "total": len(CONTENT)} | origin
        self.note.write_text(json.dumps(note))


def mirror_of(folder: Path, content: bytes = CONTENT) -> Path:
    file = folder / "mirror" / "sub" / "raw.csv"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    return folder / "mirror"
