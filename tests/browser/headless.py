"""A headless Chromium as the tests of pages use it."""

from __future__ import annotations

import functools
import http.server
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")


def dumped(browser: str, place: Path, address: str, *flags: str, milliseconds: int = 60_000) -> str:
    """Return the document that a browser has after some time on a page; the time is not waited for."""
    command = [browser, *FLAGS, f"--user-data-dir={place}", f"--virtual-time-budget={milliseconds}", *flags]
    done = subprocess.run(
        [*command, "--dump-dom", address], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class served:  # noqa: N801 - reads as a verb: with served(folder) as port
    """Serve a folder on a free port."""

    def __init__(self, folder: Path) -> None:
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self) -> int:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1]

    def __exit__(self, *error: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A handler that prints nothing."""

    def log_message(self, *args: object) -> None:
        pass
