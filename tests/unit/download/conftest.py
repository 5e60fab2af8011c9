"""A server, a place to download to, and pauses that are noted instead of made."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from loopback import HALF, Place, Server

from recspectra.data import sources


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join(5)


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are noted and not made."""
    pauses: list[float] = []
    monkeypatch.setattr(sources, "time", SimpleNamespace(sleep=pauses.append, time=time.time))
    monkeypatch.setattr(sources, "ATTEMPTS", 3)
    monkeypatch.setattr(sources, "BASE_DELAY_S", 1.0)
    monkeypatch.setattr(sources, "MAX_WAIT_S", 40.0)
    monkeypatch.setattr(sources, "TIMEOUT_S", 10.0)
    return pauses


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For servers that keep silent."""
    monkeypatch.setattr(sources, "TIMEOUT_S", 0.4)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "raw")


@pytest.fixture
def small_files() -> Iterator[None]:
    """A limit on the size of files, met in the midst of the body."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HALF, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
