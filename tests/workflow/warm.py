"""A Python that starts warm: a fork of a process that has Snakemake and the numerical libraries loaded.

Most of the time of a small job goes to imports. A program that `warm_python()` runs has its own folder,
variables, files and status, as one of `sys.executable` has; so have the jobs of a Snakemake that runs there.
RecSpectra itself is not loaded before the fork: it comes from the checkout that the caller names.
What only a fresh interpreter shows (an import that is missing in a script) is left to tests that start one.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from importlib import import_module
from pathlib import Path

LOADED = (
    "snakemake.cli", "snakemake.report.html_reporter", "pandas", "pyarrow.parquet", "scipy.sparse.linalg",
    "scipy.stats", "torch._dynamo", "optuna", "seaborn", "matplotlib.backends.backend_svg",
    "matplotlib.backends.backend_agg", "safetensors.torch", "filelock", "psutil", "pydantic",
    "sqlalchemy.orm",
)  # fmt: skip
CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({place!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.recv(8) or 70))
"""


def warm_python() -> str:
    """Return the path of what stands for `python`."""
    return _started()[0]


@functools.cache
def _started() -> tuple[str, subprocess.Popen]:
    """Start the process that is forked, once. It ends with this one, whose end of the pipe is closed then."""
    folder = Path(tempfile.mkdtemp(prefix="warm-"))
    client, place = folder / "python", folder / "socket"
    client.write_text(CLIENT.format(python=sys.executable, place=str(place)), encoding="utf-8")
    client.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, __file__, str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert process.stdout.readline() == b"ready\n"
    return str(client), process


def serve(place: str) -> None:
    """Answer each connection by a fork, until the pipe that is our input is closed."""
    for name in LOADED:
        import_module(name)
    gc.freeze()
    sys.dont_write_bytecode = True
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, reap)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(place)
    listening.listen(64)
    print("ready", flush=True)
    while sys.stdin not in select.select([sys.stdin, listening], [], [])[0]:
        connection, _ = listening.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return answer(connection)
        connection.close()
    shutil.rmtree(Path(place).parent)
    return None


def reap(*_: object) -> None:
    """Take note of the forks that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def answer(connection: socket.socket) -> None:
    """Run what a client asks for in one more fork, and tell the client how it ended."""
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    asked = b"".join(iter(lambda: connection.recv(65536), b""))
    if worker := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        connection.sendall(str(status if status >= 0 else 128 - status).encode())
        os._exit(0)
    connection.close()
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    run(*json.loads(asked))


def run(words: list[str], folder: str, variables: dict[str, str]) -> None:
    """Do what `python` does with these words: a script or `-m` and a module, then arguments."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.executable = str(Path(sys.argv[1]).with_name("python"))  # jobs start warm as well
    words, safe = words[words[0] == "-P" :], words[0] == "-P"
    module = words[0] == "-m"
    sys.argv = words[module:]
    first = folder if module else str(Path(words[0]).parent)
    sys.path[:1] = [
        *([] if safe else [first]),
        *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep)),
    ]
    status: object = 0
    try:
        if module:
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        status = end.code
    except BaseException:
        traceback.print_exc()
        status = 1
    leave(status)


def leave(status: object) -> None:
    """End as `sys.exit(status)` does, without taking all that was loaded to pieces, which takes a second."""
    if isinstance(status, str):
        print(status, file=sys.stderr)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else bool(status))


if __name__ == "__main__":
    serve(sys.argv[1])
