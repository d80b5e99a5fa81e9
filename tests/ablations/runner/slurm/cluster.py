"""A real SLURM on this host: munged, slurmctld and slurmd, on loopback, in one folder."""

import getpass
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

PACKAGES = ["slurm-wlm", "munge"]
PROGRAMS = [
    "setpriv",
    "munged",
    "slurmctld",
    "slurmd",
    "sbatch",
    "srun",
    "squeue",
    "scancel",
    "scontrol",
]
START_SECONDS = 30.0
STOP_SECONDS = 10.0

# linuxproc and task/none need no cgroups; without accounting there is no database. cred_expire is
# also how long a requeued job waits before it starts again, and 5 its least. Jobs of the partition
# "urgent" preempt those of "main".
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=2,bf_interval=2
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=3
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=1024
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=node Default=YES MaxTime=60 PriorityTier=1 GraceTime=8
PartitionName=urgent Nodes=node MaxTime=60 PriorityTier=2
"""


class Cannot(Exception):
    """SLURM is unavailable here; the message has the reason."""


class Cluster:
    """SLURM with one node of 2 CPUs.

    Attributes:
        folder: its configuration, state and logs.
        env: the variable through which SLURM's commands reach it.
    """

    def __init__(self, folder: Path):
        self.folder, self.daemons = folder, []
        self.env = {"SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        """Start the daemons and wait until the node takes jobs."""
        folder = self.folder
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        text = CONFIG.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            ports=free_ports(2),
            user=getpass.getuser(),
        )
        (folder / "slurm.conf").write_text(text, encoding="utf-8")
        self._start(
            "munged", "--foreground", f"--key-file={key}", f"--socket={folder}/munge.socket",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
            f"--seed-file={folder}/munge.seed", "--num-threads=2",
        )  # fmt: skip
        self._wait_until("munged", (folder / "munge.socket").exists)
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", "node")
        self._wait_until("the node", lambda: "idle" in self.call("sinfo", "-h", "-o", "%T"))

    def call(self, *command: str) -> str:
        """The output of one of SLURM's commands; its errors are printed."""
        ended = subprocess.run(
            command, env=os.environ | self.env, capture_output=True, text=True, check=False
        )
        return ended.stdout + ended.stderr

    def cancel_all(self) -> None:
        """End every job and wait until it has ended."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.call("squeue", "--noheader") and time.monotonic() < deadline:
            self.call("scancel", f"--user={getpass.getuser()}")
            time.sleep(0.2)

    def stop(self) -> None:
        """End every job and daemon."""
        if self.daemons:
            self.cancel_all()
        for _, daemon in reversed(self.daemons):
            daemon.terminate()
        for _, daemon in reversed(self.daemons):
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(STOP_SECONDS)
        # This cluster has started all of these: no other process uses its configuration.
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for _, daemon in self.daemons:
            daemon.wait()

    def processes(self) -> list[int]:
        """The ids of the daemons, their helpers and the jobs' processes."""
        found = []
        mark = f"SLURM_CONF={self.env['SLURM_CONF']}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if mark in path.read_bytes().split(b"\0"):
                    found.append(int(path.parent.name))
        return found

    def _start(self, *command: str) -> None:
        log = self.folder / f"{command[0]}.out"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command],  # also where the tests are killed
                env=os.environ | self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the daemons
            )
        self.daemons.append((log, process))

    def _wait_until(self, what: str, ready) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            ended = [log for log, daemon in self.daemons if daemon.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(
                    f"{log.name}: {log.read_text(errors='replace')[-1000:]}"
                    for log in ended or [log for log, _ in self.daemons]
                )
                raise Cannot(f"{what} did not start:\n{logs}")
            time.sleep(0.05)


def free_ports(number: int) -> list[int]:
    """Free ports of the loopback device."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


def install() -> None:
    """Install Debian's packages if SLURM's programs are missing."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if not missing:
        return
    if os.geteuid() or shutil.which("apt-get") is None:
        raise Cannot(f"{', '.join(missing)} missing, and only root on Debian can install them")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    wanted = ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES]
    for command in (wanted, ["apt-get", "update"], wanted):
        ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        if command is wanted and ended.returncode == 0:
            return
    raise Cannot(f"{' '.join(PACKAGES)} cannot be installed: {ended.stderr.strip()[-500:]}")
