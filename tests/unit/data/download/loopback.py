"""A server on this machine that gives scripted answers, and what is fetched from it."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recspectra.config.dataset import DatasetConfig, SourceConfig, SourceFile
from recspectra.data import sources
from recspectra.data.interactions import DataError

CONTENT = random.Random(7).randbytes(300_000)
OTHER = random.Random(8).randbytes(400_000)
HALF = 150_000
SHA, MD5 = hashlib.sha256(CONTENT).hexdigest(), hashlib.md5(CONTENT).hexdigest()
SOURCE = SourceConfig(name="tiny", licence="for tests", citation="-", homepage="https://example.org/tiny")
DATASET = DatasetConfig.model_construct(name="tiny", source=SOURCE)


@dataclass
class Answer:
    """One answer of the server, and how well it is sent."""

    content: bytes = CONTENT
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = True
    cut: int | None = None  # so much of the body, then close
    reset: bool = False  # drop the connection without an answer
    silent: bool = False  # take the request and say nothing
    again: bytes = b""  # sent a hundred times, with pauses


class Handler(BaseHTTPRequestHandler):
    """Gives the answers of a list, one a request; 404 once they are used up."""

    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.requests.append(self.path)
        self.server.encodings.add(self.headers["Accept-Encoding"])
        answer = self.server.script.pop(0) if self.server.script else Answer(status=404)
        if answer.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return self.connection.close()
        if answer.silent:
            return self.server.released.wait(5) and None
        body = answer.content if answer.status == 200 else b""
        self.send_response(answer.status)
        length = {"Content-Length": str(len(body))} if answer.length else {}
        for name, value in ({"Connection": "close"} | length | answer.headers).items():
            self.send_header(name, value)
        self.end_headers()
        for _ in range(100 if answer.again else 0):
            self.server.released.wait(0.02)
            self.wfile.write(answer.again)
        return self.wfile.write(body[: answer.cut]) and None


class Server(ThreadingHTTPServer):
    """A server on a free port of this machine, with TLS where it is given a certificate."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, certificate: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.script: list[Answer] = []
        self.requests: list[str] = []
        self.encodings: set[str] = set()
        self.released = threading.Event()
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}/raw.csv"

    def __enter__(self) -> Server:
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.released.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the play."""


def raw(url: str | None = None, sha256: str | None = SHA, **keys: object) -> SourceFile:
    insecure = bool(url and url.startswith("http:"))
    return SourceFile(path="sub/raw.csv", sha256=sha256, url=url, **{"insecure": insecure, **keys})


@dataclass
class Place:
    """Where a file goes."""

    folder: Path

    @property
    def target(self) -> Path:
        return self.folder / "raw.csv"

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
        assert self.names() == []
        return str(caught.value)
