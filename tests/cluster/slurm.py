"""A Slurm cluster of one node in a folder: its daemons run in the foreground and end with it."""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "squeue", "sbatch", "srun", "scancel", "scontrol")
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
MEMORY_MB = 65536  # what the node says it has: no job of a test uses what it asks for

CONFIGURATION = """\
ClusterName=recspectra
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=2
MinJobAge=300
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:2
PartitionName=short Nodes={host} Default=YES MaxTime=24:00:00 State=UP
PartitionName=long Nodes={host} MaxTime=INFINITE State=UP
PartitionName=gpu Nodes={host} MaxTime=INFINITE State=UP
"""
# Two files that are everywhere pass for GPUs: what matters is who is given which.
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


class NoSlurm(Exception):
    """Slurm cannot run here; the text says why."""


def installed() -> list[str]:
    """Return the programs that are missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def install() -> None:
    """Install Slurm with apt-get if it is missing and that may be done.

    Raises
    ------
    NoSlurm
        It is missing and cannot be installed.
    """
    missing = installed()
    if not missing:
        return
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise NoSlurm(f"no {', '.join(missing)}, and only root on a model with apt-get can install them")
    # In runlevel 1 the packages' scripts start none of their services.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    commands = (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES])
    for words in commands:
        done = subprocess.run(["apt-get", *words], env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NoSlurm(f"apt-get {words[0]} failed: {done.stderr.strip()[-300:]}")
    if missing := installed():
        raise NoSlurm(f"{', '.join(PACKAGES)} hold no {', '.join(missing)}")


def free_ports(number: int) -> list[int]:
    """Return ports of this host that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Cluster:
    """Munge, one controller and one node, all in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = socket.gethostname().partition(".")[0]
        self.conf = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen] = {}

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which Slurm's commands find this cluster."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
        path = os.pathsep.join([kept.get("PATH", ""), "/usr/sbin", "/sbin"])
        return {**kept, "PATH": f"{self.folder / 'bin'}{os.pathsep}{path}", "SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Write the configuration and start the daemons; return when the node is idle."""
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        controller, node = free_ports(2)
        user = "root" if os.geteuid() == 0 else os.environ["USER"]
        text = CONFIGURATION.format(
            host=self.host, controller=controller, node=node, user=user, folder=self.folder,
            cpus=os.cpu_count(), memory=MEMORY_MB,
        )  # fmt: skip
        self.conf.write_text(text, encoding="utf-8")
        (self.folder / "gres.conf").write_text(GPUS, encoding="utf-8")
        self._write_srun()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        places = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid",
                  "log-file": "munge.log", "seed-file": "munge.seed"}  # fmt: skip
        options = [f"--{option}={self.folder / name}" for option, name in places.items()]
        # Only root may trust a folder that others own on the way to it.
        self._spawn("munged", ["--foreground", "--force", *options])
        self._wait(lambda: (self.folder / "munge.socket").exists(), "munged has no socket")
        self.start_controller()
        self._spawn("slurmd", ["-D", "-f", str(self.conf), "-N", self.host])
        self._wait(lambda: "idle" in self.run("sinfo", "-h", "-o", "%T"), "the node is not idle")

    def _write_srun(self) -> None:
        """Put a srun first on the path that knows where the configuration is.

        The executor plugin takes SLURM_CONF out of the environment of its job steps; a real cluster
        has its configuration where srun looks by itself.
        """
        found = shutil.which("srun", path=os.defpath)
        script = self.folder / "bin" / "srun"
        script.parent.mkdir()
        script.write_text(f'#!/bin/sh\nSLURM_CONF={shlex.quote(str(self.conf))} exec {found} "$@"\n')
        script.chmod(0o755)

    def start_controller(self) -> None:
        """Start slurmctld and wait until it answers."""
        self._spawn("slurmctld", ["-D", "-f", str(self.conf)])
        self._wait(lambda: "UP" in self.run("scontrol", "ping"), "slurmctld does not answer")

    def stop_controller(self) -> None:
        """End slurmctld as an administrator would: it saves its state."""
        self._end("slurmctld")

    def stop(self) -> None:
        """Cancel every job and end what was started, by process id."""
        if "slurmctld" in self._daemons:
            self.run("scancel", "--user", str(os.getuid()))
            self._idle()
        for name in ("slurmctld", "slurmd", "munged"):
            self._end(name)

    def run(self, *command: str) -> str:
        """Run one of Slurm's commands; return what it printed, nothing if it failed."""
        try:
            done = subprocess.run(
                command, env=self.variables, capture_output=True, text=True, check=False, timeout=60
            )
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout if done.returncode == 0 else ""

    def jobs(self, *states: str) -> dict[str, str]:
        """Return job id -> comment of the jobs in these states."""
        printed = self.run("squeue", "--noheader", "--format=%i|%k", f"--states={','.join(states) or 'all'}")
        return dict(line.split("|", 1) for line in printed.splitlines() if "|" in line)

    def log(self) -> str:
        """Return the last lines of the daemons' logs."""
        texts = [f"{p.name}: {p.read_text(errors='replace')[-1500:]}" for p in self.folder.glob("*.log")]
        return "\n".join(texts)

    def _idle(self, seconds: float = 20.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.jobs("RUNNING", "COMPLETING", "PENDING"):
            time.sleep(0.2)

    def _spawn(self, name: str, options: list[str]) -> None:
        program = shutil.which(name, path=self.variables["PATH"])
        with (self.folder / f"{name}.out").open("ab") as out:
            self._daemons[name] = subprocess.Popen(
                [program, *options], env=self.variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True, preexec_fn=_end_with_parent,
            )  # fmt: skip

    def _end(self, name: str, seconds: float = 20.0) -> None:
        process = self._daemons.pop(name, None)
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _wait(self, condition: Callable[[], object], problem: str, seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if condition():
                return
            ended = [name for name, p in self._daemons.items() if p.poll() is not None]
            if ended:
                raise NoSlurm(f"{', '.join(ended)} ended: {self.log()}{self._printed()}")
            time.sleep(0.1)
        raise NoSlurm(f"{problem}: {self.log()}{self._printed()}")

    def _printed(self) -> str:
        return "".join(f"\n{p.name}: {p.read_text()[-800:]}" for p in self.folder.glob("*.out"))


def _end_with_parent() -> None:
    """Let Linux end this process when the tests end in whatever way."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextmanager
def running(folder: Path) -> Iterator[Cluster]:
    """Run a cluster in a folder for as long as the block."""
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
